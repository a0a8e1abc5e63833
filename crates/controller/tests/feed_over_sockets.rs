//! The feed over real sockets, with the data plane's own machine at the other end.

mod support;

use std::sync::Arc;
use std::time::Duration;

use config::Millis;
use controller::lease::Leadership;
use feed::frames::Leader;
use feed::{Event, Scope};
use http::StatusCode;
use http_body_util::BodyExt as _;

use support::client::{get, post, text};
use support::{Ca, Feed, group, tokens};

fn namespaces(names: &[&str]) -> Scope {
    Scope::Namespaces(names.iter().map(|name| Arc::from(*name)).collect())
}

fn proxy() -> String {
    tokens::of_pod("forebay", "forebay-proxy", "p-1")
}

#[tokio::test]
async fn a_data_plane_gets_what_there_is_and_what_comes() {
    let feed = Feed::start().await;
    feed.hub.lead(Some(Leader { identity: "controller-0_7f".into(), address: None }));
    feed.hub.publish([group("shop", "app", 2), group("pay", "app", 1)]);
    let mut plane = feed.trust().subscribe(Some(&proxy()), "forebay/p-1", Scope::All).await;
    let leader = plane.until(|event| if let Event::Leads(leader) = event { Some(leader.clone()) } else { None }).await;
    assert_eq!(leader.unwrap().identity.as_ref(), "controller-0_7f");
    plane.synced().await;
    assert_eq!(plane.groups(), ["group/pay/app", "group/shop/app"]);
    feed.hub.publish([group("shop", "web", 1)]);
    plane.until(|event| matches!(event, Event::Commit(_)).then_some(())).await;
    assert_eq!(plane.groups(), ["group/pay/app", "group/shop/app", "group/shop/web"]);
}

#[tokio::test]
async fn nothing_but_signs_of_life_before_the_cluster_is_known() {
    let feed = Feed::start().await;
    let mut plane = feed.trust().subscribe(Some(&proxy()), "forebay/p-1", Scope::All).await;
    let first = plane.events().await.unwrap();
    assert!(matches!(first[..], [Event::Welcomed { .. }]), "{first:?}");
    let second = plane.events().await.unwrap();
    assert!(matches!(second[..], [Event::Leads(None)]), "{second:?}");
    feed.hub.publish([]);
    plane.synced().await;
    assert_eq!(plane.groups(), [""; 0]);
}

#[tokio::test]
async fn a_quiet_cluster_gives_signs_of_life() {
    let feed = Feed::beating(Millis(50)).await;
    feed.hub.publish([group("shop", "app", 1)]);
    let mut plane = feed.trust().subscribe(Some(&proxy()), "forebay/p-1", Scope::All).await;
    plane.synced().await;
    // Nothing else happens: nobody would be wrong to give up a controller that is silent.
    let beats = async {
        for _ in 0..5 {
            let beat = plane.incoming.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(beat.starts_with(b"{\"beat\""), "{beat:?}");
        }
    };
    tokio::time::timeout(Duration::from_mins(1), beats).await.expect("signs of life");
}

#[tokio::test]
async fn a_sidecar_sees_its_namespace_and_no_more() {
    let feed = Feed::start().await;
    feed.hub.publish([group("shop", "app", 1), group("pay", "app", 1)]);
    let token = tokens::of_pod("shop", "web", "web-1");
    let mut plane = feed.trust().subscribe(Some(&token), "shop/web-1", namespaces(&["shop"])).await;
    plane.synced().await;
    assert_eq!(plane.groups(), ["group/shop/app"]);
    for (scope, said) in [(namespaces(&["pay"]), "namespace \"pay\""), (Scope::All, "every namespace")] {
        let mut thief = feed.trust().subscribe(Some(&token), "shop/web-1", scope).await;
        let (reason, within) = thief.bye().await;
        assert!(reason.contains(said), "{reason}");
        assert_eq!(within, Millis::from_secs(10));
    }
    let mut other = feed.trust().subscribe(Some(&token), "shop/web-2", namespaces(&["shop"])).await;
    assert!(other.bye().await.0.contains("speaks for instance \"shop/web-1\""));
    let unbound = tokens::unbound("shop", "web");
    let mut other = feed.trust().subscribe(Some(&unbound), "forebay/p-1", namespaces(&["shop"])).await;
    assert!(other.bye().await.0.contains("speaks for instance \"shop/...\""));
    // Those who did nothing wrong are still served.
    feed.hub.publish([group("shop", "app", 2)]);
    plane.until(|event| matches!(event, Event::Commit(_)).then_some(())).await;
    assert_eq!(feed.server.counters().counts().violations, 4);
}

#[tokio::test]
async fn a_client_certificate_is_a_proof() {
    let feed = Feed::start().await;
    feed.hub.publish([group("shop", "app", 1)]);
    let clients = Ca::new();
    feed.tls.send_replace(Some(feed.ca.tls(Some(&clients))));
    let (certificate, key) = clients.issue("spiffe://cluster.local/ns/forebay/sa/forebay-proxy");
    let trust = feed.trust().with_certificate(certificate, key);
    let mut plane = trust.subscribe(None, "forebay/p-1", Scope::All).await;
    plane.synced().await;
    assert_eq!(plane.groups(), ["group/shop/app"]);
    assert_eq!(feed.api.asked("/"), 0, "no token, no review");
    // One of another CA does not get through the handshake; none at all needs a token.
    let (certificate, key) = Ca::new().issue("spiffe://cluster.local/ns/forebay/sa/forebay-proxy");
    let stranger = feed.trust().with_certificate(certificate, key);
    let refused = match stranger.tls().await {
        // In TLS 1.3 the client is done before the server has looked at its certificate.
        Ok(mut tls) => tokio::io::AsyncReadExt::read(&mut tls, &mut [0; 64]).await,
        Err(error) => Err(error),
    };
    assert!(refused.is_err(), "{refused:?}");
    let (status, _, body) = feed.trust().ask(get("/feed/v1", None)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
}

#[tokio::test]
async fn every_refusal_says_what_to_do() {
    let feed = Feed::start().await;
    let (good, trust) = (proxy(), feed.trust());
    let expired = tokens::made("shop", "web", None, "forebay.dev", 1_000_000_000, "good");
    let elsewhere = tokens::made("shop", "web", None, "https://kubernetes.default.svc", 4_000_000_000, "good");
    let forged = tokens::made("forebay", "forebay-proxy", None, "forebay.dev", 4_000_000_000, "forged");
    let ndjson = |token: Option<&str>| post("/feed/v1", "application/x-ndjson", token, text(""));
    let report = |kind, body: &'static str| post("/report/v1", kind, Some(&good), text(body));
    let put = http::Request::put("https://localhost/feed/v1").body(text("")).unwrap();
    for (request, status, said) in [
        (get("/", Some(&good)), 404, "/feed/v1 and /report/v1"),
        (get("/report/v1", Some(&good)), 405, "this path takes POST"),
        (put, 405, "this path takes GET, POST"),
        (post("/feed/v1", "application/json", Some(&good), text("")), 415, "Content-Type: application/x-ndjson"),
        (report("text/plain", "{}"), 415, "Content-Type: application/json"),
        (ndjson(None), 401, "kubectl create token NAME --audience forebay.dev"),
        (ndjson(Some("abc")), 401, "it is no JWT"),
        (ndjson(Some(&expired)), 401, "expired"),
        (ndjson(Some(&elsewhere)), 401, "not for audience \"forebay.dev\""),
        (ndjson(Some(&forged)), 401, "the API server does not accept this token: [invalid bearer token"),
        (report("application/json", "{}"), 400, "not a frame"),
    ] {
        let (path, method) = (request.uri().path().to_owned(), request.method().clone());
        let (answered, headers, body) = trust.ask(request).await;
        assert_eq!(answered.as_u16(), status, "{method} {path}: {body}");
        assert!(body.contains(said) && body.ends_with('\n'), "{body}");
        assert_eq!(headers.contains_key("www-authenticate"), status == 401, "{headers:?}");
    }
    let denied = feed.server.counters().counts().denied;
    let expected = [("audience", 1), ("expired", 1), ("malformed", 1), ("missing", 1), ("rejected", 1)];
    assert_eq!(denied, expected.into());
    // What could be seen to be no token for us was not asked about.
    assert_eq!(feed.api.asked("/apis/authentication.k8s.io"), 2);
}

#[tokio::test]
async fn reports_go_to_the_leader() {
    let feed = Feed::start().await;
    let report = |instance: &str, namespace: &str| {
        let report = serde_json::json!({
            "instance": instance, "epoch": 1, "seq": 1, "extent": "full", "age": 0, "scope": {"namespaces": [namespace]},
            "revision": config::Revision::of(b"").to_string(),
            "groups": {format!("{namespace}/app"): {"active_tier": "Primary", "servers": []}},
        });
        let token = tokens::of_pod("shop", "web", "web-1");
        post("/report/v1", "application/json", Some(&token), text(report.to_string()))
    };
    let (status, _, body) = feed.trust().ask(report("shop/web-1", "shop")).await;
    assert_eq!((status, body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(feed.reports.with(|fleet| fleet.len()), 1);
    for (instance, namespace) in [("shop/web-2", "shop"), ("shop/web-1", "pay")] {
        let (status, _, body) = feed.trust().ask(report(instance, namespace)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    }
    let leader = Leader { identity: "controller-1_3c".into(), address: Some("10.0.0.9:9902".into()) };
    for (leader, said) in [
        (Some(leader), r#"{"leader":{"address":"10.0.0.9:9902","identity":"controller-1_3c"}}"#),
        (None, r#"{"leader":null}"#),
    ] {
        feed.leadership.send_replace(Leadership { until: None, leader });
        let (status, headers, body) = feed.trust().ask(report("shop/web-1", "shop")).await;
        assert_eq!((status, body.trim_end()), (StatusCode::MISDIRECTED_REQUEST, said));
        assert_eq!(headers["content-type"], "application/json");
    }
    let counts = feed.server.counters().counts();
    assert_eq!((counts.reports_accepted, counts.reports_refused, counts.reports_misdirected), (1, 2, 2));
}

#[tokio::test]
async fn the_certificate_is_replaced_under_traffic() {
    let feed = Feed::start().await;
    feed.hub.publish([group("shop", "app", 1)]);
    let mut plane = feed.trust().subscribe(Some(&proxy()), "forebay/p-1", Scope::All).await;
    plane.synced().await;
    let next = Ca::new();
    feed.tls.send_replace(Some(next.tls(None)));
    feed.trust().tls().await.expect_err("the old CA is not the one that signed");
    let trust = support::client::Trust::new(feed.address, &next.certificate);
    trust.subscribe(Some(&proxy()), "forebay/p-1", Scope::All).await.synced().await;
    feed.hub.publish([group("shop", "app", 2)]);
    plane.until(|event| matches!(event, Event::Commit(_)).then_some(())).await;
}

#[tokio::test]
async fn a_hundred_subscribers_get_one_publication_and_leave_in_peace() {
    let feed = Feed::start().await;
    feed.hub.publish((0..50).map(|n| group("shop", &format!("g-{n}"), 3)));
    let mut planes = Vec::new();
    for n in 0..100 {
        let token = tokens::of_pod("forebay", "forebay-proxy", &format!("p-{n}"));
        let mut plane = feed.trust().subscribe(Some(&token), &format!("forebay/p-{n}"), Scope::All).await;
        plane.synced().await;
        planes.push(plane);
    }
    let lines = feed.server.counters().counts().lines;
    feed.hub.publish([group("shop", "g-7", 4)]);
    for plane in &mut planes {
        plane.until(|event| matches!(event, Event::Commit(_)).then_some(())).await;
    }
    assert_eq!(feed.server.counters().counts().lines - lines, 200, "a put and a commit each");
    let seen = feed.server.roster().seen();
    assert_eq!(seen.len(), 100);
    assert!(seen.iter().all(|one| one.protocol == Some(2) && one.scope == Some(Scope::All) && one.lines == 56));
    assert_eq!(seen[3].instance.as_deref(), Some("forebay/p-3"));
    assert_eq!(seen[3].account, "forebay/forebay-proxy");
    feed.leaving.cancel();
    for plane in &mut planes {
        let (reason, within) = plane.bye().await;
        assert!(reason.contains("this controller leaves"), "{reason}");
        assert_eq!(within, Millis(2000), "20 ms for each of a hundred");
    }
    feed.done.await.unwrap();
    assert!(feed.server.roster().is_empty());
    assert_eq!(feed.server.open_connections(), (0, 0));
}
