//! Bounds on what a client may send: 413, 431, 414, 400, and that a refused request harms no other.

use testkit::{Client, Mode, Rig, client::End, rig::Builder};

fn builder() -> Builder {
    Rig::of(env!("CARGO_BIN_EXE_forebay"))
}

/// The status of the answer to `request`, and that nothing of it reached the server.
async fn refused(rig: &Rig, request: impl AsRef<[u8]>) -> u16 {
    let before = rig.upstreams[0].requests().len();
    let mut client = rig.client().await;
    // The rest may find the connection closed already.
    let _ = client.try_send(request).await;
    let response = client.response().await;
    assert_eq!(rig.upstreams[0].requests().len(), before, "it was passed on");
    response.status
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let rig = builder().args(["--client-max-body-size", "1000"]).start().await;
    assert_eq!(refused(&rig, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n").await, 413);
    let exact = format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1000));
    assert_eq!(rig.send(exact).await.status, 200);
}

#[tokio::test]
async fn the_default_limit_is_nginxs() {
    let rig = builder().start().await;
    assert_eq!(refused(&rig, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1048577\r\n\r\n").await, 413);
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let rig = builder().args(["--client-max-body-size", "10"]).start().await;
    let request = "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n";
    assert_eq!(refused(&rig, request).await, 413);
}

#[tokio::test]
async fn chunks_beyond_the_limit_are_413() {
    let rig = builder().args(["--client-max-body-size", "1000"]).start().await;
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    let request = format!("PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    let mut client = rig.client().await;
    let _ = client.try_send(request).await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    assert_eq!(response.head.start_line, "HTTP/1.1 413 Request Entity Too Large", "as its page and nginx say");
    let received = rig.upstreams[0].requests();
    assert!(received.is_empty(), "an incomplete request is not a complete one: {received:?}");
    rig.forebay.logged("client intended to send too large chunked body: ").await;
    assert_eq!(rig.get("/").await.status, 200, "and the server is not to blame");
}

#[tokio::test]
async fn a_header_beyond_the_limit_is_431() {
    let rig = builder().start().await;
    let long = "x".repeat(40_000);
    assert_eq!(refused(&rig, format!("GET / HTTP/1.1\r\nHost: t\r\nX-Long: {long}\r\n\r\n")).await, 431);
}

/// The default is hyper's own, which it is not told.
#[tokio::test]
async fn header_lines_are_counted() {
    let request = |lines: usize| {
        let more: Vec<String> = (1..lines).map(|n| format!("X-{n}: 1\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", more.concat())
    };
    for (flags, limit) in [(&[][..], 100), (&["--client-max-headers", "20"][..], 20)] {
        let rig = builder().args(flags.iter().copied()).start().await;
        assert_eq!(rig.send(request(limit)).await.status, 200, "{limit}");
        assert_eq!(refused(&rig, request(limit + 1)).await, 431, "{limit}");
    }
}

#[tokio::test]
async fn a_header_within_the_limits_passes() {
    let rig = builder().args(["--client-max-header-size", "64Ki", "--client-max-headers", "200"]).start().await;
    let many: Vec<String> = (0..150).map(|n| format!("X-{n}: {}\r\n", "x".repeat(200))).collect();
    assert_eq!(rig.send(format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", many.concat())).await.status, 200);
}

/// Ledger: `upstream-header-limit`.
#[tokio::test]
async fn a_header_of_many_pages_is_taken() {
    let rig = builder().start().await;
    for (size, status) in [(60_000, 200), (70_000, 502)] {
        rig.upstreams[0].set(Mode::BigHeader(size)).await;
        assert_eq!(rig.get("/").await.status, status, "{size}");
    }
}

#[tokio::test]
async fn an_endless_target_is_refused() {
    let rig = builder().start().await;
    let status = refused(&rig, format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(100_000))).await;
    assert!(matches!(status, 414 | 431), "{status}");
}

#[tokio::test]
async fn malformed_requests_are_400() {
    let rig = builder().start().await;
    for request in [
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX-Space : 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\n: empty\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: t\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET / HTTP/one\r\nHost: t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX-Nul: a\0b\r\n\r\n",
    ] {
        assert_eq!(refused(&rig, request).await, 400, "{request:?}");
    }
}

#[tokio::test]
async fn other_versions_are_refused() {
    let rig = builder().start().await;
    for request in ["GET / HTTP/3.0\r\nHost: t\r\n\r\n", "GET /\r\n\r\n"] {
        let status = refused(&rig, request).await;
        assert!(matches!(status, 400 | 505), "{request:?}: {status}");
    }
}

#[tokio::test]
async fn http2_is_not_taken_for_http1() {
    let rig = builder().start().await;
    let mut client = rig.client().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    match client.try_response_to("GET").await {
        Ok(response) => assert!(matches!(response.status, 400 | 505), "{}", response.status),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}"),
    }
    assert!(rig.upstreams[0].requests().is_empty());
}

#[tokio::test]
async fn tunnels_are_not_opened_for_strangers() {
    let rig = builder().start().await;
    let status = refused(&rig, "CONNECT db.internal:5432 HTTP/1.1\r\nHost: db.internal:5432\r\n\r\n").await;
    assert!(matches!(status, 400 | 405), "{status}");
}

#[tokio::test]
async fn a_connection_carries_so_many_requests() {
    let rig = builder().args(["--client-keepalive-requests", "2"]).start().await;
    let mut client = rig.client().await;
    for expected in [None, Some("close")] {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        assert_eq!(client.response().await.header("connection"), expected);
    }
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn refused_requests_take_no_worker_with_them() {
    let rig = builder().args(["--client-max-body-size", "10"]).start().await;
    for n in 0..200 {
        let request = match n % 4 {
            0 => "BROKEN\r\n\r\n".to_owned(),
            1 => "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99\r\n\r\n".to_owned(),
            2 => format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(50_000)),
            _ => "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n".to_owned(),
        };
        let mut client: Client = rig.client().await;
        // Whatever becomes of it; the next honest request is what counts.
        let _ = client.try_send(request).await;
        if n % 3 == 0 {
            client.reset();
        }
    }
    assert_eq!(rig.get("/").await.status, 200);
}

/// The request's target and status in every line of the log, once there are `count`.
async fn logged(rig: &Rig, count: usize) -> Vec<String> {
    let lines = rig.access_log(count).await;
    assert!(lines.iter().all(|line| line.request_uri != "-" || line.upstream_status == "-"), "{lines:?}");
    lines.iter().map(|line| format!("{} {}", line.request_uri, line.status)).collect()
}

#[tokio::test]
async fn what_cannot_be_read_has_a_line_with_the_status_that_was_answered() {
    let rig = builder().args(["--client-max-header-size", "128Ki"]).start().await;
    let header = |target: usize, value: usize| {
        format!("GET /{} HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(target), "x".repeat(value))
    };
    for (count, request, status) in [
        (1, "GET\r\n\r\n".to_owned(), 400),
        (2, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\nGET /secret".to_owned(), 400),
        (3, header(1, 140_000), 431),
        (4, header(140_000, 1), 431),
        (5, header(70_000, 1), 414),
    ] {
        assert_eq!(refused(&rig, request).await, status);
        assert_eq!(logged(&rig, count).await[count - 1], format!("- {status}"));
    }
    let metrics = rig.forebay.admin_get("/metrics").await.text();
    assert!(metrics.contains("forebay_bad_requests_total 5\n"), "{metrics}");
}

#[tokio::test]
async fn who_leaves_within_a_header_has_a_line_and_who_said_nothing_has_none() {
    let rig = builder().start().await;
    drop(rig.client().await);
    let mut idle = rig.client().await;
    idle.send("GET /idle HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(idle.response().await.status, 200);
    drop(idle);
    let mut leaving = rig.client().await;
    leaving.send("GET /left HTTP/1.1\r\nHos").await;
    drop(leaving);
    assert_eq!(logged(&rig, 2).await, ["/idle 200", "- 400"], "as nginx");
    let mut hasty = rig.client().await;
    rig.upstreams[0].set(Mode::Hang).await;
    hasty.send("GET /hasty HTTP/1.1\r\nHost: t\r\n\r\n").await;
    rig.upstreams[0].request(2).await;
    drop(hasty);
    logged(&rig, 3).await;
    rig.upstreams[0].set(Mode::Ok).await;
    rig.get("/last").await;
    assert_eq!(logged(&rig, 4).await[2..], ["/hasty 499", "/last 200"], "one line for each that was begun");
}

#[tokio::test]
async fn a_header_that_takes_too_long_is_logged_as_408() {
    let rig = builder().args(["--client-header-timeout", "100ms"]).start().await;
    assert_eq!(rig.client().await.end().await, End::Closed, "silent");
    let mut slow = rig.client().await;
    slow.send("GET /slow HTTP/1.1\r\nHost: t\r\nX-Slow: ").await;
    assert_eq!(slow.end().await, End::Closed, "without an answer, as nginx");
    assert_eq!(logged(&rig, 1).await, ["- 408"]);
}

/// Were the connection closed with the body unread, the client would hear of a reset at best.
/// Whatever its header says: of an `Upgrade` the HTTP library makes an end of its own (Java's client offers `h2c` with every
/// request).
#[tokio::test]
async fn who_is_refused_while_sending_hears_why() {
    let rig = builder().start().await;
    let size = 30_000_000;
    for upgrade in ["", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Connection: Upgrade\r\nUpgrade: echo\r\n"] {
        let mut client = rig.client().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{upgrade}Content-Length: {size}\r\n\r\n")).await;
        client.try_send(vec![b'x'; size]).await.expect("it is read to the end");
        assert_eq!(client.response().await.status, 413, "{upgrade}");
        assert_eq!(client.end().await, End::Closed, "{upgrade}");
    }
}
