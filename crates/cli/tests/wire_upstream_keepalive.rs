//! nginx's upstream keepalive: how many connections stay idle, for how many requests and how long, and what ends them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::{
    Client, Mode, Rig,
    rig::Builder,
    upstream::{After, Stale},
};

fn builder(keepalive: &Value) -> Builder {
    Rig::of(env!("CARGO_BIN_EXE_forebay")).spec(json!({"keepalive": keepalive}))
}

async fn connections_of(rig: &Rig, requests: usize) -> Vec<usize> {
    for _ in 0..requests {
        assert_eq!(rig.get("/").await.status, 200);
    }
    rig.upstreams[0].requests().iter().map(|request| request.connection).collect()
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    assert_eq!(connections_of(&rig, 5).await, [1, 1, 1, 1, 1], "on by default, as in nginx 1.29.7");
    let request = rig.upstreams[0].request(5).await;
    assert_eq!((request.header("connection"), request.head.word(2)), (None, "HTTP/1.1"));
}

#[tokio::test]
async fn zero_connections_keep_none() {
    let rig = builder(&json!({"connections": 0})).start().await;
    assert_eq!(connections_of(&rig, 3).await, [1, 2, 3]);
    rig.upstreams[0].wait_for("no connection to stay open", |record| record.open == 0).await;
}

#[tokio::test]
async fn a_connection_carries_so_many_requests() {
    let rig = builder(&json!({"requests": 2})).start().await;
    assert_eq!(connections_of(&rig, 5).await, [1, 1, 2, 2, 3]);
    rig.upstreams[0].wait_for("the spent connections to be closed", |record| record.open == 1).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_timeout() {
    let rig = builder(&json!({"timeout": "50ms"})).start().await;
    assert_eq!(rig.get("/").await.status, 200);
    rig.upstreams[0].wait_for("the idle connection to be closed", |record| record.open == 0).await;
    assert_eq!(connections_of(&rig, 1).await, [1, 2]);
}

#[tokio::test]
async fn a_connection_grows_only_so_old() {
    let rig = builder(&json!({"time": "1ms"})).start().await;
    rig.upstreams[0].set(Mode::Delay(std::time::Duration::from_millis(20))).await;
    assert_eq!(connections_of(&rig, 2).await, [1, 2]);
}

/// Holds `count` requests at once, so that as many connections come back to the pool together.
async fn load(rig: &Rig, count: usize) {
    for upstream in &rig.upstreams {
        upstream.set(Mode::Hold).await;
    }
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        clients.push(client);
    }
    let each = count / rig.upstreams.len();
    for upstream in &rig.upstreams {
        upstream.gate().held_count(each).await;
        upstream.gate().release_all();
        upstream.set(Mode::Ok).await;
    }
    for client in &mut clients {
        assert_eq!(client.response().await.status, 200);
    }
}

#[tokio::test]
async fn the_bound_is_on_the_whole_group() {
    let rig = builder(&json!({"connections": 3})).servers(2).start().await;
    load(&rig, 10).await;
    let open = |rig: &Rig| rig.upstreams.iter().map(|upstream| upstream.record().open).sum::<usize>();
    for upstream in &rig.upstreams {
        upstream.wait_for("all but three to be closed", |record| record.open <= 3).await;
    }
    testkit::patiently("three idle connections in all", async {
        while open(&rig) != 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_last_stored_is_used_first() {
    let rig = builder(&json!({})).start().await;
    load(&rig, 2).await;
    let used: BTreeSet<usize> = connections_of(&rig, 4).await.into_iter().skip(2).collect();
    assert_eq!(used.len(), 1, "{used:?}");
}

#[tokio::test]
async fn a_server_may_end_its_connection() {
    let rig = builder(&json!({})).start().await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    rig.upstreams[0].set(Mode::raw(answer, After::Keep)).await;
    assert_eq!(connections_of(&rig, 2).await, [1, 2], "Connection: close is believed even if it stays open");
    rig.upstreams[0].set(Mode::raw("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", After::Keep)).await;
    assert_eq!(connections_of(&rig, 2).await[2..], [3, 4], "HTTP/1.0 is not kept alive");
}

#[tokio::test]
async fn more_than_was_promised_is_not_read_as_the_next_response() {
    let rig = builder(&json!({})).start().await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    rig.upstreams[0].set(Mode::raw(answer, After::Keep)).await;
    assert_eq!(rig.get("/").await.text(), "ok");
    rig.upstreams[0].set(Mode::Ok).await;
    assert_eq!(rig.get("/").await.text(), "a");
    assert_eq!(rig.upstreams[0].request(2).await.connection, 2);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_nothing() {
    let rig = builder(&json!({})).servers(2).start().await;
    for upstream in &rig.upstreams {
        upstream.set(Mode::Stale(Stale::AfterResponse)).await;
    }
    for n in 0..6 {
        let response = rig.get("/").await;
        assert_eq!(response.status, 200, "request {n}");
        for upstream in &rig.upstreams {
            upstream.wait_for("the connection to be closed", |record| record.open == 0).await;
        }
    }
    let log = rig.access_log(6).await;
    assert!(log.iter().all(|line| line.upstream_status == "200"), "{log:?}\n{}", rig.forebay.log().join("\n"));
}

#[tokio::test]
async fn a_connection_that_dies_under_a_request_is_a_failure_and_a_further_try() {
    let rig = builder(&json!({})).lines([json!({"maxFails": 1}), json!({"maxFails": 1})]).start().await;
    for upstream in &rig.upstreams {
        upstream.set(Mode::Stale(Stale::AtNextRequest)).await;
    }
    assert_eq!([rig.get("/").await.status, rig.get("/").await.status], [200, 200]);
    // nginx: both cached connections are dead, each charges its server, and both are out (semantics, surprise 10).
    assert_eq!(rig.get("/").await.status, 502);
    let log = rig.access_log(3).await;
    assert!(log[2].upstream_status.starts_with("502, 502"), "{:?}", log[2]);
}

#[tokio::test]
async fn a_post_on_a_dead_connection_is_not_repeated() {
    let rig = builder(&json!({})).servers(2).start().await;
    for upstream in &rig.upstreams {
        upstream.set(Mode::Stale(Stale::AtNextRequest)).await;
        assert_eq!(rig.get("/").await.status, 200);
    }
    let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(rig.send(post).await.status, 502);
    assert_eq!(rig.access_log(3).await[2].upstream_status, "502");
}

#[tokio::test]
async fn the_idle_connections_of_a_removed_server_are_closed() {
    let rig = builder(&json!({})).servers(2).start().await;
    load(&rig, 4).await;
    rig.keep_servers(&[0]).await;
    rig.upstreams[1].wait_for("its idle connections to be closed", |record| record.open == 0).await;
    assert_eq!(rig.upstreams[0].record().open, 2, "those of the other stay");
    assert_eq!(rig.get("/").await.text(), "a");
}

#[tokio::test]
async fn an_unread_response_is_not_kept() {
    let rig = builder(&json!({})).start().await;
    let mut client: Client = rig.client().await;
    client.send("GET /bytes/50000000 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    client.some().await.expect("it begins");
    client.reset();
    rig.upstreams[0].wait_for("the abandoned connection to be closed", |record| record.open == 0).await;
    assert_eq!(rig.get("/").await.status, 200);
    assert_eq!(rig.upstreams[0].request(2).await.connection, 2);
}
