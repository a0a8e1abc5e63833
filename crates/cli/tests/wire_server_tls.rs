//! TLS to servers: who is believed, what is asked of whom, what is kept, and what a failed handshake comes to.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use serde_json::{Value, json};
use testkit::{
    Authority, Client, Mode, Rig,
    nginx::{Nginx, Release},
    rig::Builder,
    tls::Pair,
    upstream::Handshake,
};

/// A group whose servers are believed when `authority` signed them for `app.example`.
fn builder(authority: &Authority, server: &Arc<ServerConfig>) -> Builder {
    let others = [authority.object("ConfigMap", "ca")];
    Rig::of(env!("CARGO_BIN_EXE_forebay")).secured(server.clone()).others(others).spec(spec(&json!({})))
}

/// The fields of a group that believes the ConfigMap `ca` for `app.example`, with others.
fn spec(more: &Value) -> Value {
    let tls = json!({"serverName": "app.example", "caCertificateRef": {"kind": "ConfigMap", "name": "ca"}});
    let mut spec = json!({"protocol": "HTTPS", "tls": tls});
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    spec
}

fn tls(tls: &Value) -> Value {
    json!({"protocol": "HTTPS", "tls": tls})
}

#[tokio::test]
async fn a_server_that_is_believed_is_asked_by_its_name_and_kept() {
    let authority = Authority::new();
    let rig = builder(&authority, &authority.issue(&["app.example"]).server()).start().await;
    for _ in 0..3 {
        assert_eq!(rig.get("/").await.text(), "a");
    }
    let record = rig.upstreams[0].record();
    let shaken =
        Handshake { name: Some("app.example".into()), protocol: Some("http/1.1".into()), resumed: false, shown: false };
    assert_eq!((record.connections, record.handshakes), (1, vec![shaken]));
    assert_eq!(record.requests[0].header("host"), Some("test"), "the name is TLS's alone");
    let large = rig.get("/bytes/3000000").await;
    assert_eq!(large.body.len(), 3_000_000);
}

#[tokio::test]
async fn a_body_goes_up_and_a_tunnel_both_ways() {
    let authority = Authority::new();
    let rig = builder(&authority, &authority.issue(&["app.example"]).server()).start().await;
    let body = "x".repeat(300_000);
    let request =
        format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    assert_eq!(rig.send(request).await.status, 200);
    assert_eq!(rig.upstreams[0].request(1).await.body.content.len(), body.len());

    rig.upstreams[0].set(Mode::Upgrade).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").await;
    assert_eq!(client.response().await.status, 101);
    for text in ["one", &"two".repeat(50_000)] {
        client.send(text).await;
        assert_eq!(client.bytes(text.len()).await, text.as_bytes());
    }
    drop(client);
    rig.upstreams[0].wait_for("the tunnel to end", |record| record.open == 0).await;
}

/// Whoever is on the way can end a connection, but not say so in TLS.
#[tokio::test]
async fn a_response_without_end_is_not_whole() {
    let authority = Authority::new();
    let rig = builder(&authority, &authority.issue(&["app.example"]).server()).start().await;
    rig.upstreams[0].set(Mode::UntilClose).await;
    assert!(!rig.get("/").await.complete);
    rig.forebay.logged("upstream prematurely closed connection while reading upstream").await;
}

/// Each of these is an `error` of `proxy_next_upstream`: the next server is asked, and in the end there is 502.
#[tokio::test]
async fn who_is_not_believed_is_left_for_the_next_server() {
    let authority = Authority::new();
    let other = Authority::new();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 50);
    let good = authority.issue(&["app.example"]).server();
    for (bad, said) in [
        (
            authority.issue(&["b.example", "c.example"]),
            "upstream SSL certificate does not match \"app.example\": it is for b.example, c.example; set spec.tls.serverName",
        ),
        (
            other.issue(&["app.example"]),
            "upstream SSL certificate verify error: (unable to get local issuer certificate",
        ),
        (
            authority.issue_until(&["app.example"], long_ago),
            "upstream SSL certificate verify error: (certificate has expired: renew the server's certificate)",
        ),
    ] {
        let rig = builder(&authority, &good).servers(2).start().await;
        rig.upstreams[0].secure(Some(bad.server()));
        assert_eq!(rig.get("/one").await.text(), "b");
        assert_eq!(rig.get("/two").await.text(), "b", "the first is out for failTimeout");
        assert_eq!(rig.access_log(1).await[0].upstream_status, "502, 200");
        let line = rig.forebay.logged(said).await;
        let upstream = format!(
            "while SSL handshaking to upstream, client: 127.0.0.1, server: _, request: \"GET /one \
                                HTTP/1.1\", upstream: \"https://{}/one\"",
            rig.address(0)
        );
        assert!(line.contains(&upstream), "{line}");
        rig.forebay.logged("upstream server temporarily disabled while SSL handshaking to upstream").await;
        rig.upstreams[1].secure(Some(bad.server()));
        rig.upstreams[1].close_connections();
        rig.upstreams[1].wait_for("its connections to be closed", |record| record.open == 0).await;
        assert_eq!(rig.get("/three").await.status, 502);
        let metrics = rig.forebay.admin_get("/metrics").await.text();
        let failures =
            metrics.lines().filter(|line| line.contains("failures_total{") && line.ends_with("kind=\"tls\"} 1"));
        assert_eq!(failures.count(), 2, "{metrics}");
    }
}

#[tokio::test]
async fn who_speaks_no_tls_is_said_to() {
    let authority = Authority::new();
    let rig = builder(&authority, &authority.issue(&["app.example"]).server()).start().await;
    rig.upstreams[0].secure(None);
    rig.upstreams[0].set(Mode::CloseOnAccept).await;
    assert_eq!(rig.get("/").await.status, 502);
    // Closed, or reset because of the ClientHello that nobody read.
    rig.forebay.logged(" while SSL handshaking to upstream").await;
}

/// The time for connecting is for the handshake, too.
#[tokio::test]
async fn a_handshake_that_never_ends_is_a_timeout() {
    let authority = Authority::new();
    let times = json!({"timeouts": {"connect": "300ms"}, "nextUpstream": {"conditions": ["Error"]}});
    let rig = builder(&authority, &authority.issue(&["app.example"]).server()).spec(spec(&times)).start().await;
    rig.upstreams[0].secure(None);
    rig.upstreams[0].set(Mode::Hang).await;
    assert_eq!(rig.get("/").await.status, 504);
    rig.forebay.logged("upstream timed out (110: Connection timed out) while SSL handshaking to upstream").await;
    rig.upstreams[0].wait_for("its connection to be closed", |record| record.open == 0).await;
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = authority.issue(&["app.example"]).server_for(Some(&clients));
    let mut rig = builder(&authority, &server).start().await;
    assert_eq!(rig.get("/").await.status, 502);
    rig.forebay
        .logged("SSL_read() failed (received fatal alert: CertificateRequired); set spec.tls.clientCertificateRef")
        .await;

    let shows = json!({
        "serverName": "app.example",
        "caCertificateRef": {"kind": "ConfigMap", "name": "ca"},
        "clientCertificateRef": {"name": "client"},
    });
    let others = |clients: &Authority| [authority.object("ConfigMap", "ca"), clients.issue(&["me"]).secret("client")];
    rig.documents.write("others.yaml", &others(&clients));
    rig.reconfigure(json!({"protocol": "HTTPS", "tls": shows, "nextUpstream": {"conditions": ["Error"]}})).await;
    assert_eq!(rig.get("/").await.text(), "a");
    assert!(rig.upstreams[0].record().handshakes.last().unwrap().shown);

    // Renewed: the connection in use goes on, the next one shows the new certificate, and no idle one is used.
    let mut open = rig.client().await;
    open.send("GET / HTTP/1.1\r\nHost: t\r\nX-Hold: one\r\n\r\n").await;
    rig.upstreams[0].gate().held("one").await;
    rig.write_others(&others(&Authority::new())).await;
    assert_eq!(rig.get("/").await.status, 502, "nobody knows the new authority");
    rig.upstreams[0].gate().release("one");
    assert_eq!(open.response().await.status, 200);
}

#[tokio::test]
async fn authorities_change_under_traffic() {
    let (old, new) = (Authority::new(), Authority::new());
    let rig = builder(&old, &old.issue(&["app.example"]).server()).servers(1).start().await;
    assert_eq!(rig.get("/").await.status, 200);
    let mut open = rig.client().await;
    open.send("GET /held HTTP/1.1\r\nHost: t\r\nX-Hold: one\r\n\r\n").await;
    rig.upstreams[0].gate().held("one").await;

    // Both are believed for a while, as one should; then the new one alone.
    let both = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": "default"},
        "data": {"ca.crt": old.pem() + &new.pem()},
    });
    rig.write_others(&[both]).await;
    assert_eq!(rig.get("/").await.status, 200);
    rig.write_others(&[new.object("ConfigMap", "ca")]).await;
    assert_eq!(rig.get("/").await.status, 502, "neither an idle connection nor a session of the old rules is used");
    rig.upstreams[0].gate().release("one");
    assert_eq!(open.response().await.status, 200, "the request in flight");
    rig.upstreams[0].secure(Some(new.issue(&["app.example"]).server()));
    let mut poll = tokio::time::interval(Duration::from_millis(50));
    testkit::patiently("the server to be believed again", async {
        while rig.get("/").await.status != 200 {
            poll.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_are_resumed_with_who_gave_them() {
    let authority = Authority::new();
    let certificate = authority.issue(&["app.example"]);
    let spec = spec(&json!({"keepalive": {"connections": 0}}));
    let rig = builder(&authority, &certificate.server()).spec(spec).servers(2).start().await;
    // Each server has keys of its own.
    rig.upstreams[1].secure(Some(certificate.server()));
    for _ in 0..8 {
        assert_eq!(rig.get("/").await.status, 200);
    }
    for upstream in &rig.upstreams {
        let resumed: Vec<bool> = upstream.record().handshakes.iter().map(|shaken| shaken.resumed).collect();
        assert_eq!(resumed, [false, true, true, true], "{}", upstream.name());
    }
}

#[tokio::test]
async fn without_a_name_the_host_of_the_request_is_asked_for() {
    let authority = Authority::new();
    let tls = json!({"caCertificateRef": {"kind": "ConfigMap", "name": "ca"}});
    let server = authority.issue(&["a.example", "b.example", "127.0.0.1"]).server();
    let rig = builder(&authority, &server).spec(self::tls(&tls)).start().await;
    let ask = async |host: &str| {
        rig.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await.status
    };
    for host in ["a.example", "B.example:80", "a.example", "b.example", "127.0.0.1"] {
        assert_eq!(ask(host).await, 200, "{host}");
    }
    let names = |rig: &Rig| -> Vec<Option<String>> {
        rig.upstreams[0].record().handshakes.into_iter().map(|shaken| shaken.name).collect()
    };
    let text = |name: &str| Some(name.to_owned());
    assert_eq!(names(&rig), [text("a.example"), text("b.example"), None], "each name has connections of its own");
}

/// Ledger: `tls-name-of-client`.
#[tokio::test]
async fn a_name_that_a_client_chose_puts_no_server_out() {
    let authority = Authority::new();
    let tls = json!({"caCertificateRef": {"kind": "ConfigMap", "name": "ca"}});
    let server = authority.issue(&["a.example", "b.example", "127.0.0.1"]).server();
    let rig = builder(&authority, &server).servers(2).spec(self::tls(&tls)).start().await;
    let ask = async |host: &str| {
        let response = rig.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        (response.status, response.text())
    };
    for _ in 0..5 {
        assert_eq!(ask("other.example").await.0, 502);
    }
    rig.forebay
        .logged("upstream SSL certificate does not match \"other.example\": it is for a.example, b.example, 127.0.0.1")
        .await;
    let tried: Vec<_> = rig.access_log(5).await.into_iter().map(|line| line.upstream_status).collect();
    assert_eq!(tried, ["502, 502"; 5], "both are asked each time");
    let mut answers: Vec<_> = [ask("a.example").await, ask("a.example").await].into();
    answers.sort();
    assert_eq!(answers, [(200, "a".to_owned()), (200, "b".to_owned())], "and both are there for everybody else");
    assert!(!rig.forebay.log().join("\n").contains("temporarily disabled"));
}

#[tokio::test]
async fn verification_is_left_out_only_when_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut rig = builder(&authority, &other.issue(&["b.example"]).server()).start().await;
    assert_eq!(rig.get("/").await.status, 502);
    rig.reconfigure(tls(&json!({"insecureSkipVerify": true}))).await;
    assert_eq!(rig.get("/").await.status, 200);
}

/// Who signs their own certificate names it as the authority, whatever it says of itself.
#[tokio::test]
async fn a_certificate_that_is_the_authority_is_believed() {
    let openssl = |arguments: &[&str], dir: &std::path::Path| {
        let output = std::process::Command::new("openssl").args(arguments).current_dir(dir).output().expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let dir = tempfile::tempdir().unwrap();
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=app.example -addext \
                   subjectAltName=DNS:app.example -keyout tls.key -out tls.crt";
    openssl(&request.split_whitespace().collect::<Vec<_>>(), dir.path());
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let pair = Pair { chain: read("tls.crt"), key: read("tls.key") };
    let ca = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca"}, "data": {"ca.crt": pair.chain},
    });
    let unused = Authority::new();
    let mut rig = Rig::of(env!("CARGO_BIN_EXE_forebay"))
        .secured(pair.server())
        .others([ca, unused.object("Secret", "unused")])
        .spec(spec(&json!({})))
        .start()
        .await;
    assert_eq!(rig.get("/").await.status, 200);
    let ca = json!({"kind": "ConfigMap", "name": "ca"});
    rig.reconfigure(tls(&json!({"serverName": "b.example", "caCertificateRef": ca}))).await;
    assert_eq!(rig.get("/").await.status, 502);
}

#[tokio::test]
async fn the_systems_authorities_are_believed_without_others() {
    let authority = Authority::new();
    let server = authority.issue(&["app.example"]).server();
    let spec = tls(&json!({"serverName": "app.example"}));
    let of = || Rig::of(env!("CARGO_BIN_EXE_forebay")).secured(server.clone()).spec(spec.clone());
    let rig = of().env("SSL_CERT_FILE", authority.file()).start().await;
    assert_eq!(rig.get("/").await.status, 200);
    let rig = of().env("SSL_CERT_FILE", "/nowhere/ca.crt").start().await;
    assert_eq!(rig.get("/").await.status, 502);
    rig.forebay.logged("this system has no certificates of authorities").await;
}

/// The servers that people have: nginx with its own TLS library, TLS 1.2 and 1.3.
#[tokio::test]
async fn a_real_nginx_is_spoken_to() {
    let Some(binary) = Release::Baseline.find() else { return };
    let (authority, clients) = (Authority::new(), Authority::new());
    let pair = authority.issue(&["app.example"]);
    for version in ["TLSv1.2", "TLSv1.3"] {
        let nginx = Nginx::start(&binary, "ready.sock", |dir| {
            std::fs::write(dir.join("tls.crt"), &pair.chain).unwrap();
            std::fs::write(dir.join("tls.key"), &pair.key).unwrap();
            format!(
                "server {{ listen unix:{dir}/ready.sock; }}\nserver {{ listen unix:{dir}/tls.sock ssl; server_name app.example; \
                 ssl_protocols {version}; ssl_certificate {dir}/tls.crt; ssl_certificate_key {dir}/tls.key; \
                 ssl_client_certificate {ca}; ssl_verify_client on; ssl_session_cache builtin; location / {{ return 200 \
                 \"$ssl_protocol $ssl_server_name $ssl_client_verify $ssl_session_reused $connection_requests\"; }} }}",
                dir = dir.display(),
                ca = clients.file().display(),
            )
        })
        .await;
        let line = json!({"name": "nginx", "address": nginx.socket("tls.sock").to_string()});
        let documents = testkit::rig::Documents::new();
        let group = json!({
            "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup", "metadata": {"name": "app"},
            "spec": {
                "servers": [line], "protocol": "HTTPS", "keepalive": {"requests": 2},
                "tls": {
                    "serverName": "app.example",
                    "caCertificateRef": {"name": "ca"},
                    "clientCertificateRef": {"name": "client"},
                },
            },
        });
        let secrets = [authority.object("Secret", "ca"), clients.issue(&["me"]).secret("client"), group];
        documents.write("all.yaml", &secrets);
        let forebay = testkit::Forebay::run(env!("CARGO_BIN_EXE_forebay"), documents.path()).bind("default/app");
        let forebay = forebay.args(["--workers", "1"]).start().await;
        let mut said = Vec::new();
        for _ in 0..3 {
            said.push(Client::get(forebay.http(0), "/").await.text());
        }
        let expected = [". 1", ". 2", "r 1"].map(|end| format!("{version} app.example SUCCESS {end}"));
        assert_eq!(said, expected, "{}", nginx.error_log());
    }
}

/// The same servers, some of which nobody should believe, behind nginx and behind Forebay: the same attempts.
#[tokio::test]
async fn nginx_tries_the_same_servers() {
    let Some(binary) = Release::Baseline.find() else { return };
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.issue(&["app.example"]).server();
    let rig = builder(&authority, &good).servers(4).start().await;
    rig.upstreams[0].secure(Some(other.issue(&["app.example"]).server()));
    rig.upstreams[1].secure(Some(authority.issue(&["b.example"]).server()));
    rig.upstreams[2].secure(None);
    rig.upstreams[2].set(Mode::CloseOnAccept).await;
    let servers: Vec<_> = (0..4).map(|n| format!("server {};", rig.address(n))).collect();
    let servers = servers.concat();
    let nginx = Nginx::start(&binary, "ready.sock", |dir| {
        format!(
            "upstream app {{ {servers} }} server {{ listen unix:{dir}/ready.sock; location / {{ proxy_pass https://app; \
             proxy_http_version 1.1; proxy_ssl_server_name on; proxy_ssl_name app.example; proxy_ssl_verify on; \
             proxy_ssl_trusted_certificate {ca}; add_header X-Seen \"$upstream_status\" always; }} }}",
            dir = dir.display(),
            ca = authority.file().display(),
        )
    })
    .await;
    let mut theirs = Vec::new();
    for n in 0..12 {
        if n == 6 {
            rig.upstreams[3].secure(Some(other.issue(&["app.example"]).server()));
            rig.upstreams[3].close_connections();
            rig.upstreams[3].wait_for("its connections to be closed", |record| record.open == 0).await;
        }
        let answer = Client::get(nginx.socket("ready.sock"), "/").await;
        theirs.push((answer.status.to_string(), answer.header("x-seen").unwrap_or_default().to_owned()));
    }
    rig.upstreams[3].secure(Some(good));
    for n in 0..12 {
        if n == 6 {
            rig.upstreams[3].secure(Some(other.issue(&["app.example"]).server()));
            rig.upstreams[3].close_connections();
            rig.upstreams[3].wait_for("its connections to be closed", |record| record.open == 0).await;
        }
        rig.get("/").await;
    }
    let ours = rig.access_log(12).await;
    let ours: Vec<_> = ours.into_iter().map(|line| (line.status, line.upstream_status)).collect();
    assert_eq!(ours, theirs, "{}", nginx.error_log());
    assert!(ours[0].1.ends_with("502, 200") && ours[11].0 == "502", "{ours:?}");
}
