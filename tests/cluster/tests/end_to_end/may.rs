//! Who may see what: a sidecar its own namespace, a stolen or foreign token nothing.

use std::fs;

use cluster::forebay::ADMIN;
use cluster::{Forebay, Installed, NAMESPACE};

use crate::objects::{app, slice};
use crate::rig::{Rig, admin, answers, serve};

#[tokio::test]
async fn a_sidecar_sees_the_groups_of_its_namespace() {
    let Some(rig) = Rig::start().await else { return };
    let controller = rig.installed.controller(1);
    rig.run("create namespace team").await;
    rig.run("create serviceaccount app --namespace team").await;
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1]), &app("other"), &slice("other", &[2])]).await;
    controller.logged("the cluster is known").await;

    let sidecar = rig.installed.sidecar("shop", 1, "shop/app").await;
    answers(&sidecar, "anything", 200, "pod-1").await;
    let known = admin(&sidecar, "/api/v1/groups").await.unwrap().body;
    assert!(known.contains("\"app\"") && !known.contains("\"other\""), "{known}");
    rig.status("app", "the sidecar", |status| status.data_planes.as_ref().is_some_and(|planes| planes.ready == "1/1"))
        .await;

    let stranger = rig.installed.sidecar("team", 2, "shop/app").await;
    stranger.logged("this identity may not see namespace").await;
    answers(&stranger, "anything", 503, "").await;
}

#[tokio::test]
async fn what_is_not_theirs_is_refused() {
    let Some(rig) = Rig::start().await else { return };
    let _controller = rig.installed.controller(1);
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    let _pod = rig.pod(1).await;
    let ca = rig.installed.authority().await;
    let start = |n: u8, token: &str, instance: &str| {
        let (name, address) = (format!("thief-{n}"), format!("10.99.5.{n}"));
        let file = rig.installed.folder().join(format!("{name}.token"));
        fs::write(&file, token).unwrap();
        let arguments = [
            "proxy".to_owned(),
            format!("--controller={}", Installed::url()),
            format!("--controller-ca={}", ca.display()),
            format!("--token={}", file.display()),
            format!("--instance={instance}"),
            format!("--admin={address}:{ADMIN}"),
            format!("--http={address}:8080"),
        ];
        Forebay::start(&rig.installed.cluster, (NAMESPACE, &name), &address, arguments)
    };
    let cluster = &rig.installed.cluster;

    // A token for the API server, as every pod has by default; one of nobody.
    let other_audience = start(1, &cluster.token(NAMESPACE, "forebay-proxy", None), "forebay/thief-1");
    let nobodys = start(2, "abc.def.ghi", "forebay/thief-2");
    // A good token of an application that asks for everything.
    let everything = start(3, &cluster.token("shop", "app", Some("forebay.dev")), "shop/thief-3");
    // The token of one pod in another's name.
    rig.installed.pod(NAMESPACE, "robbed", "forebay-proxy");
    let robbed = rig.installed.pod_token(NAMESPACE, "robbed", "forebay-proxy");
    let another = start(4, &robbed, "forebay/proxy-1");
    // The token of a pod that is gone.
    rig.installed.pod(NAMESPACE, "left", "forebay-proxy");
    let left = rig.installed.pod_token(NAMESPACE, "left", "forebay-proxy");
    rig.run("delete pod left -n forebay --force --grace-period=0").await;
    let gone = start(5, &left, "forebay/left");

    for thief in [&other_audience, &nobodys, &gone] {
        thief.logged("401 Unauthorized").await;
    }
    everything.logged("refuses this data plane: this identity may not see every namespace").await;
    another.logged("refuses this data plane: this identity speaks for instance \"forebay/robbed\" alone").await;
    for thief in [&other_audience, &nobodys, &everything, &another, &gone] {
        answers(thief, "app.example", 503, "").await;
        assert_eq!(admin(thief, "/readyz").await.unwrap().status, 503);
    }
    let good = rig.installed.proxy(1).await;
    serve(&[&good], "app.example", "pod-1").await;
}
