//! What happens to Forebay itself: its processes are killed in their pods, the API server and etcd die, and new releases of
//! controller and data planes come in either order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cluster::forebay::HTTP;
use cluster::{NAMESPACE, Part, get, until, within};

use crate::objects::App;
use crate::rig::{IMAGE, Rig, answers, load, load_on, took};

/// Another leads 17 s later at most, has heard of everybody 15 s after that, and its status is right.
const LED: Duration = Duration::from_mins(1);

/// Who was reported on is reported on again, and every watch is tried again, within 10 s.
const MENDED: Duration = Duration::from_secs(40);

#[tokio::test]
async fn forebay_is_killed_and_upgraded() {
    let Some(rig) = Rig::start().await else { return };
    rig.install().await;
    rig.apply(&App::new("app", 2).to_string()).await;
    rig.rolled_out("app", "app").await;
    rig.serves("app.example").await;
    let at_rest = rig.at_rest().await;
    leader(&rig).await;
    proxy(&rig).await;
    api_server(&rig).await;
    upgrades(&rig).await;
    rig.is_quiet(&at_rest).await;
}

/// kill -9 of the controller that leads.
async fn leader(rig: &Rig) {
    let load = load("app.example");
    let leader = rig.seen.leader(None).await;
    let pod = leader.split('_').next().unwrap_or_default();
    rig.cluster.kill_container(NAMESPACE, pod);
    let killed = Instant::now();
    // What is served does not wait for who leads.
    rig.run("scale deployment/app -n app --replicas=3").await;
    rig.rolled_out("app", "app").await;
    let pods = rig.app_pods("app").await;
    for (pod, _) in &pods {
        answers("app.example", 200, pod).await;
    }
    took("the leader killed: a new pod is served", killed);
    within(LED, "another leader's status", async {
        rig.seen.leader(Some(&leader)).await;
        took("the leader killed: another leads", killed);
        rig.shows_ready("app", "3/3").await;
    })
    .await;
    took("the leader killed: the status is right", killed);
    rig.restarted(pod).await;
    rig.ready().await;
    println!("the leader killed: {}, none failed", load.end().await);
}

/// kill -9 of a data plane. What it was answering is lost, and so is who knocks before it is back; the others do not notice.
async fn proxy(rig: &Rig) {
    let mut proxies = rig.pods("proxy").await;
    let (pod, address) = proxies.swap_remove(0);
    let others: Vec<_> = proxies.iter().map(|(_, address)| SocketAddr::new(*address, HTTP)).collect();
    let (others, all) = (load_on(&others, "app.example"), load("app.example"));
    rig.cluster.kill_container(NAMESPACE, &pod);
    let killed = Instant::now();
    rig.restarted(&pod).await;
    until("the killed data plane to serve", async || {
        let answer = get(SocketAddr::new(address, HTTP), "/", "app.example").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
    took("a data plane killed: it serves", killed);
    rig.ready().await;
    took("a data plane killed: it is ready", killed);
    let status = rig.status("app", "app", "all data planes", |status| {
        status.data_planes.as_ref().is_some_and(|planes| planes.ready == "3/3")
    });
    within(MENDED, "the status", status).await;
    let (served, all) = (others.end().await, all.end_whatever_came().await);
    assert!(all.refused.is_empty(), "{:?}", all.refused);
    println!("a data plane killed: {served} to the others, none failed; {} of {all} to all were cut", all.cut.len());
}

/// kill -9 of the API server, then of etcd: the node's kubelet and kube-proxy miss them, too.
async fn api_server(rig: &Rig) {
    let load = load("app.example");
    let controllers = rig.pods("controller").await;
    for (part, replicas) in [(Part::ApiServer, 2), (Part::Etcd, 3)] {
        rig.cluster.kill(part);
        for (pod, address) in &controllers {
            let known = rig.admin(*address, "/api/v1/config").await.expect("an answer");
            assert!(known.contains("group/app/app"), "{pod}: {known}");
        }
        let killed = Instant::now();
        rig.cluster.start(part).expect("it starts");
        rig.until_ready().await;
        rig.run(&format!("scale deployment/app -n app --replicas={replicas}")).await;
        within(MENDED, "the status", rig.shows_ready("app", &format!("{replicas}/{replicas}"))).await;
        took(&format!("{part:?} killed: the status is right"), killed);
    }
    println!("API server and etcd killed: {}, none failed", load.end().await);
}

/// Two releases: the controller first, then the data planes first.
async fn upgrades(rig: &Rig) {
    for release in ["0.2.0", "0.3.0"] {
        rig.cluster.tag(IMAGE, &image(release)).expect("an image");
    }
    let load = load("app.example");
    for (component, release) in
        [("controller", "0.2.0"), ("proxy", "0.2.0"), ("proxy", "0.3.0"), ("controller", "0.3.0")]
    {
        let began = Instant::now();
        let (deployment, image) = (format!("forebay-{component}"), image(release));
        let former = rig.pods(component).await;
        rig.run(&format!("set image deployment/{deployment} {component}={image} -n {NAMESPACE}")).await;
        rig.rolled_out(NAMESPACE, &deployment).await;
        took(&format!("{component} upgraded to {release}"), began);
        for (pod, _) in former {
            rig.run(&format!("wait pod/{pod} -n {NAMESPACE} --for=delete --timeout=90s")).await;
        }
        took(&format!("{component} upgraded to {release}, the last one left"), began);
    }
    rig.seen.leader(None).await;
    rig.run("scale deployment/app -n app --replicas=2").await;
    let status = rig.shows_ready("app", "2/2").await;
    assert!(status.data_planes.is_some_and(|planes| planes.ready == "3/3"), "{:?}", status.servers);
    println!("upgraded in either order: {}, none failed", load.end().await);
}

fn image(release: &str) -> String {
    IMAGE.rsplit_once(':').map(|(name, _)| format!("{name}:{release}")).expect("an image has a tag")
}
