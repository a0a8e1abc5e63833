//! `forebay run` in a cluster: the one-pod installation with the rights of `manifests/one-pod`, and what a person runs with their own
//! kubeconfig beside it.

use std::ffi::OsStr;
use std::path::Path;

use api::UpstreamGroup;
use cluster::forebay::{ADMIN, HTTP};
use cluster::{Forebay, NAMESPACE, until};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::networking::v1::Ingress;

use crate::objects::{app, slice};
use crate::rig::{Load, Rig, admin, answers, has, serve};

const RBAC: &str = include_str!("../../../../manifests/one-pod/rbac.yaml");

/// `forebay run` as the `n`th pod, in this namespace if it knows one.
fn run(rig: &Rig, n: u8, kubeconfig: &Path, namespace: &str) -> Forebay {
    let address = format!("10.99.6.{n}");
    let arguments = [
        "run".to_owned(),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--admin={address}:{ADMIN}"),
        format!("--http={address}:{HTTP}"),
        "--publish-address=192.0.2.1".to_owned(),
        "--status-interval=1s".to_owned(),
    ];
    let environment = [("POD_NAMESPACE", OsStr::new(namespace))];
    let pod = (NAMESPACE, &*format!("run-{n}"));
    Forebay::start_with(&rig.installed.cluster, pod, &address, arguments, &environment)
}

#[tokio::test]
async fn run_follows_a_cluster_and_writes_what_comes_of_it() {
    let Some(rig) = Rig::start().await else { return };
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[RBAC, &app("app"), &slice("app", &[1])]).await;
    let kubeconfig = rig.installed.cluster.service_account(NAMESPACE, "forebay").unwrap();
    let forebay = run(&rig, 1, &kubeconfig, NAMESPACE);
    serve(&[&forebay], "app.example", "pod-1").await;
    assert_eq!(admin(&forebay, "/readyz").await.unwrap().status, 200);
    let ready = |status: &api::UpstreamGroupStatus, all: &str| {
        status.data_planes.as_ref().is_some_and(|planes| planes.ready == all)
            && status.summary.as_ref().is_some_and(|summary| summary.ready == all)
            && has(status, "Programmed=True(Programmed)")
    };
    rig.status("app", "what the data plane reports", |status| ready(status, "1/1")).await;
    rig.shows("shop", "app", "the address of the Ingress", |ingress: &Ingress| {
        let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        balancer.is_some_and(|said| said.len() == 1 && said[0].ip.as_deref() == Some("192.0.2.1"))
    })
    .await;

    let load = Load::start(&[&forebay], "app.example");
    rig.apply(&[&slice("app", &[2])]).await;
    serve(&[&forebay], "app.example", "pod-2").await;
    rig.status("app", "requests to pod-2", |status| {
        let [server] = &status.servers[..] else { return false };
        server.pod.as_deref() == Some("pod-2") && server.up_on == "1/1" && server.requests > 0
    })
    .await;
    load.end().await;
    rig.apply(&[&slice("app", &[])]).await;
    rig.event("GroupDown", "app").await;
    rig.run("delete ingress app -n shop").await;
    answers(&forebay, "app.example", 404, "").await;

    // One page for both halves.
    let metrics = admin(&forebay, "/metrics").await.unwrap().body;
    let has = |line: &str| metrics.lines().any(|one| one == line);
    assert!(has("forebay_controller_leader 1") && has("forebay_controller_data_planes 1"), "{metrics}");
    assert!(has("forebay_controller_synchronised 1") && metrics.contains("forebay_build_info{"), "{metrics}");
    let log = forebay.log();
    assert!(!log.contains("forbidden") && !log.contains("cannot "), "{log}");

    forebay.signal("TERM");
    rig.shows(NAMESPACE, "forebay-controller", "the lease given back", |lease: &Lease| {
        lease.spec.as_ref().is_some_and(|spec| spec.holder_identity.is_none())
    })
    .await;
}

#[tokio::test]
async fn who_may_not_write_or_does_not_lead_serves_all_the_same() {
    let Some(rig) = Rig::start().await else { return };
    let _pod = rig.pod(1).await;
    rig.apply(&[RBAC, &app("app"), &slice("app", &[1])]).await;
    rig.run("delete rolebinding forebay -n forebay").await;
    let [restricted, administrator] = [
        rig.installed.cluster.service_account(NAMESPACE, "forebay").unwrap(),
        rig.installed.cluster.kubeconfig("admin"),
    ];

    let reader = run(&rig, 1, &restricted, NAMESPACE);
    let said = reader.logged("cannot get the lease forebay/forebay-controller").await;
    assert!(said.contains("resourceNames: [forebay-controller]") && said.contains("verbs: [get]"), "{said}");
    assert!(said.contains("only who leads writes status"), "{said}");
    let developer = run(&rig, 2, &administrator, "");
    developer.logged("the cluster is only read").await;
    serve(&[&reader, &developer], "app.example", "pod-1").await;
    let group: UpstreamGroup = rig.api("shop").get("app").await.unwrap();
    assert!(group.status.is_none(), "{:?}", group.status);

    // Beside controllers it waits for its turn, and tells nobody.
    let _controller = rig.installed.controller(1);
    let leader = rig.leader(None).await;
    let follower = run(&rig, 3, &administrator, NAMESPACE);
    follower.logged(&format!("{leader} leads by the lease forebay-controller")).await;
    serve(&[&follower], "app.example", "pod-1").await;
    until("the status of the controller", async || {
        let metrics = admin(&follower, "/metrics").await.ok()?.body;
        metrics.lines().any(|line| line == "forebay_controller_leader 0").then_some(())
    })
    .await;
    rig.status("app", "the controller's word", |status| has(status, "Programmed=Unknown(Pending)")).await;
    assert_eq!(rig.leader(None).await, leader);
    assert_eq!(reader.log().matches("cannot get the lease").count(), 1, "{}", reader.log());
}
