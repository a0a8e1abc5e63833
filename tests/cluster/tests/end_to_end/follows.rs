//! What is applied is served, shown and taken back.

use std::time::{Duration, Instant};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testkit::Mode;

use crate::objects::{app, group, ingress, pod_address, slice};
use crate::rig::{Load, Rig, answers, conditions, get, has, serve};

#[tokio::test]
async fn what_is_applied_is_served_and_shown() {
    let Some(rig) = Rig::start().await else { return };
    let [one, two] = [rig.installed.controller(1), rig.installed.controller(2)];
    let [first, second] = [rig.installed.proxy(1).await, rig.installed.proxy(2).await];
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    serve(&[&first, &second], "app.example", "pod-1").await;

    rig.status("app", "a status that is complete", |status| {
        has(status, "Available=True(Available)")
            && has(status, "UsingBackup=False(PrimaryServers)")
            && status.data_planes.as_ref().is_some_and(|planes| planes.ready == "2/2")
    })
    .await;
    let columns = rig.run("get ug -n shop -o wide").await;
    let words = |line: usize| columns.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>();
    let heading = ["NAME", "METHOD", "SERVERS", "TIER", "ACCEPTED", "PROGRAMMED", "AGE", "PROXIES", "REVISION"];
    assert_eq!(words(0), heading, "{columns}");
    assert_eq!(words(1)[..6], ["app", "RoundRobin", "1/1", "Primary", "True", "True"], "{columns}");
    assert_eq!(words(1)[7], "2/2", "{columns}");
    let described = rig.run("describe ug app -n shop").await;
    let servers = format!("{}:8080", pod_address(1));
    for said in ["Accepted", "ResolvedRefs", "Programmed", "Available", "UsingBackup", &servers, "pod-1"] {
        assert!(described.contains(said), "{said}: {described}");
    }

    // The time from the answer of the API server to the first request that is served from the new list.
    let slices = rig.api::<EndpointSlice>("shop");
    let mut took = Vec::new();
    for round in 0_u8..10 {
        let pod = 2 - round % 2;
        let change = json!({"endpoints": [{"addresses": [pod_address(pod)], "conditions": {"ready": true}}]});
        slices.patch("app", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
        let stored = Instant::now();
        while get(&first, "app.example").await.unwrap().body != format!("pod-{pod}") {
            assert!(stored.elapsed() < Duration::from_mins(1), "the traffic does not follow");
        }
        took.push(stored.elapsed());
    }
    took.sort();
    println!("from a stored slice to the first request: median {:?}, worst {:?}", took[5], took[9]);
    drop([one, two]);
}

#[tokio::test]
async fn a_pod_is_killed_while_it_serves() {
    let Some(rig) = Rig::start().await else { return };
    let _controller = rig.installed.controller(1);
    let [first, second] = [rig.installed.proxy(1).await, rig.installed.proxy(2).await];
    let pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1, 2])]).await;
    serve(&[&first, &second], "app.example", "pod-1").await;
    serve(&[&first, &second], "app.example", "pod-2").await;
    let load = Load::start(&[&first, &second], "app.example");
    pods[1].set(Mode::Refuse).await;
    pods[1].close_connections();
    let began = Instant::now();
    // The slice goes on listing it.
    let group = rig
        .status("app", "the failure", |status| {
            status.servers.iter().any(|server| {
                server.address == format!("{}:8080", pod_address(2))
                    && server.ejections >= 2
                    && server.last_failure.is_some()
            }) && status.summary.as_ref().is_some_and(|summary| summary.ready == "1/2")
        })
        .await;
    println!("a dead pod: in the status after {:?}", began.elapsed());
    let status = group.status.unwrap();
    assert_eq!(status.servers[0].address, format!("{}:8080", pod_address(2)), "the worst first: {:?}", status.servers);
    assert!(has(&status, "Available=True(Available)"), "{:?}", conditions(&status));
    let event = rig.event("ServersEjected", "app").await;
    assert!(event.contains(&pod_address(2)), "{event}");
    println!("a dead pod: {} requests, none failed", load.end().await);
}

#[tokio::test]
async fn bad_objects_harm_nobody() {
    let Some(rig) = Rig::start().await else { return };
    let _controller = rig.installed.controller(1);
    let proxy = rig.installed.proxy(1).await;
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1]), &app("other"), &slice("other", &[2])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    serve(&[&proxy], "other.example", "pod-2").await;
    rig.status("app", "Programmed", |status| has(status, "Programmed=True(Programmed)")).await;
    let load = Load::start(&[&proxy], "app.example");

    // Nothing that the API server could know.
    rig.apply(&[&group("app", "  - {name: own, address: \"127.0.0.1:80\"}")]).await;
    let refused = rig.status("app", "a refusal", |status| status.observed_generation == Some(2)).await.status.unwrap();
    assert!(has(&refused, "Accepted=False(Invalid)"), "{:?}", conditions(&refused));
    assert!(has(&refused, "Programmed=False(Stale)"), "{:?}", conditions(&refused));
    let event = rig.event("Rejected", "app").await;
    assert!(event.contains("127.0.0.1"), "{event}");
    // The last good version follows its endpoints, and new objects are served beside it.
    rig.apply(&[&slice("app", &[2]), &app("later"), &slice("later", &[1])]).await;
    serve(&[&proxy], "app.example", "pod-2").await;
    serve(&[&proxy], "later.example", "pod-1").await;
    serve(&[&proxy], "other.example", "pod-2").await;
    // A reference that leads nowhere.
    rig.apply(&[&ingress("lost", "")]).await;
    answers(&proxy, "lost.example", 503, "").await;
    let event = rig.event("BackendNotFound", "lost").await;
    assert!(event.contains("lost"), "{event}");

    rig.apply(&[&group("app", "")]).await;
    rig.status("app", "the mended version", |status| {
        status.observed_generation == Some(3) && has(status, "Programmed=True(Programmed)")
    })
    .await;
    println!("bad objects: {} requests, none failed", load.end().await);
}

#[tokio::test]
async fn everything_is_deleted_and_comes_again() {
    let Some(rig) = Rig::start().await else { return };
    let _controller = rig.installed.controller(1);
    let proxy = rig.installed.proxy(1).await;
    let _pod = rig.pod(1).await;
    let address = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}"#;
    rig.run(&format!("patch service forebay -n forebay --subresource=status --type=merge -p {address}")).await;
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    rig.status("app", "Programmed", |status| has(status, "Programmed=True(Programmed)")).await;
    rig.shows("shop", "app", "the address of the Ingress", |ingress: &Ingress| {
        let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        balancer.is_some_and(|said| said.len() == 1 && said[0].ip.as_deref() == Some("192.0.2.7"))
    })
    .await;

    rig.run("delete endpointslice app -n shop").await;
    answers(&proxy, "app.example", 503, "").await;
    rig.status("app", "that nobody serves", |status| {
        has(status, "ResolvedRefs=False(NoEndpoints)") && has(status, "Available=False(NoEligibleServer)")
    })
    .await;
    rig.run("delete ug app -n shop").await;
    rig.event("BackendNotFound", "app").await;
    answers(&proxy, "app.example", 503, "").await;
    rig.run("delete ingress,service app -n shop").await;
    answers(&proxy, "app.example", 404, "").await;
    assert_eq!(rig.run("get ug,ingress,endpointslice -n shop -o name").await, "");

    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    rig.status("app", "a status of the new one", |status| has(status, "Programmed=True(Programmed)")).await;
}
