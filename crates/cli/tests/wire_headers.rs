//! What a server is told about the request: the headers nginx guides set, whom they are believed from, and what a group
//! changes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::{
    Client, Mode, Rig,
    nginx::{Nginx, Release},
    rig::Builder,
    upstream::After,
};

const TRUSTING: [&str; 2] = ["--trusted-proxies", "127.0.0.0/8,10.0.0.0/8"];

fn builder() -> Builder {
    Rig::of(env!("CARGO_BIN_EXE_forebay"))
}

/// What the upstream received for a GET with these header lines.
async fn echo(rig: &Rig, lines: &str) -> Value {
    rig.send(format!("GET /echo?x=1 HTTP/1.1\r\n{lines}\r\n")).await.json()
}

fn values(echo: &Value, name: &str) -> Vec<String> {
    let headers = echo["headers"].as_array().into_iter().flatten();
    let named = headers.filter(|line| line[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
    named.map(|line| line[1].as_str().unwrap_or("").to_owned()).collect()
}

#[tokio::test]
async fn the_server_learns_who_asked_and_how() {
    let rig = builder().start().await;
    let echo = echo(&rig, "Host: shop.example:8443\r\nX-Team: blue\r\n").await;
    assert_eq!(values(&echo, "host"), ["shop.example:8443"], "as the client sent it");
    assert_eq!(values(&echo, "x-real-ip"), ["127.0.0.1"]);
    assert_eq!(values(&echo, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(values(&echo, "x-forwarded-proto"), ["http"]);
    assert_eq!(values(&echo, "x-forwarded-host"), ["shop.example:8443"]);
    assert_eq!(values(&echo, "x-forwarded-port"), [rig.forebay.http(0).port().to_string()]);
    assert_eq!(values(&echo, "x-team"), ["blue"]);
    let ids = values(&echo, "x-request-id");
    assert!(ids.len() == 1 && ids[0].len() == 32 && ids[0].bytes().all(|b| b.is_ascii_hexdigit()), "{ids:?}");
}

#[tokio::test]
async fn every_request_has_its_own_id() {
    let rig = builder().start().await;
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..10 {
        ids.extend(values(&echo(&rig, "Host: t\r\n").await, "x-request-id"));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}

const FORGED: &str = "Host: t\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n\
    X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 443\r\nX-Request-ID: mine\r\n";

#[tokio::test]
async fn an_untrusted_client_is_not_believed() {
    let rig = builder().start().await;
    let echo = echo(&rig, FORGED).await;
    for (name, expected) in [
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "t"),
    ] {
        assert_eq!(values(&echo, name), [expected], "{name}");
    }
    assert_ne!(values(&echo, "x-request-id"), ["mine"]);
    assert_ne!(values(&echo, "x-forwarded-port"), ["443"]);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let rig = builder().args(TRUSTING).start().await;
    let echo = echo(&rig, FORGED).await;
    for (name, expected) in [
        ("x-real-ip", "7.7.7.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "443"),
        ("x-request-id", "mine"),
    ] {
        assert_eq!(values(&echo, name), [expected], "{name}");
    }
    let chain = values(&echo, "x-forwarded-for").join(", ");
    assert!(chain.starts_with("6.6.6.6, 7.7.7.7, "), "the chain goes on: {chain}");
}

#[tokio::test]
async fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
    let spec = json!({"requestHeaders": {"set": [{"name": "X-Client", "value": "$remote_addr"}]}});
    let rig = builder().args(TRUSTING).spec(spec).start().await;
    for (chain, client) in [
        ("9.9.9.9, 10.1.1.1, 10.2.2.2", "9.9.9.9"),
        ("1.1.1.1, 9.9.9.9", "9.9.9.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4000, 10.0.0.1", "2001:db8::7"),
        ("9.9.9.9:1234", "9.9.9.9"),
        ("10.1.1.1", "10.1.1.1"),
        ("garbage, 10.1.1.1", "10.1.1.1"),
    ] {
        let echo = echo(&rig, &format!("Host: t\r\nX-Forwarded-For: {chain}\r\n")).await;
        assert_eq!(values(&echo, "x-client"), [client], "{chain}");
        assert_eq!(values(&echo, "x-real-ip"), [client], "{chain}");
    }
}

/// A proxy that appends to the client's line leaves in front what the client made up.
#[tokio::test]
async fn no_byte_of_a_client_hides_what_a_proxy_appends() {
    let rig = builder().args(TRUSTING).start().await;
    let lines = b"Host: t\r\nX-Real-IP: 10.0.0.5\r\nX-Forwarded-For: \xe9, 203.0.113.9\r\n\r\n";
    let response = rig.send([b"GET /echo HTTP/1.1\r\n".as_slice(), lines].concat()).await;
    assert_eq!(values(&response.json(), "x-real-ip"), ["203.0.113.9"]);
    let chain = values(&response.json(), "x-forwarded-for").join(", ");
    assert!(chain.contains("203.0.113.9, 127.0.0.1"), "the chain goes on: {chain}");
}

#[tokio::test]
async fn an_address_is_believed_from_one_header_alone() {
    let rig = builder().args(TRUSTING).start().await;
    for chain in ["", "X-Forwarded-For: garbage\r\n"] {
        let echo = echo(&rig, &format!("Host: t\r\n{chain}X-Real-IP: 6.6.6.6\r\n")).await;
        assert_eq!(values(&echo, "x-real-ip"), ["127.0.0.1"], "{chain}");
    }
}

#[tokio::test]
async fn fields_of_one_hop_end_here() {
    let rig = builder().start().await;
    let lines = "Host: t\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nTE: trailers\r\n\
        Proxy-Connection: keep-alive\r\nUpgrade: websocket\r\nX-End: 2\r\n";
    let echo = echo(&rig, lines).await;
    for gone in ["keep-alive", "x-hop", "te", "proxy-connection", "upgrade", "connection"] {
        assert!(values(&echo, gone).is_empty(), "{gone}: {echo}");
    }
    assert_eq!(values(&echo, "x-end"), ["2"]);
    let raw = b"GET /echo HTTP/1.1\r\nHost: t\r\nConnection: \xe9, X-Hop\r\nX-Hop: 1\r\n\r\n";
    assert!(values(&rig.send(raw).await.json(), "x-hop").is_empty(), "whatever stands before it");
}

#[tokio::test]
async fn repeated_lines_stay_repeated_and_in_order() {
    let rig = builder().start().await;
    let echo = echo(&rig, "Host: t\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\nAuthorization: Basic eA==\r\n").await;
    assert_eq!(values(&echo, "x-a"), ["1", "3"]);
    assert_eq!(values(&echo, "authorization"), ["Basic eA=="]);
}

/// Ledger: `header-names`.
#[tokio::test]
async fn names_are_lower_case_on_the_wire() {
    let rig = builder().start().await;
    let answer = "HTTP/1.1 200 OK\r\nX-MiXed: Two\r\nContent-Length: 0\r\n\r\n";
    rig.upstreams[0].set(Mode::raw(answer, After::Keep)).await;
    let response = rig.send("GET / HTTP/1.1\r\nHost: t\r\nX-MiXed: One\r\n\r\n").await;
    let heads = [rig.upstreams[0].request(1).await.head.raw.clone(), response.head.raw.clone()];
    for (raw, line) in heads.iter().zip(["x-mixed: One\r\n", "x-mixed: Two\r\n"]) {
        let text = String::from_utf8_lossy(raw);
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn names_of_other_bytes_than_letters_digits_and_hyphens_never_get_in() {
    let rig = builder().start().await;
    let echo = echo(
        &rig,
        "Host: t\r\nX_Real_IP: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\nX.Real.IP: 6.6.6.6\r\n\
        X-Real~IP: 6.6.6.6\r\nX+Real+IP: 6.6.6.6\r\n",
    )
    .await;
    assert!(!echo["headers"].to_string().contains("6.6.6.6"), "{echo}");
}

#[tokio::test]
async fn a_group_sets_and_removes_headers() {
    let spec = json!({"requestHeaders": {
        "set": [
            {"name": "Host", "value": "$http_x_tenant.internal"},
            {"name": "X-Where", "value": "$scheme://$host$request_uri"},
            {"name": "X-Arg", "value": "${arg_x}-$request_method"},
            {"name": "X-Chain", "value": "$proxy_add_x_forwarded_for"},
            {"name": "X-Empty", "value": "$http_x_absent"},
        ],
        "remove": ["X-Internal", "Authorization"],
    }});
    let rig = builder().spec(spec).start().await;
    let lines = "Host: Shop.Example:80\r\nX-Tenant: acme\r\nX-Internal: 1\r\nAuthorization: x\r\nX-Empty: given\r\n";
    let echo = echo(&rig, lines).await;
    assert_eq!(values(&echo, "host"), ["acme.internal"]);
    assert_eq!(values(&echo, "x-where"), ["http://shop.example/echo?x=1"]);
    assert_eq!(values(&echo, "x-arg"), ["1-GET"]);
    assert_eq!(values(&echo, "x-chain"), ["127.0.0.1"]);
    for gone in ["x-internal", "authorization", "x-empty"] {
        assert!(values(&echo, gone).is_empty(), "{gone}: {echo}");
    }
}

#[tokio::test]
async fn a_value_cannot_smuggle_a_line() {
    let spec = json!({"requestHeaders": {"set": [{"name": "X-Uri", "value": "$uri"}]}});
    let rig = builder().spec(spec).start().await;
    let response = rig.send("GET /echo%0d%0aX-Evil:1 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(response.status, 200);
    let raw = rig.upstreams[0].request(1).await.head.raw.clone();
    assert!(!String::from_utf8_lossy(&raw).to_lowercase().contains("\nx-evil"), "{:?}", String::from_utf8_lossy(&raw));
}

#[tokio::test]
async fn responses_lose_what_belongs_to_the_other_hop() {
    let rig = builder().start().await;
    let upstream = "HTTP/1.1 200 OK\r\nServer: backend\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\n\
        X-Accel-Redirect: /secret\r\nVia: 1.1 cache\r\nX-Twice: a\r\nX-Twice: b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
        Location: /first\r\nLocation: /second\r\nETag: \"1\"\r\nETag: \"2\"\r\nContent-Length: 2\r\n\r\nok";
    rig.upstreams[0].set(Mode::raw(upstream, After::Keep)).await;
    let response = rig.get("/").await;
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    for gone in ["keep-alive", "x-hop", "x-accel-redirect"] {
        assert_eq!(response.header(gone), None, "{gone}");
    }
    assert_eq!(response.header("via"), Some("1.1 cache"));
    assert_eq!(response.head.headers.all("x-twice"), ["a", "b"]);
    assert_eq!(response.head.headers.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(response.head.headers.all("location"), ["/first"], "one value, the first, as nginx has it");
    assert_eq!(response.head.headers.all("etag"), ["\"1\""]);
    assert_eq!(response.head.headers.all("date").len(), 1);
    assert_eq!(response.head.headers.all("server"), ["forebay"]);
}

/// A server that says everything twice, behind nginx and behind Forebay.
#[tokio::test]
async fn what_a_server_repeats_is_kept_and_told_as_by_nginx() {
    let Some(binary) = Release::Baseline.find() else { return };
    let names: Vec<_> = "Accept-Ranges Cache-Control Content-Disposition Content-Encoding Content-Language Content-Type Date \
        ETag Expires Last-Modified Link Location Pragma Refresh Server Set-Cookie Status Vary Via WWW-Authenticate X-Any"
        .split(' ')
        .collect();
    let twice = names.iter().map(|name| format!("{name}: 1\r\n{name}: 2\r\n")).collect::<Vec<_>>().concat();
    let answer = format!("HTTP/1.1 200 OK\r\n{twice}Content-Length: 2\r\n\r\nok");
    let rig = builder().start().await;
    rig.upstreams[0].set(Mode::raw(answer, After::Keep)).await;
    let server = rig.address(0);
    let nginx = Nginx::start(&binary, "ready.sock", |dir| {
        format!("server {{ listen unix:{}/ready.sock; location / {{ proxy_pass http://{server}; }} }}", dir.display())
    })
    .await;
    let (ours, theirs) = (rig.get("/").await, Client::get(nginx.socket("ready.sock"), "/").await);
    // These two are our own.
    for name in names.into_iter().filter(|name| !["Date", "Server"].contains(name)) {
        assert_eq!(ours.head.headers.all(name), theirs.head.headers.all(name), "{name}");
    }
    let text = |line: &str| {
        Some(line.split_once("[warn] ")?.1.split_once("upstream sent")?.1.split_once(", client: ")?.0.to_lowercase())
    };
    let told = |log: &str| log.lines().filter_map(text).collect::<BTreeSet<_>>();
    rig.forebay.logged_times("duplicate header line", 9).await;
    let (ours, theirs) = (told(&rig.forebay.log().join("\n")), told(&nginx.error_log()));
    assert_eq!((ours, theirs.len()), (theirs.clone(), 9));
}
