//! The commands that a person points at a cluster with their own kubeconfig.

use cluster::Forebay;
use cluster::forebay::{ADMIN, HTTP};

use crate::objects::{app, slice};
use crate::rig::{Load, Rig, admin, answers, serve};

#[tokio::test]
async fn run_follows_a_cluster() {
    let Some(rig) = Rig::start().await else { return };
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    let address = "10.99.6.1";
    let arguments = [
        "run".to_owned(),
        format!("--kubeconfig={}", rig.installed.cluster.kubeconfig("admin").display()),
        format!("--admin={address}:{ADMIN}"),
        format!("--http={address}:{HTTP}"),
    ];
    let forebay = Forebay::start(&rig.installed.cluster, ("default", "run"), address, arguments);
    serve(&[&forebay], "app.example", "pod-1").await;
    assert_eq!(admin(&forebay, "/readyz").await.unwrap().status, 200);
    let load = Load::start(&[&forebay], "app.example");
    rig.apply(&[&slice("app", &[2])]).await;
    serve(&[&forebay], "app.example", "pod-2").await;
    load.end().await;
    rig.run("delete ingress app -n shop").await;
    answers(&forebay, "app.example", 404, "").await;
}
