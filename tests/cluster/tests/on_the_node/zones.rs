//! Zones as Kubernetes tells of them: the label of the node reaches the data plane through its pod, and hints are those of the
//! control plane.

use std::time::Instant;

use api::UpstreamGroupStatus;
use cluster::{NAMESPACE, get, until};

use crate::objects::App;
use crate::rig::{OUTSIDE, Rig, answers, load, took};

/// Where the node says it is, from before anything runs on it.
const ZONE: &str = "zone-1";

/// To be called before pods are.
pub async fn label(rig: &Rig) {
    rig.run(&format!("label node forebay-node topology.kubernetes.io/zone={ZONE}")).await;
}

/// An application whose Service wants its traffic to stay in the zone, beside an endpoint in another zone, which only shows
/// once it has no hint.
pub async fn zones(rig: &Rig) {
    let began = Instant::now();
    for (pod, _) in rig.pods("proxy").await {
        let log = rig.run(&format!("logs -n {NAMESPACE} {pod}")).await;
        assert!(log.contains(&format!("instance {NAMESPACE}/{pod} in zone {ZONE} asks ")), "{log}");
    }
    for app in [App::new("near", 2), App::new("far", 1)] {
        rig.apply(&app.to_string()).await;
        rig.rolled_out(app.name, app.name).await;
    }
    answers("near.example", 200, "near").await;
    rig.run(r#"patch service near -n near --type=merge -p {"spec":{"trafficDistribution":"PreferSameZone"}}"#).await;
    let slices = "get endpointslices -n near -l endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io";
    until("hints", async || {
        let zones = rig.run(&format!("{slices} -o jsonpath={{.items[*].endpoints[*].hints.forZones[*].name}}")).await;
        (zones == [ZONE; 2].join(" ")).then_some(())
    })
    .await;
    let load = load("near.example");
    let (pod, address) = rig.app_pods("far").await.remove(0);
    let endpoint = |hints: &str| {
        format!(
            "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: elsewhere, namespace: near, labels: {{kubernetes.io/service-name: near}}}}
addressType: IPv4
ports: [{{name: http, port: {}, protocol: TCP}}]
endpoints:
- addresses: [{}]
  conditions: {{ready: true}}
{hints}
",
            address.port(),
            address.ip()
        )
    };
    let revision =
        |status: &UpstreamGroupStatus| status.data_planes.as_ref().and_then(|planes| planes.revision.clone());
    let before = revision(&rig.shows_ready("near", "2/2").await);
    rig.apply(&endpoint("  hints: {forZones: [{name: zone-2}]}")).await;
    // Every data plane runs the version with the endpoint, and none uses it.
    rig.status("near", "near", "an endpoint out of sight", |status| {
        revision(status) != before
            && status.data_planes.as_ref().is_some_and(|planes| planes.ready == "3/3")
            && status.servers.len() == 2
            && status.servers.iter().all(|server| server.up_on == "3/3")
    })
    .await;
    rig.apply(&endpoint("")).await;
    rig.shows_ready("near", "3/3").await;
    until(&format!("an answer of {pod}"), async || {
        get(OUTSIDE, "/", "near.example").await.is_ok_and(|answer| answer.body.starts_with(&pod)).then_some(())
    })
    .await;
    println!("zones: {}, none failed", load.end().await);
    took("zones", began);
}
