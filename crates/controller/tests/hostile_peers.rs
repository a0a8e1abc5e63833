//! What a peer may do wrong, each with a healthy data plane beside it that must not notice.

#![allow(clippy::disallowed_methods, reason = "what these tests show expires by the wall clock")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use config::{Millis, Revision};
use controller::fleet::INSTANCES;
use controller::identity::{Lifetimes, Terms};
use controller::serve::Bounds;
use feed::frames::{ClientFrame, Hello};
use feed::{Event, Scope, Versions, limits};
use http::StatusCode;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use support::client::{DataPlane, Subscribe, get, post, read, text};
use support::{Feed, group, tokens};

fn token(pod: &str) -> String {
    tokens::of_pod("forebay", "forebay-proxy", pod)
}

/// A data plane that has everything.
async fn healthy(feed: &Feed) -> DataPlane {
    feed.hub.publish([group("shop", "app", 1)]);
    let mut plane = feed.trust().subscribe(Some(&token("good")), "forebay/good", Scope::All).await;
    plane.synced().await;
    plane
}

/// What who says or proves nothing waits to be cut.
const SHORT: Duration = Duration::from_millis(300);

/// A healthy data plane that comes again until it is in: what is [`SHORT`] may pass while this machine stands still.
async fn healthy_in_the_end(feed: &Feed) -> DataPlane {
    feed.hub.publish([group("shop", "app", 1)]);
    loop {
        let Ok((mut sender, _)) = feed.trust().try_connect(1 << 20).await else { continue };
        if let Ok(mut plane) = sender.subscribe(Some(&token("good")), "forebay/good", Scope::All).await {
            plane.synced().await;
            return plane;
        }
    }
}

/// It still gets what is published.
async fn unharmed(feed: &Feed, plane: &mut DataPlane) {
    feed.hub.publish([group("shop", "app", 2)]);
    plane.until(|event| matches!(event, Event::Commit(_)).then_some(())).await;
}

#[tokio::test]
async fn endless_lines_and_frames_out_of_place_end_their_stream() {
    let feed = Feed::start().await;
    let mut plane = healthy(&feed).await;
    let endless_hello = Bytes::from(vec![b' '; limits::HELLO_LINE + 1]);
    let endless_line = Bytes::from(vec![b' '; limits::CLIENT_LINE + 1]);
    let cases: [(&str, Bytes, &str); 5] = [
        ("hello first", endless_hello, "a line is longer than 8388608 bytes"),
        ("hello first", Bytes::from_static(b"{\"ack\":{\"commit\":1}}\n"), "a stream opens with hello"),
        ("hello first", Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n"), "not a frame"),
        ("after hello", endless_line, "a line is longer than 8192 bytes"),
        ("after hello", Bytes::from_static(b"{\"ack\":{\"commit\":99}}\n"), "but the last one sent is"),
    ];
    for (when, bytes, said) in cases {
        if when == "after hello" {
            let mut bad = feed.trust().subscribe(Some(&token("bad")), "forebay/bad", Scope::All).await;
            bad.synced().await;
            bad.sender.send_data(bytes).await.unwrap();
            let reason = bad.bye().await.0;
            assert!(reason.contains(said), "{reason}");
        } else {
            let request = post("/feed/v1", "application/x-ndjson", Some(&token("bad")), text(bytes));
            let (status, _, body) = feed.trust().ask(request).await;
            assert_eq!(status, StatusCode::OK);
            assert!(body.starts_with("{\"bye\":") && body.contains(said), "{body}");
        }
    }
    assert_eq!(feed.server.counters().counts().violations, 5);
    unharmed(&feed, &mut plane).await;
}

#[tokio::test]
async fn a_pod_has_a_few_streams_and_connections() {
    let bounds =
        Bounds { connections_per_pod: 3, subscribers_per_pod: 2, streams_per_connection: 4, ..Bounds::default() };
    let feed = Feed::with(bounds, Terms::default()).await;
    let mut plane = healthy(&feed).await;
    let mut connection = feed.trust().connect().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(connection.subscribe(Some(&token("bad")), "forebay/bad", Scope::All).await.ok().unwrap());
    }
    for _ in 0..100 {
        let refused = connection.subscribe(Some(&token("bad")), "forebay/bad", Scope::All).await.err().unwrap();
        assert_eq!(refused.0, StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.1.contains("too many subscribers of this identity"), "{}", refused.1);
    }
    let mut others = Vec::new();
    for n in 0..4 {
        let mut other = feed.trust().connect().await;
        let (status, headers, said) =
            read(other.send_request(get("/feed/v1", Some(&token("bad")))).await.unwrap()).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(said.contains("connections of this identity"), n >= 2, "{n}: {said}");
        assert_eq!(headers["retry-after"], "10");
        others.push(other);
    }
    // A stream that ends makes room for another.
    held.pop();
    drop((held, connection, others));
    unharmed(&feed, &mut plane).await;
}

/// A `hello` of a data plane that says it has so many groups of `shop`.
fn claims(scope: Scope, instance: &str, count: usize) -> Bytes {
    let have = (0..count).map(|n| (format!("group/shop/{n}"), Revision::of(b""))).collect();
    ClientFrame::Hello(Hello { protocol: Versions::OURS, instance: instance.into(), scope, have }).to_line()
}

#[tokio::test]
async fn long_hellos_of_sidecars_have_few_places() {
    let feed = Feed::with(Bounds { hellos: 1, ..Bounds::default() }, Terms::default()).await;
    let mut plane = healthy(&feed).await;
    let scope = || Scope::Namespaces(["shop".into()].into());
    let request = |token: &str, hello: Bytes| post("/feed/v1", "application/x-ndjson", Some(token), text(hello));
    let sidecar = |n: usize| tokens::of_pod("shop", "web", &format!("web-{n}"));
    // Somebody who says it has what there is not, and does not take that it has not.
    let (mut sender, _) = feed.trust().connect_with_window(1024).await;
    let hello = claims(scope(), "shop/web-1", 5000);
    let mut slow = sender.send_request(request(&sidecar(1), hello)).await.unwrap().into_body();
    let welcome = slow.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(welcome.starts_with(b"{\"welcome\":"), "{welcome:?}");
    let (status, _, said) = feed.trust().ask(request(&sidecar(2), claims(scope(), "shop/web-2", 5000))).await;
    assert_eq!(status, StatusCode::OK);
    assert!(said.starts_with("{\"bye\":") && said.contains("too many data planes say at once"), "{said}");
    // Whoever has little to say, and an ingress, do not wait for it.
    feed.trust().subscribe(Some(&sidecar(3)), "shop/web-3", scope()).await.synced().await;
    let welcomed = async |token: &str, hello: Bytes| {
        let mut sender = feed.trust().connect().await;
        let mut answer = sender.send_request(request(token, hello)).await.unwrap().into_body();
        answer.frame().await.unwrap().unwrap().into_data().unwrap().starts_with(b"{\"welcome\":")
    };
    assert!(welcomed(&token("new"), claims(Scope::All, "forebay/new", 5000)).await);
    drop((slow, sender));
    while !welcomed(&sidecar(2), claims(scope(), "shop/web-2", 5000)).await {}
    // More than a namespace has is never taken.
    let (_, _, said) = feed.trust().ask(request(&sidecar(4), claims(scope(), "shop/web-4", 20_000))).await;
    assert!(said.contains("a line is longer than 1048576 bytes") || said.contains("more than 10000"), "{said}");
    unharmed(&feed, &mut plane).await;
}

#[tokio::test]
async fn sidecars_leave_places_for_ingresses() {
    let feed = Feed::with(Bounds { subscribers: 8, connections: 12, ..Bounds::default() }, Terms::default()).await;
    let mut plane = healthy(&feed).await;
    let sidecar = tokens::unbound("shop", "web");
    let mut taken = Vec::new();
    let refused = loop {
        let instance = format!("shop/web-{}", taken.len());
        let scope = Scope::Namespaces(["shop".into()].into());
        match feed.trust().try_subscribe(Some(&sidecar), &instance, scope).await {
            Ok(other) => taken.push(other),
            Err(refused) => break refused,
        }
    };
    assert_eq!((taken.len(), refused.0), (5, StatusCode::TOO_MANY_REQUESTS), "{}", refused.1);
    let mut connections = Vec::new();
    loop {
        let mut connection = feed.trust().connect().await;
        let (status, _, said) = read(connection.send_request(get("/feed/v1", Some(&sidecar))).await.unwrap()).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        connections.push(connection);
        if said.contains("connections") {
            break;
        }
    }
    feed.trust().subscribe(Some(&token("new")), "forebay/new", Scope::All).await.synced().await;
    unharmed(&feed, &mut plane).await;
}

#[tokio::test]
async fn a_report_that_is_not_taken_is_not_called_taken() {
    let feed = Feed::start().await;
    let mut plane = healthy(&feed).await;
    let report = |instance: &str| {
        serde_json::json!({
            "instance": instance, "epoch": 1, "seq": 1, "extent": "full", "revision": Revision::of(b""), "age": 0,
            "scope": {"namespaces": ["shop"]}, "groups": {},
        })
    };
    for n in 0..INSTANCES {
        let report = serde_json::from_value(report(&format!("shop/{n}"))).unwrap();
        feed.reports.absorb(report);
    }
    let tell = async |token: String, report: serde_json::Value| {
        let request = post("/report/v1", "application/json", Some(&token), text(report.to_string()));
        feed.trust().ask(request).await
    };
    let (status, headers, said) = tell(tokens::of_pod("shop", "web", "web-1"), report("shop/web-1")).await;
    assert_eq!((status, &headers["retry-after"]), (StatusCode::SERVICE_UNAVAILABLE, &"10".parse().unwrap()));
    assert!(said.contains("no room for more data planes"), "{said}");
    let mut ingress = report("forebay/new");
    ingress["scope"] = "all".into();
    assert_eq!(tell(token("new"), ingress).await.0, StatusCode::NO_CONTENT);
    unharmed(&feed, &mut plane).await;
}

#[tokio::test]
async fn who_says_nothing_is_cut() {
    let bounds = Bounds { handshake: SHORT, unproven_per_address: 3, ..Bounds::default() };
    let feed = Feed::with(bounds, Terms::default()).await;
    let mut plane = healthy_in_the_end(&feed).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(tokio::net::TcpStream::connect(feed.address).await.unwrap());
    }
    // There is no room for a fourth; and none of them stays.
    let mut fourth = tokio::net::TcpStream::connect(feed.address).await.unwrap();
    assert_eq!(fourth.read(&mut [0; 1]).await.unwrap_or(0), 0);
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
    unharmed(&feed, &mut plane).await;
    assert_eq!(feed.server.open_connections(), (1, 0));
}

#[tokio::test]
async fn who_proves_nothing_is_cut() {
    let feed = Feed::with(Bounds { proof: SHORT, ..Bounds::default() }, Terms::default()).await;
    let mut plane = healthy_in_the_end(&feed).await;
    let (mut sender, ended) = feed.trust().connect_with_window(1 << 16).await;
    // Unless it is cut before.
    if let Ok(answer) = sender.send_request(get("/feed/v1", None)).await {
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let _ = ended.await.unwrap();
    unharmed(&feed, &mut plane).await;
    assert_eq!(feed.server.open_connections(), (1, 0));
}

#[tokio::test]
async fn who_does_not_read_is_cut_and_delays_nobody() {
    let bounds = Bounds { stalled: Millis(300), ..Bounds::default() };
    let feed = Feed::with(bounds, Terms::default()).await;
    let mut plane = healthy(&feed).await;
    let (mut sender, ended) = feed.trust().connect_with_window(1024).await;
    let slow = sender.subscribe(Some(&token("slow")), "forebay/slow", Scope::All).await.ok().unwrap();
    for n in 0..200 {
        feed.hub.publish([group("shop", "app", 3 + n % 50)]);
        plane.until(|event| matches!(event, Event::Commit(_)).then_some(())).await;
    }
    let seen = feed.server.roster().seen();
    let lines = seen.iter().find(|one| one.instance.as_deref() != Some("forebay/good")).map_or(0, |one| one.lines);
    assert!(lines < 20, "nothing queues for it, but {lines} lines were taken");
    let _ = ended.await.unwrap();
    drop(slow);
    assert_eq!(feed.server.counters().counts().connections_cut, 1);
    unharmed(&feed, &mut plane).await;
}

#[tokio::test]
async fn a_revoked_identity_loses_its_stream() {
    let bounds = Bounds { recheck: Millis(50), ..Bounds::default() };
    let lifetimes = Lifetimes { fresh: Millis(0), ..Lifetimes::default() };
    let feed = Feed::with(bounds, Terms { lifetimes, ..Terms::default() }).await;
    let mut plane = healthy(&feed).await;
    let sidecar = tokens::of_pod("shop", "web", "web-1");
    let scope = Scope::Namespaces(["shop".into()].into());
    let mut revoked = feed.trust().subscribe(Some(&sidecar), "shop/web-1", scope.clone()).await;
    revoked.synced().await;
    // Looked at again, and again, without being noticed.
    let reviews = feed.api.asked("/");
    feed.api.arrived(reviews + 4).await;
    feed.api.state.lock().revoked.push("shop:web".to_owned());
    let (reason, _) = revoked.bye().await;
    assert!(reason.contains("the API server does not accept this token"), "{reason}");
    let refused = feed.trust().try_subscribe(Some(&sidecar), "shop/web-1", scope).await.err().unwrap();
    assert_eq!(refused.0, StatusCode::UNAUTHORIZED);
    unharmed(&feed, &mut plane).await;
}

#[tokio::test]
async fn a_stream_ends_before_its_token_does() {
    let feed = Feed::start().await;
    let mut plane = healthy(&feed).await;
    let soon = u64::try_from(jiff::Timestamp::now().as_second()).unwrap() + 62;
    let token = tokens::made("shop", "web", Some("web-1"), "forebay.dev", soon, "good");
    let scope = Scope::Namespaces(["shop".into()].into());
    let mut leaves = feed.trust().subscribe(Some(&token), "shop/web-1", scope).await;
    let (reason, within) = leaves.bye().await;
    assert!(reason.contains("ends soon; come again with a new one"), "{reason}");
    assert_eq!(within, Millis::from_secs(10));
    unharmed(&feed, &mut plane).await;
}

#[tokio::test]
async fn reports_are_bounded() {
    let feed = Feed::with(Bounds { reports_bytes: 1 << 20, ..Bounds::default() }, Terms::default()).await;
    let mut plane = healthy(&feed).await;
    let report = |body| post("/report/v1", "application/json", Some(&token("bad")), body);
    let (status, _, said) = feed.trust().ask(report(text(vec![b' '; limits::REPORT + 1]))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{said}");
    let (status, _, said) = feed.trust().ask(report(text(vec![b' '; 2 << 20]))).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{said}");
    assert_eq!(feed.server.counters().counts().reports_refused, 2);
    unharmed(&feed, &mut plane).await;
    let hasty = Feed::with(Bounds { report: Duration::from_millis(50), ..Bounds::default() }, Terms::default()).await;
    let (_sender, endless) = Channel::new(1);
    let (status, _, said) = hasty.trust().ask(report(endless.boxed())).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{said}");
}

#[tokio::test]
async fn a_fleet_that_tells_everything_at_once_is_heard() {
    // Room for two reports of sixteen.
    let feed = Feed::with(Bounds { reports_bytes: 512 << 10, ..Bounds::default() }, Terms::default()).await;
    let tell = |pod: usize| {
        let report = serde_json::json!({
            "instance": format!("forebay/proxy-{pod}"), "epoch": 1, "seq": 1, "extent": "full",
            "revision": Revision::of(b""), "age": 0, "groups": {}, "novel": " ".repeat(200 << 10),
        });
        let token = token(&format!("proxy-{pod}"));
        let request = post("/report/v1", "application/json", Some(&token), text(report.to_string()));
        let trust = feed.trust();
        async move { trust.ask(request).await.0 }
    };
    // A sidecar that declares all the room there is, and sends nothing, is in nobody's way but its like's.
    let (_sender, endless) = Channel::new(1);
    let sidecar = tokens::of_pod("shop", "web", "web-1");
    let declared = post("/report/v1", "application/json", Some(&sidecar), endless.boxed());
    let trust = feed.trust();
    let slow = tokio::spawn(async move { trust.ask(declared).await.0 });
    let told = futures_util::future::join_all((0..16).map(tell)).await;
    assert!(told.iter().all(|status| *status == StatusCode::NO_CONTENT), "{told:?}");
    assert_eq!(feed.reports.with(|fleet| fleet.len()), 16);
    slow.abort();
}

#[tokio::test]
async fn nobody_reports_in_anothers_name_or_from_the_future() {
    let feed = Feed::start().await;
    let mut plane = healthy(&feed).await;
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    let tell = async |token: String, instance: &str, epoch: u64| {
        let report = serde_json::json!({
            "instance": instance, "epoch": epoch, "seq": 1, "extent": "full", "revision": Revision::of(b""), "age": 0,
            "scope": {"namespaces": ["shop"]}, "groups": {},
        });
        let request = post("/report/v1", "application/json", Some(&token), text(report.to_string()));
        let (status, _, said) = feed.trust().ask(request).await;
        (status, said)
    };
    // An ingress outside the cluster has a name of no namespace.
    let (ingress, sidecar) = (tokens::unbound("forebay", "forebay-proxy"), tokens::unbound("shop", "web"));
    assert_eq!(tell(ingress.clone(), "edge-1", now).await.0, StatusCode::NO_CONTENT);
    let (status, said) = tell(sidecar.clone(), "edge-1", now + 1).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{said}");
    assert!(said.contains("speaks for instance \"shop/...\""), "{said}");
    let mut thief = feed.trust().subscribe(Some(&sidecar), "edge-1", Scope::Namespaces(["shop".into()].into())).await;
    assert!(thief.bye().await.0.contains("speaks for instance \"shop/...\""));
    for epoch in [now + 25 * 3_600_000, u64::MAX] {
        let (status, said) = tell(sidecar.clone(), "shop/web-1", epoch).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
        assert!(said.contains("ahead of the controller's clock"), "{said}");
    }
    // A clock that is hours ahead is no reason.
    assert_eq!(tell(sidecar, "shop/web-1", now + 2 * 3_600_000).await.0, StatusCode::NO_CONTENT);
    unharmed(&feed, &mut plane).await;
}

/// The frames of RFC 9113 section 4.1: length, type, flags, stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends raw frames after the preface and returns when the server has closed the connection.
async fn closed_after(feed: &Feed, frames: Vec<u8>) {
    let mut tls = feed.trust().tls().await.unwrap();
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
    // The server may close before everything is written.
    let _ = tls.write_all(&[preface, frames].concat()).await;
    let _ = tls.flush().await;
    let mut sink = Vec::new();
    let _ = tls.read_to_end(&mut sink).await;
}

#[tokio::test]
async fn floods_of_frames_end_their_connection() {
    let feed = Feed::start().await;
    let mut plane = healthy(&feed).await;
    // :method GET, :scheme https, :path /, :authority a
    let headers = [0x82, 0x87, 0x84, 0x41, 0x01, b'a'];
    let open = |n: u32| frame(1, 0x5, 2 * n + 1, &headers);
    let reset = |n: u32| frame(3, 0, 2 * n + 1, &8_u32.to_be_bytes());
    closed_after(&feed, (0..500).flat_map(|n| [open(n), reset(n)].concat()).collect()).await;
    // A frame longer than we said we take.
    closed_after(&feed, frame(0, 0, 1, &vec![0; (16 << 10) + 1])).await;
    // A header block that never ends.
    let endless = (0..500).flat_map(|_| frame(9, 0, 1, &[0x40; 1024]));
    closed_after(&feed, frame(1, 0, 1, &headers).into_iter().chain(endless).collect()).await;
    // Not HTTP/2 at all.
    let mut tls = feed.trust().tls().await.unwrap();
    tls.write_all(b"GET /feed/v1 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let _ = tls.read_to_end(&mut Vec::new()).await;
    unharmed(&feed, &mut plane).await;
}

#[tokio::test]
async fn only_tls_1_3_is_spoken() {
    let feed = Feed::start().await;
    let stream = tokio::net::TcpStream::connect(feed.address).await.unwrap();
    let config = std::sync::Arc::new(feed.trust().config(&[&rustls::version::TLS12]));
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let refused = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.unwrap_err().to_string();
    assert!(refused.contains("ProtocolVersion"), "{refused}");
}
