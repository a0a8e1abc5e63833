//! A certificate in a Secret is rotated: every data plane presents the new one, and no handshake fails meanwhile.

use std::net::SocketAddr;
use std::time::Instant;

use cluster::forebay::HTTPS;
use cluster::until;
use testkit::Authority;
use testkit::tls::{HTTP1, connect};

use crate::objects::App;
use crate::rig::{Rig, answers, load, took};

/// Two authorities, one after the other.
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
    answers("tls.example", 200, "tls").await;
    let load = load("tls.example");
    for authority in [&old, &new] {
        rig.apply(&secret(authority)).await;
        for (pod, address) in rig.pods("proxy").await {
            let address = SocketAddr::new(address, HTTPS);
            until(&format!("its certificate at {pod}"), async || https(address, authority).await).await;
        }
    }
    took("a Secret rotated", began);
    println!("a Secret rotated: {}, none failed", load.end().await);
}

/// Whether it is served with a certificate that `authority` issued.
async fn https(address: SocketAddr, authority: &Authority) -> Option<()> {
    let stream = connect(address, "tls.example", &authority.client(&[HTTP1])).await.ok()?;
    let mut client = testkit::Client::on(stream);
    client.send("GET / HTTP/1.1\r\nHost: tls.example\r\n\r\n".to_owned()).await;
    (client.response().await.status == 200).then_some(())
}
