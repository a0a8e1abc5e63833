//! Many workers are one balancer: weights, failures and limits are shared by all of them (nginx's `zone`).

use serde_json::json;
use testkit::{Client, Forebay, Mode, Rig, Upstream, rig::Documents};

const WORKERS: usize = 4;

#[tokio::test]
async fn the_sequence_is_one_whichever_worker_accepts() {
    let lines = [5, 1, 1].map(|weight| json!({"weight": weight}));
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).lines(lines).workers(WORKERS).start().await;
    let mut picks = String::new();
    for _ in 0..21 {
        picks += &rig.get("/").await.text();
    }
    assert_eq!(picks, "aabacaa".repeat(3));
}

#[tokio::test]
async fn a_failure_seen_by_one_is_known_to_all() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(2).workers(WORKERS).start().await;
    rig.upstreams[0].set(Mode::Refuse).await;
    for _ in 0..12 {
        assert_eq!(rig.get("/").await.text(), "b");
    }
    let log = rig.access_log(12).await;
    let failed = log.iter().filter(|line| line.upstream_status.starts_with("502")).count();
    assert_eq!(failed, 1, "{log:?}");
}

#[tokio::test]
async fn a_limit_is_the_processs() {
    let lines = [json!({"maxConns": 2}), json!({"backup": true})];
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).lines(lines).workers(WORKERS).start().await;
    rig.upstreams[0].set(Mode::Hold).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        clients.push(client);
    }
    rig.upstreams[0].gate().held_count(2).await;
    for _ in 0..8 {
        assert_eq!(rig.get("/").await.text(), "b", "full is full for every worker");
    }
}

#[tokio::test]
async fn all_of_them_leave() {
    let mut rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(2).workers(WORKERS).start().await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        clients.push(client);
    }
    rig.forebay.signal("TERM").await;
    for client in &mut clients {
        client.end().await;
    }
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
}

#[tokio::test]
async fn a_unix_socket_is_a_server_like_any_other() {
    let documents = Documents::new();
    let path = documents.beside("app.sock");
    let upstream = Upstream::unix("u", &path).await;
    documents.write(
        "group.yaml",
        &[json!({
            "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup", "metadata": {"name": "app"},
            "spec": {"servers": [{"name": "app", "address": upstream.address().to_string()}]},
        })],
    );
    let binary = env!("CARGO_BIN_EXE_forebay");
    let forebay = Forebay::run(binary, documents.path())
        .bind("default/app")
        .args(["--workers", &WORKERS.to_string()])
        .start()
        .await;
    assert_eq!(Client::get(forebay.http(0), "/").await.text(), "u");
    upstream.set(Mode::Refuse).await;
    upstream.close_connections();
    upstream.wait_for("its connections to end", |record| record.open == 0).await;
    assert_eq!(Client::get(forebay.http(0), "/").await.status, 502);
    upstream.set(Mode::Ok).await;
    assert_eq!(Client::get(forebay.http(0), "/").await.text(), "u", "a single server is never ejected");
}
