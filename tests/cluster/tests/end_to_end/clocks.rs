//! Replicas whose clocks are two hours apart, and data planes between them: an hour is what certificates are backdated by.

use std::time::Instant;

use cluster::{Installed, NAMESPACE, Tools, required, until};
use k8s_openapi::api::coordination::v1::Lease;

use crate::objects::{app, slice};
use crate::rig::{Load, Rig, admin, has, serve};

#[tokio::test]
async fn replicas_whose_clocks_differ() {
    // Where Kubernetes is somebody else's there is no library for another clock.
    if required(Tools::find_node()).is_none() {
        return;
    }
    let Some(rig) = Rig::start().await else { return };
    let clocks = ["+1h", "-1h"];
    let mut controllers =
        [(1, clocks[0]), (2, clocks[1])].map(|(n, clock)| Some(rig.installed.controller_at(n, clock)));
    let [first, second] = [rig.installed.proxy(1).await, rig.installed.proxy(2).await];
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    serve(&[&first, &second], "app.example", "pod-1").await;
    let load = Load::start(&[&first, &second], "app.example");

    let mut former: Option<String> = None;
    for pod in [2, 1] {
        let leader = rig.leader(former.as_deref()).await;
        let place = usize::from(!leader.starts_with("controller-1_"));
        let lease: Lease = rig.shows(NAMESPACE, "forebay-controller", "the lease", |_| true).await;
        // The API server's clock is right.
        let created = lease.metadata.creation_timestamp.expect("a stored lease").0;
        let renewed = lease.spec.and_then(|spec| spec.renew_time).expect("a renewed lease").0;
        let ahead = renewed.as_second() - created.as_second();
        assert_eq!(ahead > 1800, place == 0, "{leader} renewed {ahead} s from now");
        assert_eq!(ahead < -1800, place == 1, "{leader} renewed {ahead} s from now");

        let changed = Instant::now();
        rig.apply(&[&slice("app", &[pod])]).await;
        serve(&[&first, &second], "app.example", &format!("pod-{pod}")).await;
        rig.status("app", "the status of the one that leads", |status| {
            status.servers.iter().any(|server| server.address.starts_with(&format!("10.99.3.{pod}:")))
                && status.data_planes.as_ref().is_some_and(|planes| planes.ready == "2/2")
                && has(status, "Programmed=True(Programmed)")
                && has(status, "Available=True(Available)")
        })
        .await;
        println!("clock {}: it leads, and its status is right after {:?}", clocks[place], changed.elapsed());
        let mut leading = 0;
        for controller in controllers.iter().flatten() {
            let metrics = admin(controller, "/metrics").await.expect("an answer").body;
            leading += usize::from(metrics.lines().any(|line| line == "forebay_controller_leader 1"));
        }
        assert_eq!(leading, 1, "one leads");

        let killed = Instant::now();
        controllers[place].take().expect("it led").kill();
        let other = rig.leader(Some(&leader)).await;
        println!("clock {}: killed; the other leads after {:?}", clocks[place], killed.elapsed());
        assert!(!other.starts_with(&leader[..leader.find('_').unwrap_or_default()]), "{other} after {leader}");
        let n = if place == 0 { 1 } else { 2 };
        let again = rig.installed.controller_at(n, clocks[place]);
        let known = async || Some(admin(&again, "/readyz").await.ok()?.status == 200).filter(|ready| *ready);
        until("the killed one to be back", known).await;
        assert_eq!(again.address, Installed::controller_address(n));
        controllers[place] = Some(again);
        former = Some(leader);
    }
    println!("clocks that differ: {}, none failed", load.end().await);
}
