//! The certificate of an Ingress: served by name, rotated, broken, mended; the other hosts notice nothing.

use std::sync::Arc;
use std::time::Duration;

use cluster::forebay::HTTPS;
use cluster::{Connections, Forebay, until};
use testkit::tls::{Authority, HTTP1, Pair, connect};

use crate::objects::{app, group, ingress, service, slice};
use crate::rig::{Load, Rig, admin, serve};

#[tokio::test]
async fn a_secret_is_served_rotated_broken_and_mended() {
    let Some(rig) = Rig::start().await else { return };
    let _controllers = [rig.installed.controller(1), rig.installed.controller(2)];
    let proxy = rig.installed.proxy(1).await;
    let _pod = rig.pod(1).await;
    let [old, new] = [Authority::new(), Authority::new()];
    let secret = |pair: &Pair, name: &str| {
        let mut secret = pair.secret(name);
        secret["metadata"]["namespace"] = "shop".into();
        secret.to_string()
    };
    let tls = |name: &str| ingress(name, &format!("  tls: [{{hosts: [{name}.example], secretName: {name}}}]"));
    let (mine, other) = (old.issue(&["app.example"]), old.issue(&["other.example"]));
    for (name, pair) in [("app", &mine), ("other", &other)] {
        rig.apply(&[&service(name), &group(name, ""), &tls(name), &slice(name, &[1]), &secret(pair, name)]).await;
    }
    // As it is served, not only trusted: what another authority issued is refused by a client of the first.
    until("app.example over TLS", async || https(&proxy, "app.example", &old).await).await;
    until("other.example over TLS", async || https(&proxy, "other.example", &old).await).await;
    let kept = rig.installed.folder().join("proxy-1.state/last-good.jsonl");
    until("the last good configuration", async || std::fs::read_to_string(&kept).ok().map(drop)).await;
    assert!(!std::fs::read_to_string(&kept).unwrap().contains("PRIVATE"), "keys stay in memory");
    let clients = [Connections::New, Connections::Kept].map(|kind| (proxy.port(HTTPS), kind));
    let load = Load::over_tls(clients, &old.client(&[HTTP1]), "other.example", Duration::from_millis(5));

    rig.apply(&[&secret(&new.issue(&["app.example"]), "app")]).await;
    until("the new certificate", async || https(&proxy, "app.example", &new).await).await;
    assert!(https(&proxy, "app.example", &old).await.is_none());

    let broken = Pair { chain: mine.chain.clone(), key: other.key.clone() };
    rig.apply_doubtful(&secret(&broken, "app")).await;
    let said = rig.event("SecretUnusable", "app").await;
    assert!(said.contains("shop/app"), "{said}");
    until("no certificate of app.example", async || https(&proxy, "app.example", &new).await.is_none().then_some(()))
        .await;
    assert!(https(&proxy, "other.example", &old).await.is_some());
    assert_eq!(admin(&proxy, "/readyz").await.unwrap().status, 200);

    rig.apply(&[&secret(&new.issue(&["app.example"]), "app")]).await;
    until("the mended certificate", async || https(&proxy, "app.example", &new).await).await;
    println!("a Secret rotated, broken and mended: {} over TLS for another host, none failed", load.end().await);
}

#[tokio::test]
async fn a_secret_comes_after_its_ingress() {
    let Some(rig) = Rig::start().await else { return };
    let _controller = rig.installed.controller(1);
    let proxy = rig.installed.proxy(1).await;
    let _pod = rig.pod(1).await;
    let authority = Authority::new();
    rig.apply(&[&app("app"), &ingress("app", "  tls: [{hosts: [app.example], secretName: later}]")]).await;
    rig.apply(&[&slice("app", &[1])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    rig.event("SecretUnusable", "app").await;
    let pair = authority.issue(&["app.example"]);
    let mut secret = pair.secret("later");
    secret["metadata"]["namespace"] = "shop".into();
    rig.apply(&[&secret.to_string()]).await;
    until("app.example over TLS", async || https(&proxy, "app.example", &authority).await).await;
}

/// Whether a host is served with a certificate that `authority` issued for it.
async fn https(forebay: &Forebay, host: &str, authority: &Authority) -> Option<()> {
    let client: Arc<_> = authority.client(&[HTTP1]);
    let stream = connect(forebay.port(HTTPS), host, &client).await.ok()?;
    let mut client = testkit::Client::on(stream);
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    (client.response().await.status == 200).then_some(())
}
