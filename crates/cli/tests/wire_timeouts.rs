//! What happens when somebody does not go on: connect, send and read timeouts of servers, header and body timeouts of clients.

mod tls_rig;

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    Client, Mode, Rig, Upstream,
    client::End,
    rig::Builder,
    upstream::{After, Backlog},
};
use tls_rig::TlsRig;

fn builder() -> Builder {
    Rig::of(env!("CARGO_BIN_EXE_forebay"))
}

fn timeouts(timeouts: &Value) -> Builder {
    builder().spec(json!({"timeouts": timeouts, "nextUpstream": {"conditions": ["Error"]}}))
}

#[tokio::test]
async fn a_server_that_never_answers_is_504() {
    let rig = timeouts(&json!({"read": "100ms"})).servers(2).start().await;
    rig.upstreams[0].set(Mode::Hang).await;
    let response = rig.get("/").await;
    assert_eq!(response.status, 504);
    assert!(response.text().contains("504 Gateway Time-out"));
    assert_eq!(rig.access_log(1).await[0].upstream_status, "504");
    rig.upstreams[0].wait_for("its connection to be closed", |record| record.open == 0).await;
    rig.forebay.logged("upstream timed out").await;
}

#[tokio::test]
async fn a_server_that_cannot_be_connected_to_is_504() {
    let rig = timeouts(&json!({"connect": "200ms"})).start().await;
    let full = Backlog::fill(&rig.upstreams[0]).await;
    assert_eq!(rig.get("/").await.status, 504);
    let log = rig.access_log(1).await;
    assert_eq!((log[0].upstream_status.as_str(), log[0].upstream_addr.clone()), ("504", rig.address(0)));
    drop(full);
}

#[tokio::test]
async fn a_timeout_is_retried_when_listed() {
    let spec = json!({"timeouts": {"read": "100ms"}});
    let rig = builder().spec(spec).servers(2).start().await;
    rig.upstreams[0].set(Mode::Hang).await;
    assert_eq!(rig.get("/").await.text(), "b");
    assert_eq!(rig.access_log(1).await[0].upstream_status, "504, 200");
}

#[tokio::test]
async fn a_header_that_drips_is_not_given_more_time() {
    let rig = timeouts(&json!({"read": "200ms"})).start().await;
    rig.upstreams[0].set(Mode::Slow(Duration::from_millis(20))).await;
    assert_eq!(rig.get("/").await.status, 504, "proxy_read_timeout bounds the whole wait for the header");
}

#[tokio::test]
async fn a_body_that_drips_is_given_time() {
    let rig = timeouts(&json!({"read": "1s"})).start().await;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n";
    rig.upstreams[0].set(Mode::SlowBody { head: head.into(), bytes: 60, pause: Duration::from_millis(20) }).await;
    let response = rig.get("/").await;
    assert_eq!((response.status, response.body.len(), response.complete), (200, 60, true));
}

#[tokio::test]
async fn a_body_that_stops_is_cut() {
    let rig = timeouts(&json!({"read": "100ms"})).start().await;
    rig.upstreams[0].set(Mode::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!", After::Keep)).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status, response.complete), (200, false), "the header was sent: cut, not answered anew");
    let log = rig.access_log(1).await;
    assert_eq!((log[0].status.as_str(), log[0].upstream_status.as_str()), ("200", "200"));
    assert_eq!(rig.get("/").await.status, 200, "and not held against the server");
}

#[tokio::test]
async fn a_chunked_body_that_stops_does_not_look_complete() {
    let rig = timeouts(&json!({"read": "100ms"})).start().await;
    let start = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n";
    rig.upstreams[0].set(Mode::raw(start, After::Keep)).await;
    assert!(!rig.get("/").await.complete);
}

#[tokio::test]
async fn a_server_that_stops_reading_is_504() {
    let rig = timeouts(&json!({"send": "200ms", "read": "60s"})).args(["--client-max-body-size", "0"]).start().await;
    rig.upstreams[0].set(Mode::StopReading).await;
    let mut client = rig.client().await;
    client.send("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000000\r\n\r\n").await;
    // It may be refused before all of it is taken.
    let _ = client.try_send(vec![b'x'; 100_000_000]).await;
    // The answer may be lost with the rest of the body unread (RFC 9112 section 9.6); the log has it.
    assert_eq!(rig.access_log(1).await[0].status, "504");
}

#[tokio::test]
async fn an_idle_client_is_disconnected() {
    let rig = builder().args(["--client-header-timeout", "100ms"]).start().await;
    let mut silent = rig.client().await;
    assert_eq!(silent.end().await, End::Closed);
    let mut idle = rig.client().await;
    idle.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(idle.response().await.status, 200);
    assert_eq!(idle.end().await, End::Closed);
}

#[tokio::test]
async fn a_client_that_never_ends_its_header_is_disconnected() {
    let rig = builder().args(["--client-header-timeout", "100ms"]).start().await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\nX-Slow: ").await;
    match client.try_response_to("GET").await {
        Ok(response) => assert_eq!(response.status, 408),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
    }
    assert!(rig.upstreams[0].requests().is_empty());
}

#[tokio::test]
async fn a_client_that_never_ends_its_body_is_answered_408() {
    let rig = builder().args(["--client-body-timeout", "100ms"]).start().await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf").await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("connection")), (408, Some("close")));
    assert_eq!(rig.get("/").await.status, 200, "the server is not to blame");
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_server() {
    let rig = builder().lines([json!({"maxConns": 1})]).start().await;
    rig.upstreams[0].set(Mode::Hang).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    rig.upstreams[0].request(1).await;
    drop(client);
    rig.upstreams[0].wait_for("the request to be given up", |record| record.aborted == 1).await;
    let log = rig.access_log(1).await;
    assert_eq!((log[0].status.as_str(), log[0].upstream_status.as_str()), ("499", "-"));
    rig.upstreams[0].set(Mode::Ok).await;
    assert_eq!(rig.get("/").await.status, 200);
}

#[tokio::test]
async fn a_stopped_server_does_not_stop_the_others() {
    let rig = builder().servers(2).start().await;
    let other: &Upstream = &rig.upstreams[1];
    rig.upstreams[0].set(Mode::Hang).await;
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        stuck.push(client);
    }
    other.wait_for("its share of requests", |record| record.requests.len() == 10).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_frees_its_server() {
    let args = ["--client-send-timeout", "100ms", "--error-log-level", "info"];
    let rig = builder().args(args).lines([json!({"maxConns": 1})]).start().await;
    let mut client = rig.client().await;
    client.send("GET /bytes/50000000 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    rig.upstreams[0].wait_for("the request to be given up", |record| record.open == 0 && record.connections == 1).await;
    assert_eq!(rig.get("/").await.status, 200);
    let log = rig.access_log(2).await;
    assert_eq!((log[0].status.as_str(), log[1].status.as_str()), ("200", "200"));
    rig.forebay.logged("client timed out (110: Connection timed out) while reading upstream").await;
}

/// What was read of the server is more: the client was waited for with some of it in hand.
#[tokio::test]
async fn what_a_client_did_not_take_was_not_sent() {
    let format = "sent=$body_bytes_sent of=$upstream_response_length complete=$request_completion;";
    let args = ["--client-send-timeout", "100ms", "--access-log", "-", "--access-log-format", format];
    let rig = TlsRig::start(&args).await;
    let mut client = Client::connect(rig.forebay.http(0)).await;
    client.send("GET /bytes/50000000 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let line = rig.forebay.logged("sent=").await;
    let number = |name: &str| -> u64 {
        let value = line.split(name).nth(1).and_then(|rest| rest.split(' ').next());
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {line}"))
    };
    assert!(line.contains("complete=-;") || line.contains("complete=;"), "{line}");
    assert!((1..number("of=")).contains(&number("sent=")), "{line}");
}
