//! Every example does what its README says, on running backends.

#[path = "../../examples/backends.rs"]
#[expect(dead_code, reason = "of a program of its own")]
mod backends;
mod papers;
mod running;
mod walk;

use std::{collections::BTreeMap, time::Duration};

use running::Example;
use testkit::{Authority, Client, Forebay, Mode, http2::Http2, patiently, tls as wire};

fn count(names: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.as_str()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn quickstart() {
    let example = Example::start_with("quickstart", &["--http", "127.0.0.1:0"]).await;
    assert_eq!(example.sequence(6).await, ["one", "two", "one", "one", "two", "one"]);

    example.server("two").set(Mode::Refuse).await;
    assert_eq!(count(&example.sequence(12).await), BTreeMap::from([("one", 12)]));

    example.server("one").set(Mode::Refuse).await;
    assert_eq!(count(&example.sequence(6).await), BTreeMap::from([("spare", 6)]));

    example.server("one").set(Mode::Ok).await;
    example.server("two").set(Mode::Ok).await;
    patiently("the first pattern to come back", async {
        loop {
            if count(&example.sequence(6).await) == BTreeMap::from([("one", 4), ("two", 2)]) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn round_robin_weights() {
    let example = Example::start("round-robin-weights").await;
    let cycle = ["one", "two", "one", "three", "two", "one"];
    assert_eq!(example.sequence(12).await, [cycle, cycle].concat());
}

#[tokio::test]
async fn least_conn() {
    let example = Example::start("least-conn").await;
    let mut long = Client::connect(example.forebay.http(0)).await;
    long.send("GET / HTTP/1.1\r\nHost: test\r\nX-Hold: long\r\n\r\n").await;
    let gate = example.server("one").gate();
    patiently("the long request to arrive", gate.held("long")).await;
    assert_eq!(example.sequence(3).await, ["two", "two", "two"]);
    gate.release("long");
    assert_eq!(long.response().await.text(), "one");
    assert_eq!(count(&example.sequence(4).await), BTreeMap::from([("one", 2), ("two", 2)]));
}

#[tokio::test]
async fn ip_hash() {
    let flags = ["--http", "127.0.0.1:0=default/ip-hash", "--trusted-proxies", "127.0.0.0/8"];
    let example = Example::start_with("ip-hash", &flags).await;
    assert_eq!(example.sequence(3).await, ["three", "three", "three"]);
    for (client, name) in [("10.0.0.1", "one"), ("10.0.0.200", "one"), ("10.0.1.9", "two"), ("10.0.0.7", "one")] {
        assert_eq!(example.who_with(&format!("X-Forwarded-For: {client}\r\n")).await, name, "{client}");
    }
}

#[tokio::test]
async fn consistent_hash() {
    async fn owners(example: &Example) -> Vec<String> {
        let mut owners = Vec::new();
        for n in 0..60 {
            owners.push(example.get(&format!("/images/{n}.png?size=2"), "").await.text());
        }
        owners
    }
    let example = Example::start("consistent-hash").await;
    let before = owners(&example).await;
    assert_eq!(owners(&example).await, before, "a URI stays where it is");
    assert_eq!(count(&before).len(), 3, "{before:?}");

    example.edit(|text| text.split("  - name: three").next().unwrap_or_default().to_owned()).await;
    for (before, after) in before.iter().zip(owners(&example).await) {
        if before == "three" {
            assert_ne!(after, "three");
        } else {
            assert_eq!(after, *before, "only the URIs of the server that left move");
        }
    }
}

#[tokio::test]
async fn max_fails() {
    let example = Example::start("max-fails").await;
    let two = example.server("two");
    two.set(Mode::Close).await;
    assert_eq!(count(&example.sequence(20).await), BTreeMap::from([("one", 20)]));
    assert_eq!(two.requests().len(), 3, "after its third failure it is left alone");
    example.forebay.logged("upstream server temporarily disabled").await;
}

#[tokio::test]
async fn backup() {
    let example = Example::start("backup").await;
    assert_eq!(count(&example.sequence(10).await), BTreeMap::from([("one", 5), ("two", 5)]));
    example.server("one").set(Mode::Refuse).await;
    example.server("two").set(Mode::Refuse).await;
    assert_eq!(example.sequence(3).await, ["spare", "spare", "spare"]);
}

#[tokio::test]
async fn dns() {
    let flags = ["--http", "127.0.0.1:0=default/dns", "--resolver-ipv6", "off"];
    let example = Example::start_with("dns", &flags).await;
    assert_eq!(example.sequence(3).await, ["app", "app", "app"]);
    example.server("app").set(Mode::Refuse).await;
    assert_eq!(example.sequence(3).await, ["spare", "spare", "spare"]);
}

#[tokio::test]
async fn next_upstream() {
    let example = Example::start("next-upstream").await;
    example.server("one").set(Mode::Status(503)).await;
    for name in example.sequence(6).await {
        assert_ne!(name, "one");
    }

    let example = Example::start("next-upstream").await;
    for server in &example.servers {
        server.set(Mode::Status(503)).await;
    }
    let response = example.get("/", "").await;
    assert_eq!((response.status, response.text().as_str()), (503, "two"));
    let asked: Vec<usize> = example.servers.iter().map(|server| server.requests().len()).collect();
    assert_eq!(asked, [1, 1, 0]);

    let example = Example::start("next-upstream").await;
    example.server("one").set(Mode::Status(503)).await;
    let post = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 7\r\nConnection: close\r\n\r\norder=1";
    assert_eq!(Client::once(example.forebay.http(0), post).await.status, 503, "a POST that was sent is not repeated");
}

#[tokio::test]
async fn keepalive() {
    let example = Example::start("keepalive").await;
    let mut client = Client::connect(example.forebay.http(0)).await;
    for n in 1..=20 {
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!(client.response().await.status, 200);
    }
    let seen: Vec<_> =
        example.servers.iter().map(|server| (server.requests().len(), server.record().connections)).collect();
    assert_eq!(seen, [(10, 1), (10, 1)], "requests and connections of each server");
}

#[tokio::test]
async fn websocket() {
    let example = Example::start("websocket").await;
    let mut tunnels = Vec::new();
    for server in &example.servers {
        server.set(Mode::Upgrade).await;
        let mut client = Client::connect(example.forebay.http(0)).await;
        client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").await;
        assert_eq!(client.response().await.status, 101);
        tunnels.push(client);
    }
    for tunnel in &mut tunnels {
        tunnel.send("hello").await;
        assert_eq!(tunnel.bytes(5).await, b"hello");
    }
    let seen: Vec<usize> = example.servers.iter().map(|server| server.requests().len()).collect();
    assert_eq!(seen, [1, 1], "the second tunnel goes to the other server");
}

#[tokio::test]
async fn headers() {
    let example = Example::start("headers").await;
    example.get("/echo", "X-Team: blue\r\nX-Debug: 1\r\nX-Forwarded-For: 6.6.6.6\r\n").await;
    let request = example.server("one").request(1).await;
    let expected = [
        ("X-Team", Some("team-blue")),
        ("X-Upstream", Some("default/headers")),
        ("X-Debug", None),
        ("Host", Some("test")),
        ("X-Real-IP", Some("127.0.0.1")),
        ("X-Forwarded-For", Some("127.0.0.1")),
        ("X-Forwarded-Proto", Some("http")),
        ("X-Forwarded-Host", Some("test")),
    ];
    for (name, value) in expected {
        assert_eq!(request.header(name), value, "{name}");
    }
    assert!(request.header("X-Request-ID").is_some_and(|id| id.len() == 32));
    let port = example.forebay.http(0).port().to_string();
    assert_eq!(request.header("X-Forwarded-Port"), Some(port.as_str()));
}

#[tokio::test]
async fn sticky_cookie() {
    let example = Example::start("sticky-cookie").await;
    let first = example.get("/", "").await;
    let cookie = first.header("set-cookie").expect("the first answer sets the cookie");
    assert!(cookie.starts_with("route=a; "), "{cookie}");
    for attribute in ["httponly", "samesite=lax", "path=/", "max-age=3600"] {
        assert!(cookie.to_ascii_lowercase().contains(attribute), "{attribute} is not in {cookie}");
    }
    assert_eq!(count(&example.sequence(10).await), BTreeMap::from([("one", 5), ("two", 5)]));
    for (route, name) in [("a", "one"), ("b", "two")] {
        for _ in 0..4 {
            assert_eq!(example.who_with(&format!("Cookie: route={route}\r\n")).await, name);
        }
    }

    example.server("one").set(Mode::Refuse).await;
    let moved = example.get("/", "Cookie: route=a\r\n").await;
    assert_eq!((moved.status, moved.text().as_str()), (200, "two"));
    assert!(moved.header("set-cookie").is_some_and(|cookie| cookie.starts_with("route=b; ")), "{:?}", moved.head);
}

#[tokio::test]
async fn blue_green() {
    let example = Example::start("blue-green").await;
    assert_eq!(count(&example.sequence(100).await), BTreeMap::from([("blue", 90), ("green", 10)]));
    example.edit(|text| text.replace("weight: 90", "weight: 60").replace("weight: 10", "weight: 40")).await;
    assert_eq!(count(&example.sequence(100).await), BTreeMap::from([("blue", 60), ("green", 40)]));
}

#[tokio::test]
async fn drain() {
    let example = Example::start("drain").await;
    assert_eq!(example.sequence(3).await, ["one", "one", "one"]);
    assert_eq!(example.who_with("Cookie: route=b\r\n").await, "two");
    let moved = example.get("/", "Cookie: route=c\r\n").await;
    assert_eq!(moved.text(), "one");
    assert!(moved.header("set-cookie").is_some_and(|cookie| cookie.starts_with("route=a")), "{:?}", moved.head);
}

/// Its README makes a certificate and a `ConfigMap`; here the test's own authority does.
#[tokio::test]
async fn tls_to_servers() {
    let (config, servers) = running::lay_out("tls-to-servers").await;
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.issue(&["app.example"]).server();
    for one in &servers {
        one.secure(Some(server.clone()));
    }
    let ca = authority.object("ConfigMap", "app-ca").to_string();
    std::fs::write(config.path().join("app-ca.yaml"), ca).unwrap();
    let forebay = Forebay::run(env!("CARGO_BIN_EXE_forebay"), config.path()).bind("default/tls-to-servers");
    let forebay = forebay.args(["--workers", "1"]).start().await;
    for name in ["one", "two", "one", "two"] {
        assert_eq!(Client::get(forebay.http(0), "/").await.text(), name);
    }
    assert_eq!(servers.iter().map(|one| one.record().connections).collect::<Vec<_>>(), [1, 1]);

    servers[0].secure(Some(other.issue(&["app.example"]).server()));
    servers[0].close_connections();
    servers[0].wait_for("its connections to be closed", |record| record.open == 0).await;
    for _ in 0..4 {
        assert_eq!(Client::get(forebay.http(0), "/").await.text(), "two");
    }
    forebay.logged("upstream SSL certificate verify error").await;
}

/// Its README makes a Secret; here the test's own authority does.
#[tokio::test]
async fn tls() {
    let (config, servers) = running::lay_out("tls").await;
    let authority = Authority::new();
    let secret = authority.issue(&["shop.example"]).secret("shop").to_string();
    std::fs::write(config.path().join("secret.yaml"), secret).unwrap();
    let forebay = Forebay::run(env!("CARGO_BIN_EXE_forebay"), config.path()).listen_tls().start().await;
    let client = authority.client(&[wire::H2, wire::HTTP1]);
    let mut http2 = Http2::connect(forebay.https(0), "shop.example", &client).await.unwrap();
    for server in &servers {
        let answer = http2.get("https://shop.example/").await;
        assert_eq!((answer.status, &*answer.body), (200, server.name().as_bytes()));
        assert_eq!(server.request(1).await.header("x-forwarded-proto"), Some("https"));
    }
    let refused = wire::connect(forebay.https(0), "other.example", &client).await.unwrap_err();
    assert!(refused.to_string().contains("UnrecognisedName"), "{refused}");
}
