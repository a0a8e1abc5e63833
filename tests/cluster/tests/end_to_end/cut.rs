//! Partitions that last longer than every timeout: whose packets lead nowhere hears no refusal and no end.

use std::time::{Duration, Instant};

use cluster::{Installed, within};

use crate::objects::{app, slice};
use crate::rig::{Fleet, Load, Rig, admin, has, serve};

/// More than a data plane waits for a controller (35 s) and a controller for a data plane.
const LONG: Duration = Duration::from_secs(45);

/// Once it is mended: whoever was cut off tries again within 10 s, and the status is right 3 s later.
const MENDED: Duration = Duration::from_secs(40);

#[tokio::test]
async fn between_data_planes_and_controllers() {
    let Some(rig) = Rig::start().await else { return };
    let Fleet { controllers: _controllers, data_planes: [first, second], pods: _pods } = rig.fleet().await;
    rig.status("app", "Programmed", |status| has(status, "Programmed=True(Programmed)")).await;
    let load = Load::start(&[&first, &second], "app.example");
    let addresses = [1, 2].map(Installed::controller_address);
    for address in &addresses {
        rig.installed.cut(address);
    }
    let cut = Instant::now();
    rig.apply(&[&slice("app", &[1, 2])]).await;
    let status = |planes: &'static str| {
        move |status: &api::UpstreamGroupStatus| {
            let ready = status.data_planes.as_ref().map(|planes| planes.ready.clone());
            ready.is_some_and(|ready| ready == planes)
        }
    };
    rig.status("app", "that no data plane is heard of", status("0/0")).await;
    println!("data planes cut off: the status says so after {:?}", cut.elapsed());
    tokio::time::sleep(LONG.saturating_sub(cut.elapsed())).await;
    for data_plane in [&first, &second] {
        assert_eq!(admin(data_plane, "/readyz").await.unwrap().status, 200);
    }
    for address in &addresses {
        rig.installed.cluster.address(address).unwrap();
    }
    let mended = Instant::now();
    within(MENDED, "the data planes", serve(&[&first, &second], "app.example", "pod-2")).await;
    println!("data planes cut off: they are right {:?} after it is mended", mended.elapsed());
    within(MENDED, "the status", rig.status("app", "both data planes", status("2/2"))).await;
    println!("data planes cut off: the status is right after {:?}", mended.elapsed());
    println!("data planes cut off: {} requests, none failed", load.end().await);
}

#[tokio::test]
async fn between_controllers_and_the_api_server() {
    let Some(rig) = Rig::start().await else { return };
    let Fleet { controllers, data_planes: [first, second], pods: _pods } = rig.fleet().await;
    let load = Load::start(&[&first, &second], "app.example");
    rig.installed.cut(cluster::ADDRESS);
    let cut = Instant::now();
    tokio::time::sleep(LONG).await;
    for controller in &controllers {
        assert_eq!(admin(controller, "/readyz").await.unwrap().status, 200);
        assert!(admin(controller, "/api/v1/config").await.unwrap().body.contains("group/shop/app"));
        let metrics = admin(controller, "/metrics").await.unwrap().body;
        assert!(metrics.contains("forebay_controller_leader 0"), "nobody leads whom the Lease cannot tell so");
    }
    rig.installed.cluster.address(cluster::ADDRESS).unwrap();
    let mended = Instant::now();
    println!("controllers cut off for {:?}", mended - cut);
    rig.apply(&[&slice("app", &[2])]).await;
    within(MENDED, "the data planes", serve(&[&first, &second], "app.example", "pod-2")).await;
    println!("controllers cut off: changes flow {:?} after it is mended", mended.elapsed());
    let status = rig.status("app", "the status", |status| {
        status.servers.iter().any(|server| server.address.starts_with("10.99.3.2:"))
            && has(status, "Programmed=True(Programmed)")
    });
    within(MENDED, "the status", status).await;
    println!("controllers cut off: the status is right after {:?}", mended.elapsed());
    println!("controllers cut off: {} requests, none failed", load.end().await);
}

#[tokio::test]
async fn controllers_that_stand_still() {
    let Some(rig) = Rig::start().await else { return };
    let controllers = [rig.installed.controller(1), rig.installed.controller(2)];
    let proxy = rig.installed.proxy(1).await;
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    rig.status("app", "Programmed", |status| has(status, "Programmed=True(Programmed)")).await;
    let load = Load::start(&[&proxy], "app.example");
    for controller in &controllers {
        controller.signal("STOP");
    }
    rig.apply(&[&slice("app", &[2])]).await;
    tokio::time::sleep(LONG).await;
    for controller in &controllers {
        controller.signal("CONT");
    }
    let mended = Instant::now();
    within(MENDED, "the data plane", serve(&[&proxy], "app.example", "pod-2")).await;
    println!("controllers stood still: a data plane is right after {:?}", mended.elapsed());
    let status = rig.status("app", "the status", |status| {
        status.servers.iter().any(|server| server.address.starts_with("10.99.3.2:"))
            && has(status, "Programmed=True(Programmed)")
    });
    within(MENDED, "the status", status).await;
    println!("controllers stood still: the status is right after {:?}", mended.elapsed());
    println!("controllers stood still: {} requests, none failed", load.end().await);
}
