//! The one-pod installation, `manifests/one-pod`: installed by kubectl, asked from outside, and replaced by its next release.

use std::time::Instant;

use api::UpstreamGroupStatus;
use cluster::NAMESPACE;
use k8s_openapi::api::networking::v1::Ingress;

use crate::objects::App;
use crate::rig::{IMAGE, OUTSIDE, ROOT, Rig, answers, load, took};

#[tokio::test]
async fn one_pod_is_a_whole_installation() {
    let Some(rig) = Rig::start().await else { return };
    let began = Instant::now();
    let files =
        ["namespace.yaml", "crd", "ingressclass.yaml", "one-pod"].map(|file| format!("-f {ROOT}/manifests/{file}"));
    rig.run(&format!("apply --server-side --warnings-as-errors {}", files.join(" "))).await;
    rig.balance_load().await;
    rig.rolled_out(NAMESPACE, "forebay").await;
    took("one pod installed from nothing, it is ready", began);

    rig.apply(&App::new("app", 2).to_string()).await;
    rig.rolled_out("app", "app").await;
    answers("app.example", 200, "app").await;
    rig.status("app", "app", "two servers, ready and programmed", |status| is_ready(status, "2/2")).await;
    let row = rig.run("get ug app -n app --no-headers -o wide").await;
    let row: Vec<_> = row.split_whitespace().collect();
    assert!(row.starts_with(&["app", "RoundRobin", "2/2", "Primary", "True", "True"]) && row[7] == "1/1", "{row:?}");
    rig.seen
        .shows("app", "app", "the address of the load balancer", |ingress: &Ingress| {
            let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
            balancer.is_some_and(|said| said.iter().any(|at| at.ip.as_deref() == Some(&*OUTSIDE.ip().to_string())))
        })
        .await;
    replaced(&rig).await;
    assert_eq!(rig.restarts().await, ["0"]);
}

/// The next release serves before this one leaves, and leads at once.
async fn replaced(rig: &Rig) {
    let (leader, former) = (rig.seen.leader(None).await, rig.pods("one-pod").await);
    let next = IMAGE.replace("0.1.0", "0.2.0");
    rig.cluster.tag(IMAGE, &next).expect("an image");
    let load = load("app.example");
    rig.run(&format!("set image deployment/forebay forebay={next} -n {NAMESPACE}")).await;
    rig.rolled_out(NAMESPACE, "forebay").await;
    rig.seen.leader(Some(&leader)).await;
    for (pod, _) in former {
        rig.run(&format!("wait pod/{pod} -n {NAMESPACE} --for=delete --timeout=90s")).await;
    }
    rig.run("scale deployment/app -n app --replicas=3").await;
    rig.rolled_out("app", "app").await;
    rig.status("app", "app", "three servers", |status| is_ready(status, "3/3")).await;
    println!("one pod replaced: {}, none failed", load.end().await);
}

fn is_ready(status: &UpstreamGroupStatus, servers: &str) -> bool {
    status.summary.as_ref().is_some_and(|summary| summary.ready == servers)
        && status.data_planes.as_ref().is_some_and(|planes| planes.ready == "1/1")
        && status.conditions.iter().any(|one| one.type_ == "Programmed" && one.status == "True")
}
