//! Partitions that last longer than every timeout: whose packets lead nowhere hears no refusal and no end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use cluster::forebay::HTTP;
use cluster::{ADDRESS, get, until, within};

use crate::objects::App;
use crate::rig::{Rig, load, took};

/// More than a data plane waits for a controller (35 s), a controller for a data plane, and a replica for a lease (15 s).
const LONG: Duration = Duration::from_secs(45);

/// Once it is mended: whoever was cut off tries again within 10 s, and the status is right 3 s later.
const MENDED: Duration = Duration::from_secs(40);

#[tokio::test]
async fn forebay_is_cut_in_two() {
    let Some(rig) = Rig::start().await else { return };
    rig.install().await;
    // Packets to a pod that is gone may lead nowhere, too. nginx's default of a minute is more than its clients wait.
    let group = "\n  timeouts: {connect: 1s}";
    rig.apply(&App { group, ..App::new("app", 2) }.to_string()).await;
    rig.rolled_out("app", "app").await;
    rig.shows_ready("app", "2/2").await;
    let at_rest = rig.at_rest().await;
    data_planes(&rig).await;
    api_server(&rig).await;
    rig.is_quiet(&at_rest).await;
}

/// Between controllers and data planes, while a pod goes that the data planes take for a server, and one comes that they do not
/// know.
async fn data_planes(rig: &Rig) {
    let load = load("app.example");
    rig.cluster.cut(&addresses(rig, "controller").await, &addresses(rig, "proxy").await).expect("a cut");
    let cut = Instant::now();
    let former = rig.app_pods("app").await.swap_remove(0).0;
    rig.run(&format!("delete pod {former} -n app")).await;
    rig.rolled_out("app", "app").await;
    rig.status("app", "app", "that no data plane is heard of", |status| {
        status.data_planes.as_ref().is_some_and(|planes| planes.ready == "0/0")
    })
    .await;
    took("data planes cut off: the status says so", cut);
    tokio::time::sleep(LONG.saturating_sub(cut.elapsed())).await;
    for (pod, address) in rig.pods("proxy").await {
        assert_eq!(rig.admin(address, "/readyz").await.expect("an answer").trim(), "ok", "{pod}");
    }
    rig.cluster.mend().expect("no cut");
    let mended = Instant::now();
    within(MENDED, "the data planes", everybody_serves(rig)).await;
    took("data planes cut off: every data plane serves who came meanwhile", mended);
    within(MENDED, "the status", async {
        rig.shows_ready("app", "2/2").await;
        rig.shows_its_pods("app").await;
    })
    .await;
    took("data planes cut off: the status is right", mended);
    println!("data planes cut off: {}, none failed", load.end().await);
}

/// Between both controllers and the API server: nobody leads whom the Lease cannot tell so, and what is known goes on.
async fn api_server(rig: &Rig) {
    let load = load("app.example");
    let controllers = addresses(rig, "controller").await;
    let node: Ipv4Addr = ADDRESS.parse().expect("an address");
    rig.cluster.cut(&controllers, &[node]).expect("a cut");
    let cut = Instant::now();
    rig.run("scale deployment/app -n app --replicas=3").await;
    rig.rolled_out("app", "app").await;
    tokio::time::sleep(LONG.saturating_sub(cut.elapsed())).await;
    for &controller in &controllers {
        let admin = async |path| rig.admin(controller.into(), path).await.expect("an answer");
        assert_eq!(admin("/readyz").await.trim(), "ok");
        assert!(admin("/api/v1/config").await.contains("group/app/app"));
        assert!(admin("/metrics").await.contains("forebay_controller_leader 0"));
    }
    let restarts = rig.restarts().await;
    assert!(restarts.iter().all(|count| count == "0"), "{restarts:?}");
    rig.cluster.mend().expect("no cut");
    let mended = Instant::now();
    within(MENDED, "the data planes", everybody_serves(rig)).await;
    took("controllers cut off: every data plane serves who came meanwhile", mended);
    within(MENDED, "the status", async {
        rig.shows_ready("app", "3/3").await;
        rig.shows_its_pods("app").await;
    })
    .await;
    took("controllers cut off: the status is right", mended);
    println!("controllers cut off: {}, none failed", load.end().await);
}

/// Waits until every data plane has been answered by every pod.
async fn everybody_serves(rig: &Rig) {
    let pods = rig.app_pods("app").await;
    for (data_plane, address) in rig.pods("proxy").await {
        for (pod, _) in &pods {
            until(&format!("{data_plane} to use {pod}"), async || {
                let answer = get(SocketAddr::new(address, HTTP), "/", "app.example").await.ok()?;
                (answer.status == 200 && answer.body.starts_with(pod)).then_some(())
            })
            .await;
        }
    }
}

async fn addresses(rig: &Rig, component: &str) -> Vec<Ipv4Addr> {
    let of = |(_, address)| match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(address) => panic!("{address} is not of the node"),
    };
    rig.pods(component).await.into_iter().map(of).collect()
}
