//! Processes that are killed: a leader, all controllers, a data plane, the API server, etcd. Nobody notices but the status.

use std::time::Instant;

use cluster::{Part, until};

use crate::objects::slice;
use crate::rig::{Fleet, Load, Rig, admin, has, serve};

#[tokio::test]
async fn another_leads_when_the_leader_is_killed() {
    let Some(rig) = Rig::start().await else { return };
    let Fleet { mut controllers, data_planes: [first, second], pods: _pods } = rig.fleet().await;
    rig.status("app", "Programmed", |status| has(status, "Programmed=True(Programmed)")).await;
    let load = Load::start(&[&first, &second], "app.example");

    let leader = rig.leader(None).await;
    controllers.remove(usize::from(!leader.starts_with("controller-1_"))).kill();
    let killed = Instant::now();
    // The other one serves the feed whoever leads.
    rig.apply(&[&slice("app", &[2])]).await;
    serve(&[&first, &second], "app.example", "pod-2").await;
    println!("the leader killed: a change reaches both data planes {:?} later", killed.elapsed());
    rig.leader(Some(&leader)).await;
    println!("the leader killed: another leads after {:?}", killed.elapsed());
    rig.status("app", "the status of the new leader", |status| {
        status.servers.iter().any(|server| server.address.starts_with("10.99.3.2:"))
            && status.data_planes.as_ref().is_some_and(|planes| planes.ready == "2/2")
            && has(status, "Programmed=True(Programmed)")
    })
    .await;
    println!("the leader killed: the status is right after {:?}", killed.elapsed());
    println!("the leader killed: {} requests, none failed", load.end().await);
}

#[tokio::test]
async fn traffic_goes_on_without_controllers() {
    let Some(rig) = Rig::start().await else { return };
    let Fleet { controllers, data_planes: [first, second], pods: _pods } = rig.fleet().await;
    until("the last good configuration on disk", async || {
        let kept = rig.installed.folder().join("proxy-2.state/last-good.jsonl");
        std::fs::read_to_string(kept).ok().filter(|kept| kept.contains("shop/app")).map(drop)
    })
    .await;
    let load = Load::start(&[&first], "app.example");
    for controller in controllers {
        controller.kill();
    }

    second.kill();
    let second = rig.installed.proxy(2).await;
    let started = Instant::now();
    serve(&[&second], "app.example", "pod-1").await;
    println!("no controller: a data plane serves its last good configuration {:?} after its start", started.elapsed());
    assert_eq!(admin(&second, "/readyz").await.unwrap().status, 200);

    rig.apply(&[&slice("app", &[2])]).await;
    let _controllers = [rig.installed.controller(1), rig.installed.controller(2)];
    let started = Instant::now();
    serve(&[&first, &second], "app.example", "pod-2").await;
    println!("controllers again: both data planes are right after {:?}", started.elapsed());
    rig.status("app", "the status", |status| {
        status.data_planes.as_ref().is_some_and(|planes| planes.ready == "2/2")
            && status.servers.iter().any(|server| server.address.starts_with("10.99.3.2:"))
    })
    .await;
    println!("controllers again: the status is right after {:?}", started.elapsed());
    println!("no controller: {} requests, none failed", load.end().await);
}

#[tokio::test]
async fn the_api_server_and_etcd_come_back() {
    let Some(rig) = Rig::start().await else { return };
    let Fleet { controllers, data_planes: [first, second], pods: _pods } = rig.fleet().await;
    let load = Load::start(&[&first, &second], "app.example");
    let mut pod = 1;
    for part in [Part::ApiServer, Part::Etcd] {
        rig.installed.cluster.kill(part);
        until("an API server that does not answer", async || {
            let ready = ["get", "--raw=/readyz", "--request-timeout=2s"];
            (!rig.installed.kubectl().call(ready, "").success).then_some(())
        })
        .await;
        for controller in &controllers {
            if part == Part::ApiServer {
                // Without etcd it may keep watches open, and has nothing to tell them.
                controller.logged("the API server cannot be reached").await;
            }
            assert_eq!(admin(controller, "/readyz").await.unwrap().status, 200);
            assert!(admin(controller, "/api/v1/config").await.unwrap().body.contains("group/shop/app"));
        }
        rig.installed.cluster.start(part).unwrap();
        let started = Instant::now();
        rig.installed.until_ready().await;
        println!("{part:?} killed: it is ready after {:?}", started.elapsed());
        pod = 3 - pod;
        rig.apply(&[&slice("app", &[pod])]).await;
        let stored = Instant::now();
        serve(&[&first, &second], "app.example", &format!("pod-{pod}")).await;
        println!("{part:?} killed: changes flow {:?} after it could be told one", stored.elapsed());
        rig.status("app", "the status", |status| {
            status.servers.iter().any(|server| server.address.starts_with(&format!("10.99.3.{pod}:")))
                && has(status, "Programmed=True(Programmed)")
        })
        .await;
        println!("{part:?} killed: the status is right after {:?}", stored.elapsed());
    }
    println!("API server and etcd killed: {} requests, none failed", load.end().await);
}
