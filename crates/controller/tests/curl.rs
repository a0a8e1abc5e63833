//! What a person sees with curl.

mod support;

use std::process::{Command, Stdio};

use controller::identity::Terms;
use controller::serve::Bounds;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use support::{Feed, group, tokens};

/// `curl` that speaks HTTP/2; without one a laptop skips, and CI fails.
fn has_curl() -> bool {
    let version = Command::new("curl").arg("--version").output();
    let speaks_http2 = version.is_ok_and(|version| String::from_utf8_lossy(&version.stdout).contains("HTTP2"));
    if !speaks_http2 {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "curl with HTTP/2 is needed");
        eprintln!("SKIPPED: no curl with HTTP/2");
    }
    speaks_http2
}

#[tokio::test]
async fn a_person_watches_the_feed() {
    if !has_curl() {
        return;
    }
    let feed = Feed::with(Bounds::default(), Terms::default()).await;
    feed.hub.publish([group("shop", "app", 1), group("pay", "app", 1)]);
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, &feed.ca.pem).unwrap();
    let curl = |token: Option<&str>, more: &[&str]| {
        let port = feed.address.port();
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["-sSN", "--noproxy", "*", "--http2", "--max-time", "60", "--cacert"]).arg(&ca).args(more);
        curl.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
        curl.args(token.map(|token| format!("-HAuthorization: Bearer {token}")));
        curl.arg(format!("https://localhost:{port}/feed/v1")).stdout(Stdio::piped()).kill_on_drop(true);
        curl.spawn().unwrap()
    };
    let sidecar = tokens::of_pod("shop", "web", "web-1");
    let mut watching = curl(Some(&sidecar), &[]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "synced") {
        let line: serde_json::Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        let (kind, value) = line.as_object().unwrap().iter().next().unwrap();
        if kind == "put" {
            assert_eq!(value["key"], "group/shop/app");
        }
        kinds.push(kind.clone());
    }
    assert_eq!(kinds, ["welcome", "beat", "put", "commit", "synced"]);
    assert!(feed.server.roster().seen()[0].instance.as_deref().unwrap().starts_with("get:127.0.0.1:"));
    feed.hub.publish([group("shop", "app", 2)]);
    assert!(lines.next_line().await.unwrap().unwrap().starts_with(r#"{"put":{"key":"group/shop/app""#));
    let mut text = String::new();
    for (token, more, said) in [
        (None, &[][..], "who are you? Send Authorization: Bearer TOKEN"),
        (Some(sidecar.as_str()), &["-d", "{}"], "send Content-Type: application/x-ndjson\n"),
        (Some(sidecar.as_str()), &["-X", "DELETE"], "this path takes GET, POST\n"),
    ] {
        text.clear();
        curl(token, more).stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        assert!(text.contains(said) && text.ends_with('\n'), "{text}");
    }
}
