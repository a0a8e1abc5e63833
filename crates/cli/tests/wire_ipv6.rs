//! IPv6 on both sides: a listener and an upstream at `[::1]`, and what is said of them.

use serde_json::json;
use testkit::{Address, Client, Forebay, Upstream, rig::Documents};

#[tokio::test]
async fn a_listener_and_an_upstream_at_an_ipv6_address() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI has IPv6");
        eprintln!("SKIPPED: this machine has no IPv6 loopback");
        return;
    }
    let upstream = Upstream::at("six", Address::Tcp("[::1]:0".parse().unwrap())).await;
    let documents = Documents::new();
    let address = upstream.address().to_string();
    assert!(address.starts_with("[::1]:"), "{address}");
    documents.write(
        "group.yaml",
        &[json!({
            "apiVersion": "forebay.dev/v1alpha1",
            "kind": "UpstreamGroup",
            "metadata": {"name": "app", "namespace": "default"},
            "spec": {"servers": [{"name": "six", "address": address}]},
        })],
    );
    let log = documents.beside("access.log");
    let forebay = Forebay::run(env!("CARGO_BIN_EXE_forebay"), documents.path())
        .args(["--http", "[::1]:0=default/app", "--workers", "1"])
        .args(["--access-log-format", "$remote_addr|$upstream_addr", "--access-log"])
        .args([&log])
        .start()
        .await;
    let listener = forebay.http(0);
    assert!(listener.is_ipv6(), "{listener}");

    let response = Client::get(listener, "/").await;
    assert_eq!((response.status, response.text().as_str()), (200, "six"));
    let request = upstream.request(1).await;
    assert_eq!(request.header("X-Real-IP"), Some("::1"));
    assert_eq!(request.header("X-Forwarded-For"), Some("::1"));
    assert_eq!(request.header("X-Forwarded-Port"), Some(listener.port().to_string().as_str()));
    let line = testkit::patiently("the access log", async {
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if text.ends_with('\n') {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(line, format!("::1|{address}\n"));
    let picture = forebay.admin_get("/api/v1/groups").await.json();
    assert_eq!(picture["groups"][0]["servers"][0]["address"], json!(address));
}
