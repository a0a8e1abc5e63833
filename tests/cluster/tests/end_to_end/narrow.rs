//! A controller of some namespaces alone, with the rights of `manifests/namespaced`: it wants no others, and sees no others.

use cluster::{Kubectl, NAMESPACE};
use k8s_openapi::api::networking::v1::Ingress;

use crate::objects::{app, ingress, slice};
use crate::rig::{Rig, admin, answers, get, has, serve};

const RBAC: &str = include_str!("../../../../manifests/namespaced/rbac.yaml");

#[tokio::test]
async fn some_namespaces_need_roles_there_alone() {
    let Some(rig) = Rig::start().await else { return };
    for namespace in ["team", "foreign"] {
        rig.run(&format!("create namespace {namespace}")).await;
    }
    rig.run("delete clusterrole,clusterrolebinding forebay-controller").await;
    rig.apply(&[RBAC]).await;
    let of_namespace =
        RBAC.rsplitn(3, "---\n").take(2).map(|one| one.replacen("namespace: shop", "namespace: team", 1));
    rig.apply(&of_namespace.collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>()).await;

    let kubeconfig = rig.installed.cluster.service_account(NAMESPACE, "forebay-controller").unwrap();
    let may = Kubectl::new(rig.installed.kubectl().program(), &kubeconfig);
    let lists = |namespace: &str| may.call(["get", "ug,ingress,service,secret", "-n", namespace], "").success;
    assert!(lists("shop") && lists("team") && !lists("foreign") && !lists(NAMESPACE));
    let scope = ["--watch-namespace=shop", "--watch-namespace=team", "--publish-service=forebay/forebay"];
    let controller = rig.installed.controller_as(1, &kubeconfig, &scope);
    let address = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}"#;
    rig.run(&format!("patch service forebay -n forebay --subresource=status --type=merge -p {address}")).await;
    let proxy = rig.installed.proxy(1).await;
    let _pod = rig.pod(1).await;
    for (name, namespace) in [("app", "shop"), ("two", "team"), ("three", "foreign")] {
        let there = |text: String| text.replace("namespace: shop", &format!("namespace: {namespace}"));
        rig.apply(&[&there(app(name)), &there(slice(name, &[1]))]).await;
    }
    rig.apply(&[&ingress("lost", "")]).await;

    serve(&[&proxy], "app.example", "pod-1").await;
    serve(&[&proxy], "two.example", "pod-1").await;
    answers(&proxy, "lost.example", 503, "").await;
    assert_eq!(get(&proxy, "three.example").await.unwrap().status, 404);
    rig.status("app", "Programmed", |status| has(status, "Programmed=True(Programmed)")).await;
    rig.event("BackendNotFound", "lost").await;
    rig.shows("team", "two", "the address of the Ingress", |ingress: &Ingress| {
        let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        balancer.is_some_and(|said| said.len() == 1 && said[0].ip.as_deref() == Some("192.0.2.7"))
    })
    .await;
    let metrics = admin(&controller, "/metrics").await.unwrap().body;
    for name in [
        "reconcile_total{result=\"changed\"}",
        "reconcile_seconds_count",
        "status_writes_total{result=\"written\"}",
        "status_writes_skipped_total",
        "events_total{result=\"created\"}",
        "leader 1",
        "queue_depth",
        "synchronised 1",
        "objects{kind=\"UpstreamGroup\"} 2",
    ] {
        assert!(metrics.contains(&format!("forebay_controller_{name}")), "{name}: {metrics}");
    }
    assert!(!metrics.contains("watch_errors_total{"), "{metrics}");
    let log = controller.log();
    assert!(!log.contains("forbidden") && !log.contains("cannot "), "{log}");
}
