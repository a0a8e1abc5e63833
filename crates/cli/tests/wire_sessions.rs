//! `sticky learn` through the proxy: which answers tie a session to a server, and what a change of configuration leaves of it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Client, Mode, Rig};

/// A group that learns, with more of `sticky.learn`.
fn learning(more: &Value) -> Value {
    let mut learn = json!({"create": ["$upstream_cookie_srv"], "lookup": ["$cookie_srv"]});
    for (name, value) in more.as_object().into_iter().flatten() {
        learn[name] = value.clone();
    }
    json!({"sticky": {"learn": learn}})
}

async fn rig(more: &Value) -> Rig {
    let never_out = json!({"maxFails": 0});
    let lines = [never_out.clone(), never_out];
    Rig::of(env!("CARGO_BIN_EXE_forebay")).lines(lines).spec(learning(more)).start().await
}

/// Begins the session `one` on the server `a`, by a response whose body does not end; its header has arrived.
async fn begin(rig: &Rig) -> Client {
    let head = "HTTP/1.1 200 OK\r\nSet-Cookie: srv=one\r\nContent-Length: 1000\r\n\r\n";
    rig.upstreams[0].set(Mode::SlowBody { head: head.into(), bytes: 1000, pause: Duration::from_hours(1) }).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.extend(client.some().await.expect("a response header"));
    }
    rig.upstreams[0].set(Mode::Ok).await;
    client
}

/// Who answers four requests of the session `one`.
async fn answers(rig: &Rig) -> String {
    let mut names = String::new();
    for _ in 0..4 {
        names += &rig.send("GET / HTTP/1.1\r\nHost: t\r\nCookie: srv=one\r\n\r\n").await.text();
    }
    names
}

/// nginx's state 0: from its header on a response counts as one, whoever ends it.
#[tokio::test]
async fn a_session_is_tied_however_its_response_ends() {
    for client_leaves in [true, false] {
        let rig = rig(&json!({})).await;
        let client = begin(&rig).await;
        if client_leaves {
            drop(client);
        } else {
            rig.upstreams[0].close_connections();
        }
        rig.access_log(1).await;
        assert_eq!(answers(&rig).await, "aaaa", "the client leaves: {client_leaves}");
    }
}

#[tokio::test]
async fn on_header_ties_a_session_before_the_end_of_its_response() {
    let early = rig(&json!({"onHeader": true})).await;
    let _client = begin(&early).await;
    assert_eq!(answers(&early).await, "aaaa");
    let late = rig(&json!({})).await;
    let _client = begin(&late).await;
    assert!(answers(&late).await.contains('b'));
}

#[tokio::test]
async fn sessions_outlive_every_change_but_the_end_of_learning() {
    let mut rig = rig(&json!({})).await;
    let get = "GET / HTTP/1.1\r\nHost: t\r\nX-Session: one\r\n\r\n";
    assert_eq!(rig.send(get).await.text(), "a");
    assert_eq!(answers(&rig).await, "aaaa");
    for more in [json!({"timeout": "5m"}), json!({"maxSessions": 50}), json!({"onHeader": true})] {
        rig.reconfigure(learning(&more)).await;
        assert_eq!(answers(&rig).await, "aaaa", "{more}");
    }
    rig.reconfigure(json!({})).await;
    rig.reconfigure(learning(&json!({}))).await;
    assert!(answers(&rig).await.contains('b'));
}

/// A request that is given up before any header says nothing of its session (ledger `learn-abandoned`).
#[tokio::test]
async fn a_request_without_an_answer_leaves_its_session_where_it_was() {
    let rig = rig(&json!({})).await;
    assert_eq!(rig.send("GET / HTTP/1.1\r\nHost: t\r\nX-Session: one\r\n\r\n").await.text(), "a");
    rig.upstreams[0].set(Mode::Refuse).await;
    rig.upstreams[1].set(Mode::Hang).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\nCookie: srv=one\r\n\r\n").await;
    rig.upstreams[1].request(1).await;
    drop(client);
    rig.access_log(2).await;
    rig.upstreams[0].set(Mode::Ok).await;
    rig.upstreams[1].set(Mode::Ok).await;
    assert_eq!(answers(&rig).await, "aaaa");
}
