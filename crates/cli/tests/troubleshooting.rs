//! `docs/troubleshooting.md` shows what really happens: each of its sections is played here, and every line it shows must be
//! among what Forebay logged and what its admin listener said. Each shows something of both, metrics and JSON.
//!
//! Lines are compared without what differs from run to run: addresses stand for servers, and numbers count only where they
//! are a status, a code or a small count. `PRINT=1 cargo test -p forebay --test troubleshooting -- --nocapture` prints the
//! evidence to write the document from.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use testkit::{
    Client, Forebay, Mode, Response, Upstream,
    rig::Documents,
    tls::{self, Authority},
    upstream::{After, Stale},
};
use tls_rig::{TlsRig, ingress};

mod tls_rig;

/// A group `default/app` of three servers, with a Forebay in front.
struct Case {
    section: &'static str,
    servers: Vec<Upstream>,
    forebay: Forebay,
    /// Whether its clients come by TLS.
    is_tls: bool,
    _documents: Documents,
}

impl Case {
    /// `lines` are the fields of the servers besides name and address.
    async fn start(section: &'static str, spec: Value, lines: &[Value]) -> Self {
        Self::start_with(section, spec, lines, &[]).await
    }

    /// The same beside other objects.
    async fn start_with(section: &'static str, spec: Value, lines: &[Value], others: &[Value]) -> Self {
        let mut servers = Vec::new();
        let mut written = Vec::new();
        for (name, line) in ["one", "two", "three"].iter().zip(lines) {
            let server = Upstream::start(name).await;
            let mut line = line.clone();
            line["name"] = json!(name);
            line["address"] = json!(server.address().to_string());
            written.push(line);
            servers.push(server);
        }
        let mut spec = spec;
        if !written.is_empty() {
            spec["servers"] = json!(written);
        }
        let group = json!({
            "apiVersion": "forebay.dev/v1alpha1",
            "kind": "UpstreamGroup",
            "metadata": {"name": "app"},
            "spec": spec,
        });
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        });
        let documents = Documents::new();
        documents.write("app.yaml", &[&[group, service], others].concat());
        let run = Forebay::run(env!("CARGO_BIN_EXE_forebay"), documents.path());
        let forebay = run.bind("default/app").listen().args(["--workers", "1"]).start().await;
        Self { section, servers, forebay, is_tls: false, _documents: documents }
    }

    async fn get(&self) -> Response {
        Client::get(self.forebay.http(0), "/").await
    }

    async fn statuses(&self, count: usize) -> Vec<u16> {
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(self.get().await.status);
        }
        statuses
    }

    /// Waits until `requests` are in the access log, and compares the section with the evidence.
    async fn compare(self, requests: usize) {
        if requests > 0 {
            self.forebay.logged_times("] \"GET ", requests).await;
        }
        let mut evidence = self.forebay.log();
        for page in ["/metrics", "/api/v1/groups", "/api/v1/routes"] {
            evidence.extend(self.forebay.admin_get(page).await.text().lines().map(str::to_owned));
        }
        let mut names: Vec<(String, String)> =
            self.servers.iter().map(|server| (server.address().to_string(), server.name().to_uppercase())).collect();
        let here =
            if self.is_tls { vec![self.forebay.https(0)] } else { vec![self.forebay.http(0), self.forebay.http(1)] };
        names.extend(here.into_iter().map(|address| (address.to_string(), "HERE".to_owned())));
        let shown = [("127.0.0.1:9001", "ONE"), ("127.0.0.1:9002", "TWO"), ("127.0.0.1:9003", "THREE")];
        let shown = shown.into_iter().chain([("127.0.0.1:8080", "HERE")]);
        let shown: Vec<(String, String)> = shown.map(|(address, name)| (address.to_owned(), name.to_owned())).collect();
        if std::env::var_os("PRINT").is_some() {
            let written =
                |line: &String| names.iter().zip(&shown).fold(line.clone(), |line, (a, b)| line.replace(&a.0, &b.0));
            eprintln!("## {}\n{}\n", self.section, evidence.iter().map(written).collect::<Vec<_>>().join("\n"));
            return;
        }
        let evidence: Vec<String> = evidence.iter().map(|line| canonical(line, &names)).collect();
        let lines = section(self.section);
        let is_logged = |line: &String| line.starts_with("20") || line.contains("] \"GET ");
        assert!(lines.iter().any(is_logged), "{}: no line of a log", self.section);
        assert!(lines.iter().any(|line| line.starts_with("forebay_")), "{}: no metric", self.section);
        assert!(lines.iter().any(|line| line.starts_with('"')), "{}: no line of /api/v1", self.section);
        for line in lines {
            let line = canonical(&line, &shown);
            assert!(evidence.contains(&line), "{}: nobody said\n{line}\namong\n{}", self.section, evidence.join("\n"));
        }
    }
}

/// The lines that a section shows, without their comments.
fn section(title: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/troubleshooting.md");
    let text = fs::read_to_string(path).expect("docs/troubleshooting.md");
    let section = text.split("\n## ").find(|section| section.lines().next() == Some(title));
    let section = section.unwrap_or_else(|| panic!("no section {title:?}"));
    let blocks = section.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// A line without what differs from run to run.
fn canonical(line: &str, names: &[(String, String)]) -> String {
    let line = names.iter().fold(line.trim().to_owned(), |line, (address, name)| line.replace(address, name));
    let line = line.trim_end_matches(',');
    let bytes = line.as_bytes();
    let is_part = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at)).is_some_and(|b| b.is_ascii_alphanumeric() || b".:/*#-+".contains(b))
    };
    let mut out = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes[at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let is_number = bytes[at..at + digits].iter().all(u8::is_ascii_digit);
        let alone = !is_part(at.checked_sub(1)) && !is_part(Some(at + digits));
        match digits {
            0 => {
                out.push_str(&line[at..].chars().next().map_or(String::new(), String::from));
                at += line[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            1..=3 if is_number && (alone || is_code(line, at + digits)) => out.push_str(&line[at..at + digits]),
            32 => out.push('#'),
            _ => out.push_str(&line[at..at + digits].replace(|c: char| c.is_ascii_digit(), "#")),
        }
        at += digits;
    }
    // Times of different length are the same time.
    while out.contains("##") {
        out = out.replace("##", "#");
    }
    out
}

/// Whether the number that ends here is an error number: `(111: Connection refused)`.
fn is_code(line: &str, end: usize) -> bool {
    line[end..].starts_with(": ")
}

#[test]
fn lines_are_told_apart_by_what_matters() {
    let names = [("127.0.0.1:9001".to_owned(), "ONE".to_owned()), ("127.0.0.1:9002".to_owned(), "TWO".to_owned())];
    let canonical = |line: &str| canonical(line, &names);
    let line = r#"[error] 1#0: *1 connect() failed (111: Connection refused), "GET / HTTP/1.1" 502 152 "127.0.0.1:9001" "0.016""#;
    assert_eq!(canonical(line), canonical(&line.replace("0.016", "0.0").replace("1#0: *1", "27139#0: *2")));
    for (from, to) in [("502", "504"), ("111", "104"), ("9001", "9002"), ("refused", "reset")] {
        assert_ne!(canonical(line), canonical(&line.replace(from, to)), "{from}");
    }
}

#[tokio::test]
async fn refused_and_nobody_left() {
    let case = Case::start("502: no live upstreams", json!({}), &[json!({}), json!({})]).await;
    for server in &case.servers {
        server.set(Mode::Refuse).await;
    }
    assert_eq!(case.statuses(2).await, [502, 502]);
    case.compare(2).await;
}

#[tokio::test]
async fn closed_early() {
    let case = Case::start("502: the server closed the connection", json!({}), &[json!({})]).await;
    case.servers[0].set(Mode::Close).await;
    assert_eq!(case.statuses(1).await, [502]);
    case.compare(1).await;
}

#[tokio::test]
async fn nonsense() {
    let case = Case::start("502: the server does not speak HTTP", json!({}), &[json!({})]).await;
    case.servers[0].set(Mode::raw("SSH-2.0-OpenSSH_9.6\r\n", After::Close)).await;
    assert_eq!(case.statuses(1).await, [502]);
    case.compare(1).await;
}

#[tokio::test]
async fn no_endpoints() {
    let spec = json!({"servers": [{"name": "web", "service": {"name": "web", "port": "http"}}]});
    let case = Case::start("503", spec, &[]).await;
    assert_eq!(case.statuses(1).await, [503]);
    case.compare(1).await;
}

#[tokio::test]
async fn too_slow() {
    let spec = json!({"timeouts": {"read": "1s"}});
    let case = Case::start("504", spec, &[json!({})]).await;
    case.servers[0].set(Mode::Hang).await;
    assert_eq!(case.statuses(1).await, [504]);
    case.compare(1).await;
}

#[tokio::test]
async fn one_address_behind_a_proxy() {
    let spec = json!({"method": {"type": "IPHash"}});
    let case = Case::start("Everything goes to one server", spec, &[json!({}), json!({}), json!({})]).await;
    for client in ["10.0.0.1", "10.0.1.9"] {
        let request =
            format!("GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: {client}\r\nConnection: close\r\n\r\n");
        assert_eq!(Client::once(case.forebay.http(0), request).await.text(), "three");
    }
    case.compare(2).await;
}

#[tokio::test]
async fn errors_that_are_no_failures() {
    let lines = [json!({}), json!({}), json!({"backup": true})];
    let case = Case::start("The backup never gets traffic", json!({}), &lines).await;
    for server in &case.servers[..2] {
        server.set(Mode::Status(503)).await;
    }
    assert_eq!(case.statuses(4).await, [503; 4]);
    assert!(case.servers[2].requests().is_empty());
    case.compare(4).await;
}

#[tokio::test]
async fn stale_connections() {
    let case = Case::start("A server is ejected right after it was idle", json!({}), &[json!({}), json!({})]).await;
    case.servers[0].set(Mode::Stale(Stale::AtNextRequest)).await;
    let mut client = Client::connect(case.forebay.http(0)).await;
    for expected in ["one", "two", "two"] {
        client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!((response.status, response.text().as_str()), (200, expected));
    }
    case.compare(3).await;
}

/// Who signed the certificates of the servers is in the ConfigMap `ca`, and they are to be for `app.example`.
fn secured() -> Value {
    let tls = json!({"serverName": "app.example", "caCertificateRef": {"kind": "ConfigMap", "name": "ca"}});
    json!({"protocol": "HTTPS", "tls": tls})
}

fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 50)
}

#[tokio::test]
async fn servers_that_are_not_believed() {
    let authority = Authority::new();
    let lines = [json!({}), json!({}), json!({})];
    let others = [authority.object("ConfigMap", "ca")];
    let case = Case::start_with("502: TLS to the servers", secured(), &lines, &others).await;
    case.servers[0].secure(Some(authority.issue(&["other.example"]).server()));
    case.servers[1].secure(Some(authority.issue_until(&["app.example"], long_ago()).server()));
    case.servers[2].secure(Some(authority.issue(&["app.example"]).server_for(Some(&authority))));
    assert_eq!(case.statuses(1).await, [502]);
    case.compare(1).await;
}

#[tokio::test]
async fn clients_that_are_refused_and_clients_that_refuse() {
    let TlsRig { forebay, upstream, authority, documents } = TlsRig::start(&["--access-log", "-"]).await;
    let before = forebay.admin_get("/api/v1/config").await.json()["revision"].clone();
    let expired = authority.issue_until(&["shop.example"], long_ago()).secret("shop");
    let other = authority.issue(&["other.example"]).secret("wrong");
    let hosts = [ingress("shop", &["shop.example"]), expired, ingress("wrong", &["wrong.example"]), other];
    documents.write("shop.yaml", &hosts);
    testkit::patiently("the change to be in force", async {
        while forebay.admin_get("/api/v1/config").await.json()["revision"] == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for host in ["nobody.example", "shop.example", "wrong.example"] {
        tls::connect(forebay.https(0), host, &authority.client(&[tls::HTTP1])).await.unwrap_err();
    }
    forebay.logged_times("while SSL handshaking, client", 3).await;
    let section = "Clients get no TLS connection";
    let case = Case { section, servers: vec![upstream], forebay, is_tls: true, _documents: documents };
    case.compare(0).await;
}
