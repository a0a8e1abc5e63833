//! HTTP/1 as clients speak it: versions, keepalive, pipelining, framing both ways, interim responses, forms of the target.

use std::time::Duration;

use serde_json::json;
use testkit::{
    Client, Forebay, Mode, Rig, Upstream,
    client::{End, Framing},
    rig::Documents,
    upstream::After,
};

async fn rig() -> Rig {
    Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await
}

#[tokio::test]
async fn a_connection_carries_many_requests() {
    let rig = rig().await;
    let mut client = rig.client().await;
    for n in 0..5 {
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        let response = client.response().await;
        assert_eq!((response.status, response.text().as_str()), (200, "a"));
        assert_eq!((response.framing, response.header("connection")), (Framing::Length, None));
    }
    client.send("GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.response().await.header("connection"), Some("close"));
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn the_time_of_a_request_begins_with_its_whole_header() {
    let documents = Documents::new();
    let upstream = Upstream::start("a").await;
    let group = json!({
        "apiVersion": "forebay.dev/v1alpha1",
        "kind": "UpstreamGroup",
        "metadata": {"name": "app"},
        "spec": {"servers": [{"name": "a", "address": upstream.address().to_string()}]},
    });
    documents.write("app.yaml", &[group]);
    let forebay = Forebay::run(env!("CARGO_BIN_EXE_forebay"), documents.path())
        .bind("default/app")
        .args(["--access-log", "-", "--access-log-format", "$request_uri|$msec|$request_time|"])
        .start()
        .await;
    let mut slow = Client::connect(forebay.http(0)).await;
    slow.send("GET /slow HTTP/1.1\r\n").await;
    upstream.set(Mode::Delay(Duration::from_millis(300))).await;
    assert_eq!(Client::get(forebay.http(0), "/between").await.status, 200);
    slow.send("Host: test\r\n\r\n").await;
    assert_eq!(slow.response().await.status, 200);

    let (mut begins, mut ends) = (Vec::new(), Vec::new());
    for target in ["/between", "/slow"] {
        let line = forebay.logged(&format!("{target}|")).await;
        let fields: Vec<f64> = line.split('|').filter_map(|field| field.parse().ok()).collect();
        begins.push(fields[0] - fields[1]);
        ends.push(fields[0]);
    }
    // Both are cut to milliseconds.
    assert!(begins[1] > ends[0] - 0.002, "{begins:?} {ends:?}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let rig = rig().await;
    let mut client = rig.client().await;
    let requests: Vec<String> = (0..20).map(|n| format!("GET /echo/{n} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    client.send(requests.concat()).await;
    for n in 0..20 {
        assert_eq!(client.response().await.json()["target"], format!("/echo/{n}"));
    }
}

#[tokio::test]
async fn a_pipelined_request_after_a_body_is_found() {
    let rig = rig().await;
    let mut client = rig.client().await;
    client
        .send(
            "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc\
             POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n\
             GET /echo HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .await;
    for expected in ["abc", "de", ""] {
        assert_eq!(client.response().await.json()["body"], expected);
    }
}

#[tokio::test]
async fn an_old_client_is_answered_and_disconnected() {
    let rig = rig().await;
    let mut client = rig.client().await;
    client.send("GET /echo HTTP/1.0\r\nHost: old.example\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(response.status, 200);
    assert_eq!(client.end().await, End::Closed);
    assert!(response.json()["line"].as_str().is_some_and(|line| line.ends_with("HTTP/1.1")), "upstream speaks 1.1");
}

#[tokio::test]
async fn an_old_client_without_host_is_served() {
    let rig = rig().await;
    assert_eq!(rig.send("GET / HTTP/1.0\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn an_old_client_may_keep_its_connection() {
    let rig = rig().await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let response = client.response().await;
        assert!(response.head.headers.has_token("connection", "keep-alive"), "{:?}", response.head);
    }
}

#[tokio::test]
async fn an_old_client_is_told_when_its_connection_ends() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).args(["--client-keepalive-requests", "2"]).start().await;
    let ask = |fields: &str| format!("GET / HTTP/1.0\r\n{fields}\r\n");
    let kept = ask("Connection: keep-alive\r\n");
    for requests in
        [vec![ask("")], vec![kept.clone(), kept.clone()], vec![ask("Connection: keep-alive\r\nHost: a\r\nHost: b\r\n")]]
    {
        let mut client = rig.client().await;
        let mut said = Vec::new();
        for request in &requests {
            client.send(request).await;
            said = client.response().await.head.headers.all("connection").iter().map(ToString::to_string).collect();
        }
        assert_eq!(said, ["close"], "{requests:?}");
        assert_eq!(client.end().await, End::Closed);
    }
}

#[tokio::test]
async fn an_old_client_never_sees_chunks() {
    let rig = rig().await;
    rig.upstreams[0].set(Mode::Chunked).await;
    let mut client = rig.client().await;
    client.send("GET /bytes/1000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.framing, response.body.len()), (Framing::Close, 1000));
    assert_eq!(response.header("connection"), Some("close"), "its end is that of the connection");
    assert_eq!(response.header("transfer-encoding"), None);
}

#[tokio::test]
async fn chunks_pass_with_their_trailers() {
    let rig = rig().await;
    rig.upstreams[0].set(Mode::Chunked).await;
    let mut client = rig.client().await;
    client.send("GET /bytes/100000 HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.framing, response.body.len(), response.complete), (Framing::Chunked, 100_000, true));
    assert_eq!(response.trailers.first("x-sum"), Some("100000"));
    client.send("GET /again HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn chunked_requests_pass_whole() {
    let rig = rig().await;
    let mut client = rig.client().await;
    client.send("PUT /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n").await;
    for chunk in ["5\r\nhello\r\n", "1;ext=1\r\n,\r\n", "6\r\n world\r\n", "0\r\nX-T: end\r\n\r\n"] {
        client.send(chunk).await;
    }
    let echo = client.response().await.json();
    assert_eq!(echo["body"], "hello, world");
    let received = rig.upstreams[0].request(1).await;
    let framing = (received.header("transfer-encoding"), received.header("content-length"));
    assert_eq!(framing, (Some("chunked"), None), "its length is not known (ledger `chunked-request`)");
    assert_eq!(received.body.trailers.first("x-t"), Some("end"));
}

/// Ledger: `request-trailers`.
#[tokio::test]
async fn a_trailer_gets_in_no_further_than_a_header() {
    let spec = json!({"requestHeaders": {"set": [{"name": "X-Set", "value": "ours"}], "remove": ["X-Removed"]}});
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).spec(spec).start().await;
    let names = ["X-Forwarded-For", "X-Real-IP", "X-Request-ID", "X-Set", "X-Removed", "X_Under", "Connection", "X-T"];
    let trailers = names.map(|name| format!("{name}: forged\r\n")).concat();
    let head = "PUT /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTrailer: ";
    let response = rig.send(format!("{head}{}\r\n\r\n2\r\nhi\r\n0\r\n{trailers}\r\n", names.join(", "))).await;
    assert_eq!(response.json()["body"], "hi");
    let received = rig.upstreams[0].request(1).await;
    assert_eq!(received.body.trailers.0, [("x-t".to_owned(), "forged".to_owned())]);
}

#[tokio::test]
async fn head_has_a_length_and_no_body() {
    let rig = rig().await;
    let mut client = rig.client().await;
    client.send("HEAD /bytes/5000 HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let head = client.response_to("HEAD").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("5000")));
    assert_eq!(client.response().await.text(), "a");
}

#[tokio::test]
async fn our_own_answer_to_head_has_no_body() {
    let rig = rig().await;
    rig.upstreams[0].set(Mode::Refuse).await;
    let mut client = rig.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\nHEAD / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    for _ in 0..2 {
        let response = client.response_to("HEAD").await;
        assert_eq!(response.status, 502);
        assert!(response.header("content-length").is_some_and(|length| length != "0"));
    }
}

#[tokio::test]
async fn bodiless_statuses_stay_bodiless() {
    let rig = rig().await;
    let mut client = rig.client().await;
    for status in [204, 304] {
        rig.upstreams[0].set(Mode::Status(status)).await;
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("transfer-encoding")), (status, None));
    }
}

#[tokio::test]
async fn a_body_without_length_ends_with_the_connection() {
    let rig = rig().await;
    rig.upstreams[0].set(Mode::UntilClose).await;
    let mut client = rig.client().await;
    client.send("GET /bytes/3000 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.body.len(), response.complete), (3000, true));
    assert_eq!(response.framing, Framing::Chunked, "an HTTP/1.1 client need not lose its connection");
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_continue() {
    let rig = rig().await;
    let mut client = rig.client().await;
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.response().await.status, 100);
    client.send("hi").await;
    let echo = client.response().await;
    assert_eq!((echo.status, &echo.json()["body"]), (200, &json!("hi")));
    assert_eq!(rig.upstreams[0].request(1).await.header("expect"), None, "answered by the proxy itself, as nginx does");
}

#[tokio::test]
async fn early_hints_do_not_end_the_response() {
    let rig = rig().await;
    rig.upstreams[0].set(Mode::Interim(103)).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let mut response = client.response().await;
    while response.status == 103 {
        response = client.response().await;
    }
    assert_eq!((response.status, response.text().as_str()), (200, "a"));
    client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await;
    while client.response().await.status != 200 {}
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn an_absolute_target_names_the_host() {
    let rig = rig().await;
    let request = "GET http://shop.example/echo/a%2Fb?q=%20 HTTP/1.1\r\nHost: ignored.example\r\n\r\n";
    let echo = rig.send(request).await.json();
    assert_eq!(echo["target"], "/echo/a%2Fb?q=%20", "byte for byte, in origin form");
    assert_eq!(rig.upstreams[0].request(1).await.header("host"), Some("shop.example"), "RFC 9112 section 3.2.2");
}

#[tokio::test]
async fn an_absolute_target_without_a_path_is_the_root() {
    let rig = rig().await;
    for (n, (line, target)) in
        [("GET http://a", "/"), ("OPTIONS http://a:80", "/"), ("GET http://a?x=1", "/?x=1")].into_iter().enumerate()
    {
        assert_eq!(rig.send(format!("{line} HTTP/1.1\r\nHost: t\r\n\r\n")).await.status, 200, "{line}");
        assert_eq!(rig.upstreams[0].request(n + 1).await.target(), target, "{line}");
    }
}

#[tokio::test]
async fn targets_pass_byte_for_byte() {
    let rig = rig().await;
    for target in ["/echo//x/../y/./z", "/echo/%7Euser/%2e%2e/", "/echo?a=b&c=%00", "/echo/;p=1,2", "/echo?"] {
        let echo = rig.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n")).await.json();
        assert_eq!(echo["target"], target);
    }
}

#[tokio::test]
async fn unusual_methods_pass() {
    let rig = rig().await;
    for method in ["OPTIONS", "PURGE", "PROPFIND", "M-SEARCH", "LOCK", "DELETE"] {
        let echo = rig.send(format!("{method} /echo HTTP/1.1\r\nHost: t\r\n\r\n")).await.json();
        assert_eq!(echo["method"], method);
    }
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_has_left() {
    let rig = rig().await;
    rig.upstreams[0].set(Mode::Hold).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await;
    rig.upstreams[0].gate().held_count(1).await;
    client.half_close().await;
    assert_eq!(client.end().await, End::Closed);
    assert_eq!(rig.access_log(1).await[0].status, "499", "as nginx takes it (proxy_ignore_client_abort off)");
}

/// Ledger: `pipelined-abort`.
#[tokio::test]
async fn a_client_that_asked_ahead_is_answered_before_it_is_missed() {
    let rig = rig().await;
    let mut client = rig.client().await;
    let ask = |hold: &str| format!("GET / HTTP/1.1\r\nHost: t\r\nX-Hold: {hold}\r\n\r\n");
    client.send(format!("{}{}", ask("first"), ask("second"))).await;
    rig.upstreams[0].gate().held_count(1).await;
    client.half_close().await;
    rig.upstreams[0].gate().release("first");
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.end().await, End::Closed);
    assert_eq!(rig.access_log(1).await[0].status, "200", "and what it asked ahead is not begun");
}

#[tokio::test]
async fn bodies_stream_before_they_end() {
    let rig = rig().await;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst";
    rig.upstreams[0].set(Mode::raw(head, After::Keep)).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nfirst") {
        seen.extend(client.some().await.expect("the first half"));
    }
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).args(["--client-max-body-size", "64Mi"]).start().await;
    let mut client = rig.client().await;
    let body = vec![b'x'; 8 << 20];
    client.send(format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    client.send(&body).await;
    assert_eq!(client.response().await.status, 200);
    assert!(rig.upstreams[0].request(1).await.body.content == body, "the body changed on its way");
    client.send("GET /bytes/20000000 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.response().await.body.len(), 20_000_000);
}

/// The client is further behind than what the system holds for it.
#[tokio::test]
async fn a_slow_reader_gets_all_that_came_before_a_response_broke_off() {
    const BYTES: usize = 16 << 20;
    let rig = rig().await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * BYTES);
    let part = [head.as_bytes(), &vec![b'x'; BYTES]].concat();
    rig.upstreams[0].set(Mode::raw(part, After::Close)).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut client = Client::over(socket.connect(rig.forebay.http(0)).await.unwrap());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.body.len(), response.complete), (BYTES, false));
}

#[tokio::test]
async fn what_follows_a_response_that_broke_off_is_no_request() {
    let rig = rig().await;
    rig.upstreams[0].set(Mode::ShortBody).await;
    let mut client = rig.client().await;
    client.send("GET /1 HTTP/1.1\r\nHost: t\r\n\r\nGET /2 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert!(!client.response().await.complete);
    rig.upstreams[0].set(Mode::Ok).await;
    assert_eq!(rig.get("/3").await.status, 200);
    let log = rig.access_log(2).await;
    assert_eq!([&log[0].request_uri, &log[1].request_uri], ["/1", "/3"]);
}

/// Closing would reset the connection, and throw the last answer away.
#[tokio::test]
async fn the_last_answer_reaches_who_asks_far_ahead() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).args(["--client-keepalive-requests", "1"]).start().await;
    let mut client = rig.client().await;
    let request = "GET /bytes/300000 HTTP/1.1\r\nHost: t\r\n\r\n";
    client.send(request.repeat(4000)).await;
    let response = client.response().await;
    assert_eq!((response.status, response.body.len(), response.complete), (200, 300_000, true));
    assert_eq!(client.end().await, End::Closed);
}

const LARGE: usize = 96 << 20;

#[tokio::test]
async fn a_response_waits_for_a_slow_reader() {
    let rig = rig().await;
    let mut slow = rig.client().await;
    slow.send(format!("GET /bytes/{LARGE} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
    rig.upstreams[0].request(1).await;
    for _ in 0..100 {
        assert_eq!(rig.get("/").await.status, 200);
    }
    let peak = rig.forebay.peak_memory();
    assert!(peak < LARGE, "{peak} bytes of memory: the response is collected rather than streamed");
    assert_eq!(slow.response().await.body.len(), LARGE);
}

#[tokio::test]
async fn a_request_waits_for_a_slow_server() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).args(["--client-max-body-size", "0"]).start().await;
    rig.upstreams[0].set(Mode::StopReading).await;
    let mut eager = rig.client().await;
    eager.send(format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: {LARGE}\r\n\r\n")).await;
    let sending = tokio::spawn(async move { eager.try_send(vec![b'x'; LARGE]).await });
    rig.upstreams[0].request(1).await;
    rig.upstreams[0].set(Mode::Ok).await;
    for _ in 0..100 {
        assert_eq!(rig.get("/").await.status, 200);
    }
    let peak = rig.forebay.peak_memory();
    assert!(peak < LARGE, "{peak} bytes of memory: the request is collected rather than streamed");
    assert!(!sending.is_finished(), "nobody took {LARGE} bytes");
    sending.abort();
}
