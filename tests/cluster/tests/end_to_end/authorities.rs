//! TLS to pods: the authority in a ConfigMap, replaced, deleted, malformed and made anew under traffic; the certificate that
//! pods ask for, which no disk and no sidecar has.

use api::UpstreamGroupStatus;
use cluster::until;
use serde_json::json;
use testkit::tls::{Authority, Pair};

use crate::objects::{app, group, ingress, service, slice};
use crate::rig::{Load, Rig, admin, answers, has, serve};

/// The ConfigMap `shop/ca` with this text.
fn config_map(text: &str) -> String {
    let metadata = json!({"name": "ca", "namespace": "shop"});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": text, "more": "x"}})
        .to_string()
}

fn secret(pair: &Pair) -> String {
    let mut secret = pair.secret("client");
    secret["metadata"]["namespace"] = "shop".into();
    secret.to_string()
}

fn secured(more: &str) -> String {
    let tls = "serverName: app.example, caCertificateRef: {kind: ConfigMap, name: ca}";
    group("app", &format!("  protocol: HTTPS\n  tls: {{{tls}{more}}}"))
}

fn resolved(status: &UpstreamGroupStatus) -> bool {
    has(status, "ResolvedRefs=True(ResolvedRefs)") && has(status, "Programmed=True(Programmed)")
}

fn lost(status: &UpstreamGroupStatus) -> bool {
    has(status, "ResolvedRefs=False(ResolutionFailed)") && has(status, "Accepted=True(Accepted)")
}

#[tokio::test]
async fn authorities_of_a_config_map_are_followed() {
    let Some(rig) = Rig::start().await else { return };
    let controllers = [rig.installed.controller(1), rig.installed.controller(2)];
    let proxy = rig.installed.proxy(1).await;
    let pod = rig.pod(1).await;
    let [old, new] = [Authority::new(), Authority::new()];
    pod.secure(Some(old.issue(&["app.example"]).server()));

    // Its ConfigMap comes after the group: nothing is spoken in between, and nobody is believed.
    rig.apply(&[&service("app"), &slice("app", &[1]), &ingress("app", ""), &secured("")]).await;
    rig.apply(&[&app("other"), &slice("other", &[])]).await;
    rig.status("app", "the reference lost", |status| {
        has(status, "ResolvedRefs=False(ResolutionFailed)") && has(status, "Accepted=False(Invalid)")
    })
    .await;
    answers(&proxy, "app.example", 503, "").await;
    assert_eq!(pod.record().connections, 0);
    rig.apply(&[&config_map(&old.pem())]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    rig.status("app", "the reference resolved", resolved).await;
    let load = Load::start(&[&proxy], "app.example");

    // Both, then the pod's certificate, then the new one alone: nobody notices.
    rig.apply(&[&config_map(&(old.pem() + &new.pem()))]).await;
    until("both authorities at the data plane", async || believed(&rig).filter(|count| *count == 2)).await;
    pod.secure(Some(new.issue(&["app.example"]).server()));
    pod.close_idle();
    let shaken = pod.record().handshakes.len();
    pod.wait_for("a handshake by the new certificate", |record| record.handshakes.len() > shaken).await;
    rig.apply(&[&config_map(&new.pem())]).await;
    until("the new authority alone", async || believed(&rig).filter(|count| *count == 1)).await;

    // Deleted, malformed: said, and what it held stays in force while endpoints go on moving.
    rig.run("delete configmap ca --namespace shop").await;
    rig.status("app", "the ConfigMap gone", lost).await;
    let second = rig.pod(2).await;
    second.secure(Some(new.issue(&["app.example"]).server()));
    rig.apply(&[&slice("app", &[1, 2])]).await;
    serve(&[&proxy], "app.example", "pod-2").await;
    rig.apply(&[&config_map("no certificate")]).await;
    rig.status("app", "what is malformed", |status| {
        let said = status.conditions.iter().find(|condition| condition.type_ == "ResolvedRefs");
        lost(status) && said.is_some_and(|said| said.message.contains("ConfigMap shop/ca has no certificate in ca.crt"))
    })
    .await;
    // A controller that starts now never saw it good: data planes keep what they have.
    drop(controllers);
    let _controller = rig.installed.controller(3);
    rig.status("app", "the controller's word", |status| has(status, "Accepted=False(Invalid)")).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    rig.apply(&[&config_map(&new.pem())]).await;
    rig.status("app", "the reference resolved again", resolved).await;
    println!("authorities replaced, deleted, malformed and mended: {}, none failed", load.end().await);
}

#[tokio::test]
async fn a_certificate_is_shown_by_those_who_may_have_keys() {
    let Some(rig) = Rig::start().await else { return };
    let controller = rig.installed.controller(1);
    let proxy = rig.installed.proxy(1).await;
    let pod = rig.pod(1).await;
    let [authority, clients, others] = [Authority::new(), Authority::new(), Authority::new()];
    pod.secure(Some(authority.issue(&["app.example"]).server_for(Some(&clients))));
    let shows = secured(", clientCertificateRef: {name: client}");
    let objects = [service("app"), slice("app", &[1]), ingress("app", ""), config_map(&authority.pem()), shows];
    rig.apply(&objects.each_ref().map(String::as_str)).await;
    rig.status("app", "the Secret missing", |status| has(status, "ResolvedRefs=False(ResolutionFailed)")).await;
    rig.apply(&[&secret(&clients.issue(&["us"]))]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    let kept = rig.installed.folder().join("proxy-1.state/last-good.jsonl");
    until("the last good configuration", async || {
        std::fs::read_to_string(&kept).ok().filter(|text| text.contains("group/shop/app")).map(drop)
    })
    .await;
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE"), "keys stay in memory");

    // A sidecar has the group and not what it would have to show, so it dials nobody and says why.
    assert!(admin(&controller, "/api/v1/config").await.unwrap().body.contains("cert/shop/client"));
    let dialled = pod.record().connections;
    let sidecar = rig.installed.sidecar("shop", 1, "shop/app").await;
    answers(&sidecar, "anything", 502, "").await;
    let said = sidecar.logged("the client certificate of Secret shop/client is not known here").await;
    assert!(said.contains("not sent to a data plane that may see no keys"), "{said}");
    assert_eq!(pod.record().connections, dialled);

    // Replaced: what is shown next is another, and the pod knows its authority.
    pod.secure(Some(authority.issue(&["app.example"]).server_for(Some(&others))));
    rig.apply(&[&secret(&others.issue(&["us"]))]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
}

/// How many authorities the group believes, as the data plane wrote it down.
fn believed(rig: &Rig) -> Option<usize> {
    let kept = rig.installed.folder().join("proxy-1.state/last-good.jsonl");
    let text = std::fs::read_to_string(kept).ok()?;
    let line = text.lines().find(|line| line.contains("\"group/shop/app\""))?;
    Some(line.matches("BEGIN CERTIFICATE").count())
}
