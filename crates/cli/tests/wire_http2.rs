//! HTTP/2 from clients: what goes through to a server of HTTP/1, what is refused, and how a connection ends.

mod tls_rig;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Method, Request};
use testkit::{
    Mode,
    http2::{Http2, answer},
    patiently, tls,
    upstream::After,
};
use tls_rig::TlsRig;

async fn connect(rig: &TlsRig) -> Http2 {
    let client = rig.authority.client(&[tls::H2, tls::HTTP1]);
    Http2::connect(rig.forebay.https(0), "shop.example", &client).await.unwrap()
}

fn get(path: &str) -> http::request::Builder {
    Request::get(format!("https://shop.example{path}"))
}

#[tokio::test]
async fn a_request_becomes_one_of_http1() {
    let format = "$request|$http_host|$cookie_b|$status|$server_protocol|$scheme";
    let rig = TlsRig::start(&["--access-log", "-", "--access-log-format", format]).await;
    let mut client = connect(&rig).await;
    let request = get("/x?y=%20").header("cookie", "a=1").header("cookie", "b=2").header("te", "trailers");
    let answer = client.ask(request.body(()).unwrap()).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"a"[..]));
    for hop in ["connection", "keep-alive", "transfer-encoding"] {
        assert!(!answer.headers.contains_key(hop), "{hop}");
    }
    let seen = rig.upstream.request(1).await;
    assert_eq!(seen.head.start_line, "GET /x?y=%20 HTTP/1.1");
    for (name, value) in [
        ("host", Some("shop.example")),
        ("cookie", Some("a=1; b=2")),
        ("te", None),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-host", Some("shop.example")),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    assert_eq!(seen.head.headers.all("cookie").len(), 1);
    rig.forebay.logged("GET /x?y=%20 HTTP/2.0|shop.example|2|200|HTTP/2.0|https").await;
}

#[tokio::test]
async fn bodies_and_trailers_go_both_ways() {
    let rig = TlsRig::start(&[]).await;
    let mut client = connect(&rig).await;
    let request = Request::post("https://shop.example/echo").header("trailer", "x-sum").body(()).unwrap();
    let (response, mut body) = client.open(request, false).await.unwrap();
    body.send_data(Bytes::from_static(b"one "), false).unwrap();
    body.send_data(Bytes::from_static(b"two"), false).unwrap();
    body.send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())])).unwrap();
    assert_eq!(answer(response).await.unwrap().status, 200);
    let seen = rig.upstream.request(1).await;
    assert_eq!(seen.body.content, b"one two");
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert_eq!(seen.body.trailers.first("x-sum"), Some("7"));

    rig.upstream.set(Mode::Chunked).await;
    let answer = client.get("https://shop.example/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.trailers.is_some_and(|trailers| !trailers.is_empty()), "the server's trailer");
}

#[tokio::test]
async fn trailers_of_a_hop_end_with_it() {
    let rig = TlsRig::start(&[]).await;
    let trailers = "Connection: close\r\nKeep-Alive: timeout=5\r\nUpgrade: x\r\nX-Accel-Redirect: /secret\r\nX-Sum: 7";
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n\r\n");
    rig.upstream.set(Mode::raw(answer, After::Keep)).await;
    let mut client = connect(&rig).await;
    let answer = client.get("https://shop.example/").await;
    assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]));
    let trailers = answer.trailers.expect("a trailer");
    assert_eq!(trailers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
}

#[tokio::test]
async fn head_and_empty_answers_have_no_body() {
    let rig = TlsRig::start(&[]).await;
    let mut client = connect(&rig).await;
    let head = Request::head("https://shop.example/bytes/100").body(()).unwrap();
    let answer = client.ask(head).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.headers["content-length"], "100");
    rig.upstream.set(Mode::Interim(103)).await;
    assert_eq!(client.get("https://shop.example/").await.status, 200);
}

#[tokio::test]
async fn what_nginx_refuses_is_refused_and_harms_no_other_stream() {
    let rig = TlsRig::start(&["--client-max-headers", "20", "--client-max-body-size", "10"]).await;
    let mut client = connect(&rig).await;
    let connect = Request::builder().method(Method::CONNECT).uri("shop.example:443").body(()).unwrap();
    assert_eq!(client.ask(connect).await.unwrap().status, 405);
    let trace = Request::builder().method(Method::TRACE).uri("https://shop.example/").body(()).unwrap();
    assert_eq!(client.ask(trace).await.unwrap().status, 405);
    let other_host = get("/").header("host", "other.example").body(()).unwrap();
    assert_eq!(client.ask(other_host).await.unwrap().status, 400);
    let user = Request::get("https://user@shop.example/").body(()).unwrap();
    assert_eq!(client.ask(user).await.unwrap().status, 400);
    let mut many = get("/");
    for n in 0..21 {
        many = many.header(format!("x-{n}"), "1");
    }
    assert_eq!(client.ask(many.body(()).unwrap()).await.unwrap().status, 431);
    let large = Request::post("https://shop.example/").header("content-length", "11").body(()).unwrap();
    let (response, mut body) = client.open(large, false).await.unwrap();
    body.send_data(Bytes::from_static(b"01234567890"), true).unwrap();
    assert_eq!(answer(response).await.unwrap().status, 413);
    let (response, mut body) =
        client.open(Request::post("https://shop.example/").body(()).unwrap(), false).await.unwrap();
    body.send_data(Bytes::from_static(b"01234567890"), true).unwrap();
    assert_eq!(answer(response).await.unwrap().status, 413);
    assert_eq!(client.get("https://shop.example/").await.status, 200, "the connection serves on");
}

#[tokio::test]
async fn a_stream_that_is_answered_early_is_not_reset_while_its_client_sends() {
    let rig = TlsRig::start(&["--client-max-body-size", "10"]).await;
    let mut client = connect(&rig).await;
    let announced = || Request::post("https://shop.example/").header("content-length", "100000");
    let nowhere = Request::post("https://shop.example/%zz").body(()).unwrap();
    for (status, request) in [
        (413, announced().body(()).unwrap()),
        (413, Request::post("https://shop.example/").body(()).unwrap()),
        (400, nowhere),
    ] {
        let (response, mut body) = client.open(request, false).await.unwrap();
        body.send_data(Bytes::from(vec![0; 50_000]), false).unwrap();
        assert_eq!(answer(response).await.unwrap().status, status);
        assert_eq!(client.get("https://shop.example/").await.status, 200, "a reset would have come before this");
        let reset = std::future::poll_fn(|cx| std::task::Poll::Ready(body.poll_reset(cx))).await;
        assert!(reset.is_pending(), "{reset:?}");
        body.send_data(Bytes::from(vec![0; 50_000]), true).unwrap();
    }
}

#[tokio::test]
async fn a_large_header_is_refused() {
    let rig = TlsRig::start(&[]).await;
    let mut client = connect(&rig).await;
    let request = get("/").header("x-large", "x".repeat(40 << 10)).body(()).unwrap();
    match client.ask(request).await {
        Ok(answer) => assert_eq!(answer.status, 431),
        Err(error) => panic!("{error}"),
    }
    assert!(rig.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_server() {
    const SIZE: usize = 32 << 20;
    let rig = TlsRig::start(&[]).await;
    let mut client = connect(&rig).await;
    let (response, _) = client.open(get(&format!("/bytes/{SIZE}")).body(()).unwrap(), true).await.unwrap();
    let mut body = patiently("a response", response).await.unwrap().into_body();
    // Another stream of the connection is not held up by the one that is not read.
    assert_eq!(client.get("https://shop.example/").await.status, 200);
    assert!(rig.forebay.peak_memory() < SIZE * 2, "{} bytes resident", rig.forebay.peak_memory());
    let mut received = 0;
    while let Some(chunk) = patiently("the rest", body.data()).await {
        let chunk = chunk.unwrap();
        received += chunk.len();
        body.flow_control().release_capacity(chunk.len()).unwrap();
    }
    assert_eq!(received, SIZE);
}

#[tokio::test]
async fn a_server_that_does_not_read_stops_the_client() {
    let rig = TlsRig::start(&["--client-max-body-size", "0"]).await;
    rig.upstream.set(Mode::StopReading).await;
    let mut client = connect(&rig).await;
    let (_response, mut body) =
        client.open(Request::post("https://shop.example/").body(()).unwrap(), false).await.unwrap();
    body.reserve_capacity(64 << 20);
    let mut sent = 0;
    // What fits in windows and sockets goes out, and then the window stays shut; the test learns that from its sum.
    while let Ok(Some(Ok(capacity))) =
        tokio::time::timeout(std::time::Duration::from_secs(1), std::future::poll_fn(|cx| body.poll_capacity(cx))).await
    {
        body.send_data(Bytes::from(vec![0; capacity]), false).unwrap();
        sent += capacity;
        assert!(sent < 48 << 20, "nothing stops it");
    }
    body.send_reset(Reason::CANCEL);
    assert!(client.is_open());
}

#[tokio::test]
async fn uploads_that_nobody_takes_stop_no_other() {
    let rig = TlsRig::start(&["--client-max-body-size", "0"]).await;
    let mut client = connect(&rig).await;
    rig.upstream.set(Mode::StopReading).await;
    let mut stalled = Vec::new();
    for n in 1..=8 {
        let request = Request::post("https://shop.example/").body(()).unwrap();
        let (response, mut body) = client.open(request, false).await.unwrap();
        // More than fits into the windows and sockets on the way.
        body.send_data(Bytes::from(vec![0; 6 << 20]), false).unwrap();
        rig.upstream.wait_for("the upload to begin", |record| record.requests.len() == n).await;
        stalled.push((response, body));
    }
    rig.upstream.set(Mode::Ok).await;
    let (response, mut body) =
        client.open(Request::post("https://shop.example/").body(()).unwrap(), false).await.unwrap();
    body.send_data(Bytes::from(vec![0; 100_000]), true).unwrap();
    assert_eq!(answer(response).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_stream_that_the_client_resets_frees_its_server() {
    let rig = TlsRig::start(&["--access-log", "-", "--access-log-format", "$request_uri|$status"]).await;
    rig.upstream.set(Mode::Hang).await;
    let mut client = connect(&rig).await;
    let (response, mut stream) = client.open(get("/hangs").body(()).unwrap(), true).await.unwrap();
    rig.upstream.request(1).await;
    stream.send_reset(Reason::CANCEL);
    drop(response);
    rig.forebay.logged("/hangs|499").await;
    rig.upstream.set(Mode::Ok).await;
    assert_eq!(client.get("https://shop.example/").await.status, 200);
}

#[tokio::test]
async fn many_streams_are_served_at_once_and_no_more_than_allowed() {
    let rig = TlsRig::start(&["--client-concurrent-streams", "3"]).await;
    let mut client = connect(&rig).await;
    // The server's settings come with its first frames.
    assert_eq!(client.get("https://shop.example/").await.status, 200);
    let mut held = Vec::new();
    for n in 0..3 {
        let request = get("/").header("x-hold", n.to_string()).body(()).unwrap();
        held.push(client.open(request, true).await.unwrap().0);
    }
    rig.upstream.gate().held_count(3).await;
    let fourth = client.open(get("/fourth").body(()).unwrap(), true).await.unwrap().0;
    assert_eq!(rig.upstream.requests().len(), 4, "the fourth waits with the client");
    rig.upstream.gate().release_all();
    for response in held.into_iter().chain([fourth]) {
        assert_eq!(answer(response).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_drain_lets_streams_finish() {
    let mut rig = TlsRig::start(&["--drain-timeout", "1h"]).await;
    let mut client = connect(&rig).await;
    let request = get("/").header("x-hold", "one").body(()).unwrap();
    let (response, _) = client.open(request, true).await.unwrap();
    rig.upstream.gate().held("one").await;
    let idle = connect(&rig).await;
    rig.forebay.signal("TERM").await;
    idle.ended().await.unwrap();
    assert!(client.is_open());
    rig.upstream.gate().release("one");
    assert_eq!(answer(response).await.unwrap().status, 200);
    client.ended().await.unwrap();
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
}

#[tokio::test]
async fn a_connection_ends_after_its_share_of_requests() {
    let rig = TlsRig::start(&["--client-keepalive-requests", "3"]).await;
    let mut client = connect(&rig).await;
    for _ in 0..3 {
        assert_eq!(client.get("https://shop.example/").await.status, 200);
    }
    client.ended().await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let rig = TlsRig::start(&["--client-header-timeout", "300ms"]).await;
    let mut client = connect(&rig).await;
    assert_eq!(client.get("https://shop.example/").await.status, 200);
    client.ended().await.unwrap();

    let mut client = connect(&rig).await;
    rig.upstream.set(Mode::Delay(std::time::Duration::from_secs(1))).await;
    assert_eq!(client.get("https://shop.example/").await.status, 200, "a request in progress is not idle");
    client.ended().await.unwrap();
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let rig = TlsRig::start(&["--client-keepalive-requests", "0"]).await;
    rig.upstream.set(Mode::Hang).await;
    let mut client = connect(&rig).await;
    let mut streams = 0;
    while streams < 20_000 {
        let Ok((_, mut stream)) = client.open(get("/").body(()).unwrap(), true).await else { break };
        stream.send_reset(Reason::CANCEL);
        streams += 1;
        if streams % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut other = connect(&rig).await;
    rig.upstream.set(Mode::Ok).await;
    assert_eq!(other.get("https://shop.example/").await.status, 200, "others are served");
    assert!(rig.forebay.peak_memory() < 256 << 20, "{} bytes resident", rig.forebay.peak_memory());
    rig.upstream.wait_for("abandoned attempts to be closed", |record| record.open < 50).await;
}

/// Cleartext HTTP/2 is not spoken: nginx does so only when told (`http2 on` on a plain listener).
#[tokio::test]
async fn prior_knowledge_is_not_enabled() {
    let rig = TlsRig::start(&[]).await;
    let mut client = testkit::Client::connect(rig.forebay.http(0)).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    client.end().await;
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_reset_and_the_others_go_on() {
    let rig = TlsRig::start(&["--client-send-timeout", "100ms"]).await;
    let mut client = connect(&rig).await;
    let (response, _) = client.open(get("/bytes/5000000").body(()).unwrap(), true).await.unwrap();
    let mut body = patiently("a response", response).await.unwrap().into_body();
    rig.upstream.wait_for("the request to be given up", |record| record.open == 0 && record.connections == 1).await;
    let mut ended = None;
    while let Some(part) = patiently("the end of the stream", body.data()).await {
        ended = part.err();
        if ended.is_some() {
            break;
        }
    }
    assert_eq!(ended.and_then(|error| error.reason()), Some(Reason::CANCEL));
    assert_eq!(client.get("https://shop.example/").await.status, 200);
}
