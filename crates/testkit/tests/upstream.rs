//! The upstream's misbehaviour is what its name says, on the wire.

use std::{io, time::Duration};

use testkit::{
    Address, Client, Mode, Upstream,
    client::{End, Framing},
    upstream::{After, Backlog, Stale},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

async fn in_mode(mode: Mode) -> (Upstream, Client) {
    let upstream = Upstream::start("a").await;
    upstream.set(mode).await;
    let mut client = Client::connect(upstream.address().clone()).await;
    client.send(GET).await;
    (upstream, client)
}

#[tokio::test]
async fn ok_names_the_server_and_keeps_the_connection() {
    let (upstream, mut client) = in_mode(Mode::Ok).await;
    let first = client.response().await;
    assert_eq!((first.status, first.text().as_str(), first.framing), (200, "a", Framing::Length));
    client
        .send("POST /echo HTTP/1.1\r\nX-B: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n")
        .await;
    let echo = client.response().await.json();
    assert_eq!(
        (echo["body"].as_str(), echo["connection"].as_u64(), echo["request"].as_u64()),
        (Some("abc"), Some(1), Some(2))
    );
    assert_eq!(echo["trailers"][0][1], "1");
    client.send("HEAD / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response_to("HEAD").await.framing, Framing::Bodiless);
    assert_eq!(client.end().await, End::Closed);
    let record = upstream.wait_for("the connection to end", |record| record.open == 0).await;
    assert_eq!((record.requests.len(), record.connections), (3, 1));
}

#[tokio::test]
async fn refuse_refuses_and_listens_again_at_the_same_port() {
    let upstream = Upstream::start("a").await;
    for _ in 0..20 {
        upstream.set(Mode::Refuse).await;
        let refused = upstream.address().connect().await.expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        upstream.set(Mode::Ok).await;
        assert_eq!(Client::get(upstream.address().clone(), "/").await.status, 200);
    }
}

#[tokio::test]
async fn unix_sockets_refuse_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let upstream = Upstream::unix("u", dir.path().join("u.sock")).await;
    assert_eq!(Client::get(upstream.address().clone(), "/").await.text(), "u");
    upstream.set(Mode::Refuse).await;
    assert!(upstream.address().connect().await.is_err());
    upstream.set(Mode::Ok).await;
    assert_eq!(Client::get(upstream.address().clone(), "/").await.text(), "u");
    assert!(matches!(upstream.address(), Address::Unix(_)));
}

#[tokio::test]
async fn closing_and_resetting_differ() {
    let (_a, mut client) = in_mode(Mode::Close).await;
    assert_eq!(client.end().await, End::Closed);
    let (_a, mut client) = in_mode(Mode::Reset).await;
    assert_eq!(client.end().await, End::Reset);
    let upstream = Upstream::start("a").await;
    upstream.set(Mode::CloseOnAccept).await;
    assert_eq!(Client::connect(upstream.address().clone()).await.end().await, End::Closed);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn headers_are_cut_and_malformed() {
    let (_a, mut client) = in_mode(Mode::ResetMidHeader).await;
    let cut = client.try_response_to("GET").await.expect_err("reset within the header");
    assert_eq!(cut.kind(), io::ErrorKind::ConnectionReset);
    let (_a, mut client) = in_mode(Mode::BadHeader).await;
    assert!(String::from_utf8_lossy(&client.response().await.head.raw).contains("\r\nno colon here\r\n"));
    let (_a, mut client) = in_mode(Mode::BothLengths).await;
    let both = client.response().await;
    assert!(both.header("content-length").is_some() && both.header("transfer-encoding").is_some());
    let (_a, mut client) = in_mode(Mode::Http09).await;
    assert_eq!(client.some().await.expect("bytes"), b"garbage from a\n");
    let (_a, mut client) = in_mode(Mode::BigHeader(100_000)).await;
    assert!(client.response().await.head.raw.len() > 100_000);
}

#[tokio::test]
async fn bodies_are_too_short_and_too_long() {
    for mode in [Mode::ShortBody, Mode::ResetMidBody] {
        let (_a, mut client) = in_mode(mode).await;
        let response = client.response().await;
        assert_eq!((response.status, response.complete), (200, false));
    }
    let (_a, mut client) = in_mode(Mode::LongBody).await;
    assert_eq!(client.response().await.text(), "a");
    assert_eq!(client.bytes(1).await, b"a");
    let (_a, mut client) = in_mode(Mode::UntilClose).await;
    let response = client.response().await;
    assert_eq!((response.framing, response.text().as_str()), (Framing::Close, "a"));
}

#[tokio::test]
async fn stale_connections_break_their_promise() {
    let (_a, mut client) = in_mode(Mode::Stale(Stale::AfterResponse)).await;
    assert_eq!(client.response().await.header("connection"), None);
    assert_eq!(client.end().await, End::Closed);
    let (upstream, mut client) = in_mode(Mode::Stale(Stale::AtNextRequest)).await;
    assert_eq!(client.response().await.status, 200);
    client.send(GET).await;
    assert_eq!(client.end().await, End::Closed);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn interim_chunked_and_upgraded() {
    let (_a, mut client) = in_mode(Mode::Interim(103)).await;
    assert_eq!((client.response().await.status, client.response().await.status), (103, 200));
    let (_a, mut client) = in_mode(Mode::Chunked).await;
    let chunked = client.response().await;
    assert_eq!((chunked.text().as_str(), chunked.trailers.first("x-sum")), ("a", Some("1")));
    let (_a, mut client) = in_mode(Mode::Upgrade).await;
    assert_eq!(client.response().await.status, 101);
    client.send("ping").await;
    assert_eq!(client.bytes(4).await, b"ping");
    client.half_close().await;
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn held_requests_wait_and_hung_ones_are_seen_to_leave() {
    let (upstream, mut client) = in_mode(Mode::Hold).await;
    upstream.gate().held_count(1).await;
    upstream.gate().release_all();
    assert_eq!(client.response().await.status, 200);
    let (upstream, client) = in_mode(Mode::Hang).await;
    upstream.request(1).await;
    drop(client);
    upstream.wait_for("the client to leave", |record| record.aborted == 1).await;
}

#[tokio::test]
async fn slow_and_raw_answers_arrive_whole() {
    let (_a, mut client) = in_mode(Mode::Slow(Duration::from_millis(1))).await;
    assert_eq!(client.some().await.expect("a byte").len(), 1);
    let (_a, mut client) = in_mode(Mode::raw("HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n", After::Reset)).await;
    assert_eq!(client.response().await.status, 299);
    assert_eq!(client.end().await, End::Reset);
}

#[tokio::test]
async fn idle_connections_close_and_busy_ones_stay() {
    let (upstream, mut busy) = in_mode(Mode::Hold).await;
    upstream.gate().held_count(1).await;
    upstream.set(Mode::Ok).await;
    let mut idle = Client::connect(upstream.address().clone()).await;
    idle.send(GET).await;
    assert_eq!(idle.response().await.status, 200);
    upstream.set(Mode::Refuse).await;
    upstream.close_idle();
    assert_eq!(idle.end().await, End::Closed);
    upstream.gate().release_all();
    assert_eq!(busy.response().await.status, 200);
    upstream.close_connections();
    assert_eq!(busy.end().await, End::Closed);
}

#[tokio::test]
async fn a_full_backlog_answers_nobody() {
    let upstream = Upstream::start("a").await;
    let full = Backlog::fill(&upstream).await;
    let connecting = upstream.address().connect();
    assert!(tokio::time::timeout(Duration::from_millis(200), connecting).await.is_err());
    drop(full);
}
