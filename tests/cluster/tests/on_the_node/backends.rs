//! Pods come, go, flap, and get addresses that others had: nobody who asks notices, and what is shown follows.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use api::ActiveTier;
use cluster::request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::bad;
use crate::certificates;
use crate::objects::{App, ingress};
use crate::rig::{Rig, answers, load, took};
use crate::zones;

#[tokio::test]
async fn pods_come_and_go() {
    let Some(rig) = Rig::start().await else { return };
    zones::label(&rig).await;
    rig.install().await;
    let at_rest = rig.at_rest().await;
    rollout(&rig).await;
    zones::zones(&rig).await;
    scale(&rig).await;
    flapping(&rig).await;
    reuse_in_a_group(&rig).await;
    reuse_by_another(&rig).await;
    rename(&rig).await;
    certificates::rotation(&rig).await;
    bad::bad_objects(&rig).await;
    removal(&rig).await;
    rig.is_quiet(&at_rest).await;
}

/// A rollout of an application that warms up and leaves in order, and of one that drops dead when it is told to go.
async fn rollout(rig: &Rig) {
    let began = Instant::now();
    let apps = [App { flags: "-warm=1s", ..App::new("orderly", 4) }, App { flags: "-grace=0", ..App::new("hasty", 4) }];
    for app in apps {
        rig.apply(&app.to_string()).await;
    }
    let mut former = Vec::new();
    for app in apps {
        rig.rolled_out(app.name, app.name).await;
        former.extend(rig.app_pods(app.name).await);
    }
    rig.serves("orderly.example").await;
    rig.serves("hasty.example").await;
    let loads = [("orderly", load("orderly.example")), ("hasty", load("hasty.example"))];
    for app in apps {
        rig.run(&format!("rollout restart deployment/{0} -n {0}", app.name)).await;
    }
    for app in apps {
        rig.rolled_out(app.name, app.name).await;
        rig.shows_its_pods(app.name).await;
    }
    for (pod, _) in &former {
        rig.no_series(pod).await;
    }
    for (name, load) in loads {
        let served = load.end().await;
        println!("rollout of {name}: {served} to {} pods, none failed", served.by.len());
    }
    took("rollouts", began);
}

/// From nothing to fifty pods and back.
async fn scale(rig: &Rig) {
    let began = Instant::now();
    let app = App::new("scale", 0);
    rig.apply(&app.to_string()).await;
    answers("scale.example", 503, "").await;
    rig.run("scale deployment/scale -n scale --replicas=50").await;
    rig.serves("scale.example").await;
    let load = load("scale.example");
    rig.shows_ready("scale", "50/50").await;
    took("scaled from 0 to 50", began);
    let began = Instant::now();
    rig.run("scale deployment/scale -n scale --replicas=1").await;
    rig.shows_ready("scale", "1/1").await;
    let served = load.end().await;
    rig.run("scale deployment/scale -n scale --replicas=0").await;
    answers("scale.example", 503, "").await;
    rig.status("scale", "scale", "that nobody serves", |status| {
        status.servers.is_empty()
            && status.summary.as_ref().is_some_and(|summary| summary.active_tier == ActiveTier::None)
    })
    .await;
    rig.no_series(r#"namespace="scale",group="scale",server="#).await;
    took("scaled from 50 to 0", began);
    println!("scaled from 0 to 50 to 1: {served} to {} pods, none failed", served.by.len());
}

/// Pods that are ready and not ready in turn, and all not ready at last.
async fn flapping(rig: &Rig) {
    let began = Instant::now();
    rig.apply(&App::new("flap", 3).to_string()).await;
    rig.rolled_out("flap", "flap").await;
    rig.serves("flap.example").await;
    let load = load("flap.example");
    let pods = rig.app_pods("flap").await;
    for (_, address) in pods.iter().chain(&pods) {
        turn(*address, "no").await;
        rig.ready_endpoints("flap", 2).await;
        turn(*address, "yes").await;
        rig.ready_endpoints("flap", 3).await;
    }
    let served = load.end().await;
    rig.shows_ready("flap", "3/3").await;
    for (_, address) in &pods {
        turn(*address, "no").await;
    }
    answers("flap.example", 503, "").await;
    turn(pods[0].1, "yes").await;
    answers("flap.example", 200, "flap").await;
    let status = rig.shows_ready("flap", "1/1").await;
    assert!(status.servers.iter().all(|server| server.failures == 0), "{:?}", status.servers);
    took("flapping", began);
    println!("flapping: {served}, none failed");
}

/// Tells a pod to say that it is ready, or not.
async fn turn(address: SocketAddr, answer: &str) {
    request("PUT", address, &format!("/ready/{answer}"), "pod").await.expect("a pod that listens");
}

/// New pods of a group at addresses whose pods before them were out on their failures: they start with a clean record.
async fn reuse_in_a_group(rig: &Rig) {
    let began = Instant::now();
    rig.apply(&App { server: ", failTimeout: 1h", ..App::new("again", 2) }.to_string()).await;
    rig.rolled_out("again", "again").await;
    answers("again.example", 200, "again").await;
    let pods = rig.app_pods("again").await;
    for (_, address) in &pods {
        request("PUT", *address, "/break", "pod").await.expect("a pod that listens");
    }
    answers("again.example", 502, "").await;
    rig.run("scale deployment/again -n again --replicas=0").await;
    rig.shows_ready("again", "0/0").await;
    for ((_, address), replicas) in pods.iter().zip(1..) {
        rig.free(*address).await;
        rig.run(&format!("scale deployment/again -n again --replicas={replicas}")).await;
        rig.rolled_out("again", "again").await;
    }
    let addresses = |pods: &[(String, SocketAddr)]| pods.iter().map(|(_, address)| *address).collect::<BTreeSet<_>>();
    assert_eq!(addresses(&rig.app_pods("again").await), addresses(&pods), "the addresses are used again");
    let status = rig.shows_ready("again", "2/2").await;
    assert!(status.servers.iter().all(|server| server.failures == 0), "{:?}", status.servers);
    answers("again.example", 200, "again").await;
    took("addresses used again in a group", began);
}

/// An address goes to a pod of another application: nobody who asks for the first is answered by the second.
async fn reuse_by_another(rig: &Rig) {
    let began = Instant::now();
    rig.apply(&App::new("first", 2).to_string()).await;
    rig.apply(&App::new("second", 0).to_string()).await;
    rig.rolled_out("first", "first").await;
    rig.serves("first.example").await;
    let load = load("first.example");
    let (pod, address) = rig.app_pods("first").await.swap_remove(0);
    rig.run(&format!("delete pod {pod} -n first")).await;
    rig.rolled_out("first", "first").await;
    rig.free(address).await;
    rig.run("scale deployment/second -n second --replicas=1").await;
    rig.rolled_out("second", "second").await;
    assert_eq!(rig.app_pods("second").await[0].1, address, "the address is used again");
    answers("second.example", 200, "second").await;
    rig.shows_its_pods("first").await;
    let served = load.end().await;
    assert!(served.by.keys().all(|pod| pod.starts_with("first-")), "{served:?}");
    took("an address used by another", began);
    println!("an address used by another: {served}, none failed, none astray");
}

/// The port of a Service gets another name. Who refers to it by number does not notice.
async fn rename(rig: &Rig) {
    let began = Instant::now();
    rig.apply(&App::new("rename", 2).to_string()).await;
    rig.apply(&ingress("rename", "number", "service: {name: rename, port: {number: 80}}")).await;
    rig.rolled_out("rename", "rename").await;
    rig.serves("rename.example").await;
    rig.serves("number.example").await;
    let load = load("number.example");
    for name in ["web", "http", "web", "http", "web"] {
        let ports = format!(r#"{{"spec":{{"ports":[{{"name":"{name}","port":80,"targetPort":"http"}}]}}}}"#);
        rig.run(&format!("patch service rename -n rename --type=merge -p {ports}")).await;
        answers("rename.example", if name == "http" { 200 } else { 503 }, "").await;
    }
    rig.status("rename", "rename", "that the reference leads nowhere", |status| {
        let lost = |one: &Condition| one.type_ == "ResolvedRefs" && one.message.contains("no TCP port \"http\"");
        status.conditions.iter().any(lost)
    })
    .await;
    let servers = r#"{"spec":{"servers":[{"name":"app","service":{"name":"rename","port":"web"}}]}}"#;
    rig.run(&format!("patch ug rename -n rename --type=merge -p {servers}")).await;
    answers("rename.example", 200, "rename").await;
    rig.shows_ready("rename", "2/2").await;
    let served = load.end().await;
    took("a port renamed", began);
    println!("a port renamed: {served}, none failed");
}

/// Everything of everybody but one is deleted.
async fn removal(rig: &Rig) {
    let began = Instant::now();
    let load = load("first.example");
    let gone = ["orderly", "hasty", "scale", "flap", "again", "second", "rename", "tls", "good", "bad"];
    rig.run(&format!("delete namespace {} --timeout=90s", gone.join(" "))).await;
    for name in gone {
        answers(&format!("{name}.example"), 404, "").await;
        rig.no_series(&format!("namespace=\"{name}\"")).await;
    }
    for (_, controller) in rig.pods("controller").await {
        let published = rig.admin(controller, "/api/v1/config").await.expect("an answer");
        assert!(published.contains("group/first/first"), "{published}");
        for name in gone {
            assert!(!published.contains(&format!("/{name}/")), "{published}");
        }
    }
    println!("everything deleted: {}, none failed", load.end().await);
    took("everything deleted", began);
}
