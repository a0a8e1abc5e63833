//! TLS listeners: which certificate a client gets, what becomes of those who get none, and certificates that change.

mod tls_rig;

use std::process::Command;

use rustls::version::{TLS12, TLS13};
use serde_json::json;
use testkit::{Client, client::End, tls};
use tls_rig::{TlsRig, ingress, rules};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";

#[tokio::test]
async fn a_host_is_answered_with_its_certificate() {
    let rig = TlsRig::start(&[]).await;
    let client = rig.authority.client(&[tls::HTTP1]);
    let table = [
        ("shop.example", true),
        ("a.shop.example", true),
        ("b.a.shop.example", false),
        ("other.example", false),
        ("127.0.0.1", false),
    ];
    for (host, expected) in &table {
        let outcome = tls::connect(rig.forebay.https(0), host, &client).await;
        assert_eq!(outcome.is_ok(), *expected, "{host}: {outcome:?}");
        if let Err(error) = outcome {
            assert!(error.to_string().contains("UnrecognisedName"), "{host}: {error}");
        }
    }
    rig.forebay.logged("no certificate for \"other.example\" while SSL handshaking, client: 127.0.0.1").await;
    rig.forebay.logged("no certificate for a client that names no host while SSL handshaking").await;
    assert_eq!(rig.metric("forebay_tls_handshakes_total{result=\"failed\"}").await.to_bits(), 3f64.to_bits());

    let default = rig.authority.issue(&["fallback.example", "b.a.shop.example", "other.example", "127.0.0.1"]);
    let entry = rules("any", &[None], &json!([{"secretName": "any"}]));
    rig.write("any.yaml", &[entry, default.secret("any")]).await;
    for (host, _) in &table {
        let outcome = tls::connect(rig.forebay.https(0), host, &client).await;
        assert!(outcome.is_ok(), "{host}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_request_over_tls_is_told_so_to_servers_and_logs() {
    let format = "$scheme|$https|$ssl_protocol|$ssl_cipher|$ssl_server_name|$ssl_session_reused|$server_protocol|$host";
    let rig = TlsRig::start(&["--access-log", "-", "--access-log-format", format]).await;
    let mut client = rig.client("shop.example").await;
    client.send(REQUEST).await;
    assert_eq!(client.response().await.status, 200);
    let seen = rig.upstream.request(1).await;
    let port = rig.forebay.https(0).port().to_string();
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-port"), Some(port.as_str()));
    assert_eq!(seen.header("host"), Some("shop.example"));
    rig.forebay.logged("https|on|TLSv1.3|TLS_AES_256_GCM_SHA384|shop.example|.|HTTP/1.1|shop.example").await;

    let old = rig.authority.client_of(&[&TLS12], &[]);
    let mut client = Client::on(tls::connect(rig.forebay.https(0), "shop.example", &old).await.unwrap());
    client.send(REQUEST).await;
    assert_eq!(client.response().await.status, 200);
    rig.forebay.logged("https|on|TLSv1.2|ECDHE-ECDSA-AES256-GCM-SHA384|shop.example|.|HTTP/1.1|shop.example").await;
}

/// nginx, too, routes by Host whatever the name in the handshake was.
#[tokio::test]
async fn host_and_not_the_handshake_decides_the_route() {
    let rig = TlsRig::start(&["--access-log", "-", "--access-log-format", "$ssl_server_name|$server_name"]).await;
    let mut client = rig.client("shop.example").await;
    client.send("GET / HTTP/1.1\r\nHost: b.shop.example\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    rig.forebay.logged("shop.example|*.shop.example").await;
}

#[tokio::test]
async fn certificates_change_under_traffic() {
    let rig = TlsRig::start(&[]).await;
    let mut open = rig.client("shop.example").await;
    open.send("GET /before HTTP/1.1\r\nHost: shop.example\r\nX-Hold: one\r\n\r\n").await;
    rig.upstream.gate().held("one").await;

    let next = tls::Authority::new();
    rig.write("shop.yaml", &[ingress("shop", &["shop.example"]), next.issue(&["shop.example"]).secret("shop")]).await;
    let (old, new) = (rig.authority.client(&[]), next.client(&[]));
    assert!(tls::connect(rig.forebay.https(0), "shop.example", &old).await.is_err(), "the old certificate is gone");
    let mut fresh = Client::on(tls::connect(rig.forebay.https(0), "shop.example", &new).await.unwrap());
    fresh.send(REQUEST).await;
    assert_eq!(fresh.response().await.status, 200);

    rig.upstream.gate().release("one");
    assert_eq!(open.response().await.status, 200, "the request in flight");
    open.send(REQUEST).await;
    assert_eq!(open.response().await.status, 200, "the connection that was open");
}

#[tokio::test]
async fn a_secret_that_goes_bad_or_away_changes_no_certificate() {
    let rig = TlsRig::start(&[]).await;
    let mut bad = rig.authority.issue(&["shop.example"]);
    bad.key = rig.authority.issue(&["shop.example"]).key;
    rig.replace("shop.yaml", &[ingress("shop", &["shop.example"]), bad.secret("shop")]);
    let line = rig.forebay.logged("FB4008").await;
    let said = "Secret default/shop has a key that does not match its certificate; the certificate that it held before is \
                served on";
    assert!(line.contains(said), "{line}");
    // As a shell does that is about to write the file anew.
    rig.replace("shop.yaml", &[ingress("shop", &["shop.example"])]);
    rig.forebay.logged("Secret default/shop does not exist; the certificate that it held before is served on").await;
    let client = rig.authority.client(&[]);
    for host in ["shop.example", "a.shop.example"] {
        assert!(tls::connect(rig.forebay.https(0), host, &client).await.is_ok(), "{host}");
    }
    let log = rig.forebay.log().join("\n");
    assert!(!log.contains("PRIVATE KEY") && !log.contains(bad.key.lines().nth(1).unwrap()), "a key is in the log");
}

#[tokio::test]
async fn sessions_are_resumed_by_any_worker() {
    let format = "reused=$ssl_session_reused;";
    for version in [&TLS13, &TLS12] {
        let rig = TlsRig::start_workers(2, &["--access-log", "-", "--access-log-format", format]).await;
        let client = rig.authority.client_of(&[version], &[]);
        for _ in 0..16 {
            let mut client = Client::on(tls::connect(rig.forebay.https(0), "shop.example", &client).await.unwrap());
            client.send("GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").await;
            assert_eq!(client.response().await.status, 200);
        }
        rig.forebay.logged_times("reused=r;", 15).await;
        assert_eq!(rig.metric("forebay_tls_handshakes_total{result=\"full\"}").await.to_bits(), 1f64.to_bits());
    }
}

#[tokio::test]
async fn plain_http_to_the_tls_port_is_answered_as_by_nginx() {
    let rig = TlsRig::start(&["--access-log", "-", "--access-log-format", "$request|$status|$scheme"]).await;
    let response = Client::once(rig.forebay.https(0), "GET /x HTTP/1.1\r\nHost: shop.example\r\n\r\n").await;
    assert_eq!((response.status, response.header("connection")), (400, Some("close")));
    assert!(response.text().contains("The plain HTTP request was sent to HTTPS port"), "{}", response.text());
    rig.forebay.logged("GET /x HTTP/1.1|400|http").await;
    assert!(rig.upstream.requests().is_empty());
}

#[tokio::test]
async fn who_says_nothing_or_garbage_is_shown_out() {
    let rig = TlsRig::start(&["--client-header-timeout", "300ms"]).await;
    let address = rig.forebay.https(0);
    let mut silent = Client::connect(address).await;
    assert_eq!(silent.end().await, End::Closed);
    rig.forebay.logged("client timed out (110: Connection timed out) while SSL handshaking, client: 127.0.0.1").await;

    let mut half = Client::connect(address).await;
    half.send([22, 3, 1, 2, 0, 1]).await;
    assert_eq!(half.end().await, End::Closed);

    let mut garbage = Client::connect(address).await;
    garbage.send([22, 3, 3, 0, 4, 0xff, 0xff, 0xff, 0xff]).await;
    rig.forebay.logged("SSL_do_handshake() failed").await;

    drop(Client::connect(address).await);
    rig.forebay.logged("peer closed connection in SSL handshake while SSL handshaking").await;
    let mut client = rig.client("shop.example").await;
    client.send(REQUEST).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_silent_client_does_not_hold_the_drain_up() {
    let mut rig = TlsRig::start(&["--drain-timeout", "1h"]).await;
    let mut silent = Client::connect(rig.forebay.https(0)).await;
    let mut idle = rig.client("shop.example").await;
    idle.send(REQUEST).await;
    assert_eq!(idle.response().await.status, 200);
    rig.forebay.signal("TERM").await;
    assert_eq!(idle.end().await, End::Closed);
    assert_eq!(silent.end().await, End::Closed);
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
}

#[tokio::test]
async fn without_any_certificate_every_handshake_is_refused_and_said() {
    let rig = TlsRig::start(&[]).await;
    let ingress = |name| rules(name, &[Some("shop.example")], &serde_json::Value::Null);
    rig.documents.write("wide.yaml", &[ingress("wide")]);
    rig.write("shop.yaml", &[ingress("shop")]).await;
    rig.forebay.logged("there is no certificate: every TLS handshake is refused").await;
    let client = rig.authority.client(&[]);
    assert!(tls::connect(rig.forebay.https(0), "shop.example", &client).await.is_err());
}

#[tokio::test]
async fn a_tls_listener_can_be_bound_to_a_group() {
    let rig = TlsRig::start(&["--https", "127.0.0.1:0=default/app"]).await;
    let client = rig.authority.client(&[tls::HTTP1]);
    let mut client = Client::on(tls::connect(rig.forebay.https(1), "shop.example", &client).await.unwrap());
    client.send("GET / HTTP/1.1\r\nHost: whoever.example\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "a");
}

#[tokio::test]
async fn a_websocket_goes_through_tls() {
    let rig = TlsRig::start(&[]).await;
    rig.upstream.set(testkit::Mode::Upgrade).await;
    let mut client = rig.client("shop.example").await;
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").await;
    assert_eq!(client.response().await.status, 101);
    client.send("hello").await;
    assert_eq!(client.bytes(5).await, b"hello");
}

#[tokio::test]
async fn curl_speaks_every_version() {
    let rig = TlsRig::start(&[]).await;
    let port = rig.forebay.https(0).port();
    for (flags, version) in [
        (&["--http1.1"][..], "1.1"),
        (&["--http2"], "2"),
        (&["--http2", "--tls-max", "1.2"], "2"),
        (&["--http1.1", "--tls-max", "1.2"], "1.1"),
    ] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--write-out", " %{http_version} %{http_code}"]);
        curl.arg("--cacert").arg(rig.authority.file()).args(["--resolve", &format!("a.shop.example:{port}:127.0.0.1")]);
        curl.args(["--data", "order=1"]).args(flags).arg(format!("https://a.shop.example:{port}/"));
        let output = tokio::task::spawn_blocking(move || curl.output().expect("curl")).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, format!("a {version} 200"), "{flags:?}");
    }
}

/// Whatever the header says: of an `Upgrade` the HTTP library makes an end of its own.
#[tokio::test]
async fn every_connection_ends_with_the_goodbye_of_tls() {
    let rig = TlsRig::start(&[]).await;
    for upgrade in ["", "Connection: Upgrade\r\nUpgrade: h2c\r\n"] {
        let mut client = rig.client("shop.example").await;
        client.send(format!("GET / HTTP/1.1\r\nHost: shop.example\r\n{upgrade}\r\n")).await;
        assert_eq!(client.response().await.status, 200);
        client.send("GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        assert_eq!(client.end().await, End::Closed, "{upgrade}");
    }
}
