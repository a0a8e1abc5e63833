//! Objects that cannot be used, beside ones that can: each says what is wrong with it, and nobody else notices.

use std::time::Instant;

use cluster::until;

use crate::objects::{App, ingress};
use crate::rig::{Rig, answers, load, took};

/// A group that is spoilt while it serves, a group of nothing, an Ingress with a Secret that is none, and their neighbour.
pub async fn bad_objects(rig: &Rig) {
    let began = Instant::now();
    for app in [App::new("good", 2), App::new("bad", 2)] {
        rig.apply(&app.to_string()).await;
        rig.rolled_out(app.name, app.name).await;
        rig.serves(&format!("{}.example", app.name)).await;
    }
    let (good, spoilt) = (load("good.example"), load("bad.example"));

    // A variable that does not exist passes the schema. What was in force stays.
    rig.run(r#"patch ug bad -n bad --type=merge -p {"spec":{"method":{"type":"Hash","hash":{"key":"$nonsense"}}}}"#)
        .await;
    shows(rig, "bad", "Accepted=False").await;
    rig.apply(LOST).await;
    rig.apply(&ingress("bad", "lost", "resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: lost}")).await;
    shows(rig, "lost", "ResolvedRefs=False").await;
    answers("lost.example", 503, "").await;
    rig.run(UNREADABLE).await;
    rig.run(r#"patch ingress bad -n bad --type=merge -p {"spec":{"tls":[{"hosts":["bad.example"],"secretName":"unreadable"}]}}"#)
        .await;
    until("what is wrong with the Secret", async || {
        rig.run("get events -n bad --field-selector reason=SecretUnusable").await.contains("ingress/bad").then_some(())
    })
    .await;
    // Beside all that changes go on, of the good and of the spoilt one.
    for app in ["good", "bad"] {
        rig.run(&format!("scale deployment/{app} -n {app} --replicas=3")).await;
        rig.rolled_out(app, app).await;
    }
    rig.shows_ready("good", "3/3").await;

    rig.run(r#"patch ug bad -n bad --type=merge -p {"spec":{"method":{"type":"RoundRobin","hash":null}}}"#).await;
    shows(rig, "bad", "Accepted=True").await;
    rig.shows_ready("bad", "3/3").await;
    took("bad objects beside good ones", began);
    println!("bad objects: {} beside them and {} of a spoilt group, none failed", good.end().await, spoilt.end().await);
}

/// Waits until a group of the namespace `bad` has a condition.
async fn shows(rig: &Rig, group: &str, condition: &str) {
    rig.status("bad", group, condition, |status| {
        status.conditions.iter().any(|one| format!("{}={}", one.type_, one.status) == condition)
    })
    .await;
}

const LOST: &str = "
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: lost, namespace: bad}
spec: {servers: [{name: app, service: {name: nobody, port: http}}]}
";

/// The API server warns of such a Secret, and takes it.
const UNREADABLE: &str = "create secret generic unreadable -n bad --type=kubernetes.io/tls --from-literal=tls.crt=certificate \
     --from-literal=tls.key=key";
