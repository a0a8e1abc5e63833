//! curl and wrk as clients: what a person at a terminal sees, and what a load generator counts.

mod tls_rig;

use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Mode, Rig};
use tls_rig::TlsRig;

/// The output of a program that is given the URL of `path` last, or nothing where it is missing (which fails in CI).
async fn output(program: &str, args: &[&str], rig: &Rig, path: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(args).arg(format!("http://{}{path}", rig.forebay.http(0)));
    run(command).await
}

async fn run(mut command: Command) -> Option<Output> {
    let program = command.get_program().display().to_string();
    match tokio::task::spawn_blocking(move || command.output()).await.expect("the task ends") {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{program}: {error}");
            eprintln!("SKIPPED: {program}: {error}");
            None
        }
    }
}

async fn curl(rig: &Rig, path: &str, args: &[&str]) -> Option<Output> {
    let common = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "20"];
    output("curl", &[common.as_slice(), args].concat(), rig, path).await
}

async fn rig() -> Rig {
    Rig::of(env!("CARGO_BIN_EXE_forebay")).args(["--client-max-body-size", "64Mi"]).start().await
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn curl_gets() {
    let rig = rig().await;
    let Some(output) = curl(&rig, "/hello", &["--include"]).await else { return };
    assert!(output.status.success());
    assert!(
        text(&output).starts_with("HTTP/1.1 200 OK\r\n") && text(&output).ends_with("\r\n\r\na"),
        "{}",
        text(&output)
    );
}

#[tokio::test]
async fn curl_posts_a_form_and_a_large_file() {
    let rig = rig().await;
    let Some(output) = curl(&rig, "/echo", &["--data", "a=1&b=2"]).await else { return };
    let echo: Value = serde_json::from_str(&text(&output)).expect("JSON");
    assert_eq!((echo["method"].as_str(), echo["body"].as_str()), (Some("POST"), Some("a=1&b=2")));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), vec![b'x'; 3_000_000]).expect("it is written");
    // More than a megabyte: curl asks first (Expect: 100-continue).
    let data = format!("@{}", file.path().display());
    let output = curl(&rig, "/", &["--data-binary", &data]).await.expect("curl was there");
    assert_eq!(text(&output), "a");
    assert_eq!(rig.upstreams[0].request(2).await.body.content.len(), 3_000_000);
}

#[tokio::test]
async fn curl_uploads_in_chunks() {
    let rig = rig().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "in chunks").expect("it is written");
    let path = file.path().display().to_string();
    let args = ["--upload-file", &path, "--header", "Transfer-Encoding: chunked"];
    let Some(output) = curl(&rig, "/echo", &args).await else { return };
    let echo: Value = serde_json::from_str(&text(&output)).expect("JSON");
    assert_eq!(echo["body"], "in chunks");
}

#[tokio::test]
async fn curl_speaks_the_old_protocol_and_asks_for_heads() {
    let rig = rig().await;
    let Some(output) = curl(&rig, "/", &["--http1.0"]).await else { return };
    assert_eq!(text(&output), "a");
    let output = curl(&rig, "/bytes/77", &["--head"]).await.expect("curl was there");
    assert!(text(&output).to_lowercase().contains("content-length: 77"), "{}", text(&output));
}

#[tokio::test]
async fn curl_is_told_about_a_bad_gateway() {
    let rig = rig().await;
    rig.upstreams[0].set(Mode::Refuse).await;
    let Some(output) = curl(&rig, "/", &["--fail"]).await else { return };
    assert_eq!(output.status.code(), Some(22), "curl's code for a status of 400 and more");
    let output = curl(&rig, "/", &[]).await.expect("curl was there");
    assert!(text(&output).contains("502 Bad Gateway"), "{}", text(&output));
}

#[tokio::test]
async fn curl_hears_why_its_upload_is_refused() {
    let rig = TlsRig::start(&[]).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), vec![b'x'; 30_000_000]).expect("it is written");
    let port = rig.forebay.https(0).port();
    for protocol in ["--http1.1", "--http2"] {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--insecure", protocol]);
        command.args(["--resolve", &format!("shop.example:{port}:127.0.0.1"), "--header", "Expect:"]);
        command.args(["--data-binary", &format!("@{}", file.path().display())]);
        command.arg(format!("https://shop.example:{port}/"));
        let Some(output) = run(command).await else { return };
        assert!(text(&output).contains("413 Request Entity Too Large"), "{protocol}: {output:?}");
    }
}

#[tokio::test]
async fn curl_notices_a_cut_body() {
    let rig = rig().await;
    for mode in [Mode::ShortBody, Mode::ResetMidBody] {
        rig.upstreams[0].set(mode.clone()).await;
        let Some(output) = curl(&rig, "/", &[]).await else { return };
        assert!(!output.status.success(), "{mode:?} must not look complete");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrk_counts_no_error() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(3).start().await;
    let args = ["--threads", "1", "--connections", "20", "--duration", "2s"];
    let Some(output) = output("wrk", &args, &rig, "/bytes/2000").await else { return };
    let report = text(&output);
    assert!(output.status.success() && report.contains("Requests/sec"), "{report}");
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    for upstream in &rig.upstreams {
        assert!(!upstream.requests().is_empty(), "{} got nothing", upstream.name());
    }
}
