//! Who leaves for good: a leader that ends in order gives its Lease back, and a data plane that is gone is named, then forgotten.

use cluster::{NAMESPACE, until};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use crate::objects::{app, group, slice};
use crate::rig::{Load, Rig, has, serve};

/// What a Lease says that nobody renews.
const DURATION_SECONDS: i64 = 15;

#[tokio::test]
async fn a_leader_that_is_stopped_gives_its_lease_back() {
    let Some(rig) = Rig::start().await else { return };
    let mut controllers = vec![rig.installed.controller(1), rig.installed.controller(2)];
    let proxy = rig.installed.proxy(1).await;
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    for controller in &controllers {
        controller.logged("the cluster is known").await;
    }
    let load = Load::start(&[&proxy], "app.example");

    let leader = rig.leader(None).await;
    let mut leaving = controllers.remove(usize::from(!leader.starts_with("controller-1_")));
    let before = lease(&rig, &leader, true).await;
    leaving.signal("TERM");
    let after = lease(&rig, &leader, false).await;
    // Whoever waits for a Lease to expire waits since its last renewal, which is this one or a later one.
    let (renewed, acquired) = (before.renew_time.unwrap().0, after.acquire_time.unwrap().0);
    let waited = acquired.duration_since(renewed);
    assert!(waited.as_secs() < DURATION_SECONDS, "{waited:?} after a renewal: the Lease was left to expire");
    println!("the leader stopped: another leads {waited:?} after the last renewal that was seen");
    let ended = until("the end of who led", async || leaving.process().ended()).await;
    assert!(ended.success(), "{ended}");
    rig.apply(&[&slice("app", &[2])]).await;
    rig.status("app", "the status of the new leader", |status| {
        status.servers.iter().any(|server| server.address.starts_with("10.99.3.2:"))
            && has(status, "Programmed=True(Programmed)")
    })
    .await;
    println!("the leader stopped: {}, none failed", load.end().await);
}

/// The Lease, once it is held by `holder`, or by somebody else.
async fn lease(rig: &Rig, holder: &str, is_held: bool) -> LeaseSpec {
    let fits = |lease: &Lease| {
        let held_by = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        held_by.is_some_and(|held_by| !held_by.is_empty() && (held_by == holder) == is_held)
    };
    let what = format!("a Lease that is {}held by {holder}", if is_held { "" } else { "not " });
    rig.shows(NAMESPACE, "forebay-controller", &what, fits).await.spec.unwrap()
}

#[tokio::test]
async fn a_data_plane_that_is_gone_for_good_is_named_then_forgotten() {
    let Some(rig) = Rig::start().await else { return };
    let _controllers = [rig.installed.controller(1), rig.installed.controller(2)];
    let [first, second] = [rig.installed.proxy(1).await, rig.installed.proxy(2).await];
    let _pod = rig.pod(1).await;
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    serve(&[&first, &second], "app.example", "pod-1").await;
    let proxies = |status: &api::UpstreamGroupStatus, ready: &str| {
        status.data_planes.as_ref().is_some_and(|planes| planes.ready == ready)
    };
    rig.status("app", "both data planes", |status| {
        proxies(status, "2/2") && has(status, "Programmed=True(Programmed)")
    })
    .await;
    let load = Load::start(&[&first], "app.example");

    second.kill();
    rig.apply(&[&group("app", "  keepalive: {connections: 7}")]).await;
    let group = rig
        .status("app", "who is missing", |status| {
            status.observed_generation == Some(2) && has(status, "Programmed=False(Pending)") && proxies(status, "1/2")
        })
        .await;
    let conditions = group.status.unwrap().conditions;
    let said = conditions.into_iter().find(|condition| condition.type_ == "Programmed").unwrap().message;
    assert!(said.contains("proxy-2") && !said.contains("proxy-1"), "{said}");
    // It reports no more, and 35 s later it is nobody who could be waited for.
    rig.status("app", "the other one alone", |status| {
        proxies(status, "1/1") && has(status, "Programmed=True(Programmed)")
    })
    .await;
    println!("a data plane gone for good: {said:?}; {}, none failed", load.end().await);
}
