//! What is tried again, what is not, and what the client gets in the end: 502, 503, 504 and the replay buffer.

use serde_json::{Value, json};
use testkit::{Client, Mode, Rig, patiently, rig::Builder, upstream::After};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

fn builder() -> Builder {
    Rig::of(env!("CARGO_BIN_EXE_forebay"))
}

fn retrying(conditions: &[&str], more: &Value) -> Builder {
    let mut next = json!({"conditions": conditions});
    for (name, value) in more.as_object().into_iter().flatten() {
        next[name] = value.clone();
    }
    builder().spec(json!({"nextUpstream": next, "timeouts": {"read": "150ms"}}))
}

const POST: &str = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";

/// The status, and what the log says was tried, of one request while the first server is in `mode`.
async fn ask(builder: Builder, mode: Mode, request: &str) -> (u16, String) {
    let rig = builder.servers(2).start().await;
    rig.upstreams[0].set(mode).await;
    let response = rig.send(request).await;
    (response.status, rig.access_log(1).await[0].upstream_status.clone())
}

#[tokio::test]
async fn every_connection_failure_is_retried_by_default() {
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    for mode in [Mode::Refuse, Mode::CloseOnAccept, Mode::Close, Mode::Reset, Mode::ResetMidHeader] {
        let (status, tried) = ask(builder(), mode.clone(), get).await;
        assert_eq!((status, tried.as_str()), (200, "502, 200"), "{mode:?}");
    }
}

#[tokio::test]
async fn an_invalid_header_is_retried_when_listed() {
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    for mode in [Mode::BadHeader, Mode::BothLengths, Mode::BigHeader(100_000)] {
        let listed = ask(retrying(&["InvalidHeader"], &json!({})), mode.clone(), get).await;
        assert_eq!(listed, (200, "502, 200".into()), "{mode:?}");
        let unlisted = ask(builder(), mode.clone(), get).await;
        assert_eq!(unlisted, (502, "502".into()), "{mode:?}");
    }
}

#[tokio::test]
async fn statuses_are_retried_when_listed() {
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    for status in [500, 502, 503, 504, 403, 404, 429] {
        let condition = format!("Http{status}");
        let listed = ask(retrying(&[&condition], &json!({})), Mode::Status(status), get).await;
        assert_eq!(listed, (200, format!("{status}, 200")));
        let unlisted = ask(builder(), Mode::Status(status), get).await;
        assert_eq!(unlisted, (status, status.to_string()));
    }
}

#[tokio::test]
async fn the_last_answer_is_passed_through() {
    let rig = retrying(&["Http503"], &json!({})).servers(2).start().await;
    for upstream in &rig.upstreams {
        upstream.set(Mode::Status(503)).await;
    }
    let response = rig.get("/").await;
    assert_eq!((response.status, response.text().as_str()), (503, "b"), "body and all");
}

#[tokio::test]
async fn a_post_is_retried_only_if_it_never_left() {
    assert_eq!(ask(builder(), Mode::Refuse, POST).await, (200, "502, 200".into()));
    assert_eq!(ask(builder(), Mode::Close, POST).await, (502, "502".into()));
    assert_eq!(ask(retrying(&["Timeout"], &json!({})), Mode::Hang, POST).await, (504, "504".into()));
    let daring = retrying(&["Error"], &json!({"nonIdempotent": true}));
    assert_eq!(ask(daring, Mode::Close, POST).await, (200, "502, 200".into()));
}

#[tokio::test]
async fn a_put_is_sent_again_whole() {
    let rig = builder().servers(2).start().await;
    rig.upstreams[0].set(Mode::Close).await;
    let put = "PUT /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
    let echo = rig.send(put).await.json();
    assert_eq!((&echo["body"], &echo["server"]), (&json!("hello"), &json!("b")));
    let first = rig.upstreams[0].request(1).await;
    assert_eq!(first.body.content, b"hello");
}

#[tokio::test]
async fn a_chunked_body_is_sent_again_whole() {
    let rig = builder().servers(2).start().await;
    rig.upstreams[0].set(Mode::Close).await;
    let put = "PUT /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    assert_eq!(rig.send(put).await.json()["body"], "hello");
}

/// A PUT of `size` bytes, sent in two parts: the second once the server has seen the first.
async fn put_in_parts(rig: &Rig, size: usize) -> (Client, u16) {
    let mut client = rig.client().await;
    client.send(format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n")).await;
    client.send(vec![b'x'; size]).await;
    let status = client.response().await.status;
    (client, status)
}

#[tokio::test]
async fn a_body_within_the_replay_buffer_is_retried_and_one_beyond_it_is_not() {
    for (size, expected) in [(60_000, (200, "502, 200")), (200_000, (502, "502"))] {
        let spec = json!({"requestBuffering": {"maxBytes": "64Ki"}});
        let rig = builder().spec(spec).servers(2).start().await;
        rig.upstreams[0].set(Mode::Close).await;
        let (_client, status) = put_in_parts(&rig, size).await;
        let tried = rig.access_log(1).await[0].upstream_status.clone();
        assert_eq!((status, tried.as_str()), expected, "{size} bytes");
    }
}

#[tokio::test]
async fn a_body_in_crumbs_is_sent_again_as_it_was() {
    let rig = builder().servers(2).start().await;
    rig.upstreams[0].set(Mode::Close).await;
    let body: String = (0..5000).map(|n| char::from(b'a' + u8::try_from(n % 26).unwrap())).collect();
    let chunks: Vec<_> = body.chars().map(|one| format!("1\r\n{one}\r\n")).collect();
    let head = "PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let response = rig.send(format!("{head}{}1000\r\n{}\r\n0\r\n\r\n", chunks.concat(), "x".repeat(4096))).await;
    assert_eq!((response.status, &*rig.access_log(1).await[0].upstream_status), (200, "502, 200"));
    let content = rig.upstreams[1].request(1).await.body.content.clone();
    assert!(content == (body + &"x".repeat(4096)).into_bytes(), "{}", String::from_utf8_lossy(&content));
}

/// A server has a patience of its own with who sends slowly. Whoever does so must not put it out for all others.
#[tokio::test]
async fn a_server_is_not_to_blame_for_a_client_that_does_not_send() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let rig = builder().servers(2).lines([json!({"address": address}), json!({})]).start().await;
    let impatient = async || {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"half\r\n") {
            stream.read_buf(&mut seen).await.unwrap();
        }
    };
    for n in 0..3 {
        let mut client = rig.client().await;
        client.send("PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
        if n != 1 {
            patiently("the impatient server to be tried", impatient()).await;
            rig.forebay.logged_times("upstream prematurely closed connection", n / 2 + 1).await;
        }
        client.send("4\r\nrest\r\n0\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    }
    let tried: Vec<_> = rig.access_log(3).await.iter().map(|line| line.upstream_status.clone()).collect();
    assert_eq!(tried, ["502, 200", "200", "502, 200"]);
}

/// Nor does a client that does not send bring a server back that is out. With a `failTimeout` of 0 there is a probe in each
/// second.
#[tokio::test]
async fn a_client_that_does_not_send_is_no_news_of_a_server() {
    let lines = [json!({"failTimeout": "0s"}), json!({})];
    let rig = builder().lines(lines).args(["--client-body-timeout", "50ms"]).start().await;
    rig.upstreams[0].set(Mode::Refuse).await;
    assert_eq!(rig.get("/").await.text(), "b");
    rig.upstreams[0].set(Mode::Ok).await;
    patiently("the probe", async {
        while rig.upstreams[0].record().connections == 0 {
            let response =
                rig.send("PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
            assert_eq!(response.status, 408);
        }
    })
    .await;
    let group = rig.forebay.admin_get("/api/v1/groups/default/app").await.json();
    assert_eq!((&group["servers"][0]["fails"], &group["servers"][0]["active"]), (&json!(1), &json!(0)), "{group}");
}

#[tokio::test]
async fn a_short_body_is_there_before_a_server_is_picked() {
    let rig = builder().lines([json!({"maxConns": 1})]).start().await;
    let mut slow = rig.client().await;
    slow.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\nhalf").await;
    let mut poll = tokio::time::interval(std::time::Duration::from_millis(10));
    patiently("the request to be in progress", async {
        while !rig.forebay.admin_get("/metrics").await.text().contains("forebay_requests_active 1\n") {
            poll.tick().await;
        }
    })
    .await;
    assert_eq!(rig.get("/").await.status, 200, "the only server is free");
    slow.send("rest").await;
    assert_eq!(slow.response().await.json()["body"], "halfrest");
}

#[tokio::test]
async fn a_long_body_that_never_left_is_still_retried() {
    let spec = json!({"requestBuffering": {"maxBytes": "64Ki"}});
    let rig = builder().spec(spec).servers(2).start().await;
    rig.upstreams[0].set(Mode::Refuse).await;
    let (_client, status) = put_in_parts(&rig, 500_000).await;
    assert_eq!(status, 200);
    assert_eq!(rig.upstreams[1].request(1).await.body.content.len(), 500_000);
}

#[tokio::test]
async fn tries_are_counted() {
    let rig = retrying(&["Error"], &json!({"tries": 2})).servers(4).start().await;
    for upstream in &rig.upstreams {
        upstream.set(Mode::Refuse).await;
    }
    assert_eq!(rig.get("/").await.status, 502);
    assert_eq!(rig.access_log(1).await[0].upstream_status, "502, 502");
}

#[tokio::test]
async fn nobody_left_is_502_with_nginxs_words() {
    let rig = builder().servers(2).start().await;
    for upstream in &rig.upstreams {
        upstream.set(Mode::Refuse).await;
    }
    assert_eq!((rig.get("/").await.status, rig.get("/").await.status), (502, 502));
    let log = rig.access_log(2).await;
    assert_eq!(log[0].upstream_addr, format!("{}, {}", rig.address(0), rig.address(1)));
    assert_eq!(log[1].upstream_status, "502");
    assert!(log[1].upstream_addr.contains("app"), "the group's name where no server was picked: {:?}", log[1]);
    rig.forebay.logged("no live upstreams").await;
    rig.forebay.logged("upstream server temporarily disabled").await;
}

#[tokio::test]
async fn a_group_without_servers_is_503() {
    let documents = testkit::rig::Documents::new();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "app", "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "app-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "app"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": [],
    });
    let group = json!({
        "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup",
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {"servers": [{"name": "app", "service": {"name": "app", "port": "http"}}]},
    });
    documents.write("all.yaml", &[service, slice, group]);
    let binary = env!("CARGO_BIN_EXE_forebay");
    let forebay = testkit::Forebay::run(binary, documents.path()).bind("default/app").start().await;
    let response = Client::get(forebay.http(0), "/").await;
    assert_eq!(response.status, 503, "nobody is there yet, which is not that all have failed");
}

#[tokio::test]
async fn the_body_of_a_truncated_response_is_cut_too_and_nobody_is_blamed() {
    let rig = builder().lines([json!({"maxFails": 1}), json!({"backup": true})]).start().await;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n";
    for (mode, why) in [
        (Mode::ShortBody, "upstream prematurely closed connection"),
        (Mode::ResetMidBody, "readv() failed (104: Connection reset by peer)"),
        (Mode::raw(chunked, After::Keep), "upstream sent invalid chunked response"),
    ] {
        rig.upstreams[0].set(mode.clone()).await;
        let response = rig.get("/").await;
        assert_eq!((response.status, response.complete), (200, false), "{mode:?}");
        rig.forebay.logged(&format!("{why} while reading upstream")).await;
    }
    rig.upstreams[0].set(Mode::Ok).await;
    assert_eq!(rig.get("/").await.text(), "a");
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_gateway() {
    let rig = builder().start().await;
    rig.upstreams[0].set(Mode::Http09).await;
    assert_eq!(rig.get("/").await.status, 502, "HTTP/0.9 is not passed on (ledger)");
}
