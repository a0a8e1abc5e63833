//! A certificate in a Secret is rotated: every data plane presents the new one, and no handshake fails meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use cluster::forebay::HTTPS;
use cluster::until;
use rustls::client::Resumption;
use testkit::Authority;
use testkit::tls::{HTTP1, believing, connect};

use crate::objects::App;
use crate::rig::{Rig, load_over_tls, took};

/// Two authorities, one after the other and back, to clients that believe both.
pub async fn rotation(rig: &Rig) {
    let began = Instant::now();
    let [old, new] = [Authority::new(), Authority::new()];
    let secret = |authority: &Authority| {
        let mut secret = authority.issue(&["tls.example"]).secret("tls");
        secret["metadata"]["namespace"] = "tls".into();
        secret.to_string()
    };
    rig.apply(&App::new("tls", 1).to_string()).await;
    rig.apply(&secret(&old)).await;
    let tls = r#"{"spec":{"tls":[{"hosts":["tls.example"],"secretName":"tls"}]}}"#;
    rig.run(&format!("patch ingress tls -n tls --type=merge -p {tls}")).await;
    rig.rolled_out("tls", "tls").await;
    presented(rig, &old).await;
    let resuming = believing(&[&old, &new], &[HTTP1]);
    // Who resumes a session looks at no certificate.
    let mut looking = resuming.clone();
    looking.resumption = Resumption::disabled();
    let loads = [looking, resuming].map(|client| load_over_tls(&Arc::new(client), "tls.example"));
    for authority in [&new, &old, &new] {
        rig.apply(&secret(authority)).await;
        presented(rig, authority).await;
    }
    took("a Secret rotated", began);
    for load in loads {
        println!("a Secret rotated: {} over TLS, none failed", load.end().await);
    }
}

/// Waits until every data plane presents what this authority issued.
async fn presented(rig: &Rig, authority: &Authority) {
    for (pod, address) in rig.pods("proxy").await {
        let address = SocketAddr::new(address, HTTPS);
        until(&format!("its certificate at {pod}"), async || https(address, authority).await).await;
    }
}

/// Whether it is served with a certificate that `authority` issued.
async fn https(address: SocketAddr, authority: &Authority) -> Option<()> {
    let stream = connect(address, "tls.example", &authority.client(&[HTTP1])).await.ok()?;
    let mut client = testkit::Client::on(stream);
    client.send("GET / HTTP/1.1\r\nHost: tls.example\r\n\r\n".to_owned()).await;
    (client.response().await.status == 200).then_some(())
}
