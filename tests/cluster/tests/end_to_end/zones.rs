//! Hints for zones: one controller, data planes in two zones, and who gets what.

use std::collections::BTreeSet;
use std::process::Command;

use cluster::{Forebay, until};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::objects::{app, pod_address, slice};
use crate::rig::{Load, Rig, answers, get, has};

/// The pods that answer twelve requests.
async fn served_by(forebay: &Forebay) -> BTreeSet<String> {
    let mut pods = BTreeSet::new();
    for _ in 0..12 {
        pods.insert(get(forebay, "app.example").await.expect("an answer").body);
    }
    pods
}

async fn is_served_by(forebay: &Forebay, pods: &[&str]) {
    let expected: BTreeSet<_> = pods.iter().map(|pod| (*pod).to_owned()).collect();
    until(&format!("requests for {pods:?}"), async || (served_by(forebay).await == expected).then_some(())).await;
}

/// Gives the pods 1, 2 and 3 hints for these zones; none for an empty one.
async fn hint(rig: &Rig, zones: [&str; 3]) {
    let endpoint = |(pod, zone): (u8, &str)| {
        let mut endpoint = json!({"addresses": [pod_address(pod)], "conditions": {"ready": true}});
        if !zone.is_empty() {
            endpoint["hints"] = json!({"forZones": [{"name": zone}]});
        }
        endpoint
    };
    let endpoints: Vec<Value> = (1..).zip(zones).map(endpoint).collect();
    let change = json!({"endpoints": endpoints});
    let slices = rig.api::<EndpointSlice>("shop");
    slices.patch("app", &PatchParams::default(), &Patch::Merge(&change)).await.expect("the slice");
}

/// `forebay check --cluster`.
async fn check(rig: &Rig) -> String {
    let mut command = Command::new(cluster::forebay::binary());
    command.args(["check", "--cluster", "--kubeconfig"]).arg(rig.installed.cluster.kubeconfig("admin"));
    // A thread made by this one is in the cluster's network, too.
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a task").expect("forebay");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn each_zone_is_served_from_its_part_until_a_hint_is_lost() {
    let Some(rig) = Rig::start().await else { return };
    let _controller = rig.installed.controller(1);
    let in_a = rig.installed.proxy_with(1, &["--zone=a"]).await;
    let in_b = rig.installed.proxy_with(2, &["--zone=b"]).await;
    let _pods = [rig.pod(1).await, rig.pod(2).await, rig.pod(3).await];
    rig.apply(&[&app("app"), &slice("app", &[1, 2, 3])]).await;
    for data_plane in [&in_a, &in_b] {
        answers(data_plane, "app.example", 200, "pod-").await;
        is_served_by(data_plane, &["pod-1", "pod-2", "pod-3"]).await;
    }
    let load = Load::start(&[&in_a, &in_b], "app.example");
    let standing = async |what: &str, ready: &str, up_on: &[(u8, &str)]| {
        rig.status("app", what, |status| {
            let shown = status.servers.iter().map(|server| (server.address.clone(), server.up_on.clone()));
            let expected = up_on.iter().map(|(pod, up)| (format!("{}:8080", pod_address(*pod)), (*up).to_owned()));
            status.summary.as_ref().is_some_and(|summary| summary.ready == ready)
                && shown.collect::<BTreeSet<_>>() == expected.collect()
                && status.data_planes.as_ref().is_some_and(|planes| planes.ready == "2/2")
                && has(status, "Programmed=True(Programmed)")
                && has(status, "Available=True(Available)")
        })
        .await
    };
    standing("everybody everywhere", "3/3", &[(1, "2/2"), (2, "2/2"), (3, "2/2")]).await;

    hint(&rig, ["a", "b", "b"]).await;
    is_served_by(&in_a, &["pod-1"]).await;
    is_served_by(&in_b, &["pod-2", "pod-3"]).await;
    standing("each in its zone", "3/3", &[(1, "1/1"), (2, "1/1"), (3, "1/1")]).await;
    // Nobody is in zone c, and nobody misses anything.
    hint(&rig, ["a", "b", "c"]).await;
    is_served_by(&in_b, &["pod-2"]).await;
    is_served_by(&in_a, &["pod-1"]).await;
    standing("one out of sight", "2/2", &[(1, "1/1"), (2, "1/1")]).await;
    // What a controller would publish is what data planes have, whatever their zones.
    let group = rig.status("app", "a version", |status| status.data_planes.is_some()).await;
    let revision = group.status.and_then(|status| status.data_planes?.revision).expect("a version");
    let checked = check(&rig).await;
    assert!(checked.contains(&format!("= shop/app  {revision}  Programmed True")), "{checked}");

    hint(&rig, ["a", "", "b"]).await;
    for data_plane in [&in_a, &in_b] {
        is_served_by(data_plane, &["pod-1", "pod-2", "pod-3"]).await;
    }
    standing("fail open", "3/3", &[(1, "2/2"), (2, "2/2"), (3, "2/2")]).await;
    println!("zones: {}, none failed", load.end().await);
}
