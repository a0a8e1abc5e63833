//! `--group` and nothing of listeners and workers: what the manifest of a sidecar leaves to us. The namespaces of the cluster have
//! the default port free.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use cluster::forebay::HTTP;
use cluster::{Forebay, until};
use testkit::Mode;

use crate::objects::{app, group, slice};
use crate::rig::{Rig, get};

/// Requests at once, more than connections are kept.
const AT_ONCE: usize = 6;

#[tokio::test]
async fn a_sidecar_serves_its_pod_alone_with_one_worker_and_a_small_pool() {
    let Some(rig) = Rig::start().await else { return };
    let _controller = rig.installed.controller(1);
    let pod = rig.pod(1).await;
    rig.apply(&[&app("app"), &group("app", "  keepalive: {connections: 2}"), &slice("app", &[1])]).await;
    let mut sidecar = rig.installed.sidecar_with("shop", 1, "shop/app", &[]).await;
    let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), HTTP);
    until("the group on the loopback", async || {
        let answer = cluster::get(loopback, "/", "anything").await.ok()?;
        (answer.status == 200 && answer.body == "pod-1").then_some(())
    })
    .await;
    assert!(get(&sidecar, "anything").await.is_err(), "nobody else is served");
    assert_eq!(workers(&mut sidecar), 1);

    // One worker keeps what the group says, and no second one as many again.
    pod.set(Mode::Hold).await;
    let asking: Vec<_> = (0..AT_ONCE)
        .map(|_| tokio::spawn(async move { cluster::get(loopback, "/", "anything").await.map(|answer| answer.status) }))
        .collect();
    pod.gate().held_count(AT_ONCE).await;
    pod.gate().release_all();
    for answer in asking {
        assert_eq!(answer.await.expect("a task"), Ok(200));
    }
    pod.wait_for("what is kept", |record| record.open == 2).await;
}

/// How many threads of a data plane are workers.
fn workers(forebay: &mut Forebay) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", forebay.process().pid())).expect("its threads").flatten();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.starts_with("worker-")).count()
}
