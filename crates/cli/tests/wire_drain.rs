//! Leaving: SIGTERM makes the process unready, lets it finish what is in flight, and loses nothing.

use serde_json::json;
use testkit::{Client, Mode, Rig, client::End, rig::Builder};

fn builder() -> Builder {
    Rig::of(env!("CARGO_BIN_EXE_forebay"))
}

#[tokio::test]
async fn an_idle_process_leaves_at_once() {
    let mut rig = builder().start().await;
    let mut idle = rig.client().await;
    idle.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(idle.response().await.status, 200);
    rig.forebay.signal("TERM").await;
    assert_eq!(idle.end().await, End::Closed);
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
    rig.upstreams[0].wait_for("its idle connections to be closed", |record| record.open == 0).await;
}

#[tokio::test]
async fn requests_in_flight_are_finished() {
    let mut rig = builder().start().await;
    rig.upstreams[0].set(Mode::Hold).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    rig.upstreams[0].gate().held_count(1).await;
    rig.forebay.signal("TERM").await;
    let address = rig.forebay.http(0);
    testkit::patiently("the listener to close", async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    rig.upstreams[0].gate().release_all();
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (200, "a"));
    assert_eq!(client.end().await, End::Closed);
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
    assert_eq!(rig.access_log(1).await[0].status, "200", "logged before it left");
}

#[tokio::test]
async fn while_the_news_spreads_it_serves_and_says_so() {
    let mut rig = builder().args(["--drain-delay", "1h"]).start().await;
    assert_eq!(rig.forebay.admin_get("/readyz").await.status, 200);
    rig.forebay.signal("TERM").await;
    let mut poll = tokio::time::interval(std::time::Duration::from_millis(10));
    testkit::patiently("readiness to end", async {
        while rig.forebay.admin_get("/readyz").await.status == 200 {
            poll.tick().await;
        }
    })
    .await;
    assert_eq!(rig.forebay.admin_get("/healthz").await.status, 200, "leaving is not being ill");
    for _ in 0..3 {
        assert_eq!(rig.get("/").await.status, 200, "new connections are still served");
    }
    assert!(rig.forebay.hurried().await.success(), "a second signal does not wait");
}

/// As with nginx, which closes only connections of which it has read nothing since.
#[tokio::test]
async fn a_request_that_has_begun_is_answered() {
    let mut rig = builder().args(["--drain-timeout", "1h"]).start().await;
    let (mut kept, mut fresh, mut idle) = (rig.client().await, rig.client().await, rig.client().await);
    for client in [&mut kept, &mut idle] {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    }
    for client in [&mut kept, &mut fresh] {
        client.send("GET / HTTP/1.1\r\nHos").await;
    }
    rig.forebay.signal("TERM").await;
    assert_eq!(idle.end().await, End::Closed);
    for client in [&mut kept, &mut fresh] {
        client.send("t: t\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        assert_eq!(client.end().await, End::Closed);
    }
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_timeout() {
    let mut rig = builder().args(["--drain-timeout", "200ms"]).start().await;
    rig.upstreams[0].set(Mode::Hang).await;
    let mut stuck = rig.client().await;
    stuck.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    rig.upstreams[0].request(1).await;
    rig.forebay.signal("TERM").await;
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
    assert!(stuck.try_response_to("GET").await.is_err());
    let line = &rig.access_log(1).await[0];
    assert_eq!(line.status, "503", "the client did not leave");
    let log = rig.forebay.log().join("\n");
    assert!(log.contains("[warn] ") && log.contains("1 request(s) are cut: the drain timeout is over"), "{log}");
}

#[tokio::test]
async fn one_order_may_be_two_signals() {
    let mut rig = builder().args(["--drain-timeout", "1h"]).start().await;
    rig.upstreams[0].set(Mode::Hold).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    rig.upstreams[0].gate().held_count(1).await;
    // As `timeout` of GNU does.
    rig.forebay.signal_twice("TERM").await;
    rig.forebay.logged("leaving: ").await;
    rig.upstreams[0].gate().release_all();
    assert_eq!(client.response().await.status, 200);
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
}

/// It asks nginx to start its next binary.
#[tokio::test]
async fn sigusr2_ends_nothing() {
    let rig = builder().start().await;
    rig.forebay.signal("USR2").await;
    rig.forebay.logged("SIGUSR2 does nothing").await;
    assert_eq!(rig.get("/").await.status, 200);
}

#[tokio::test]
async fn a_tunnel_lives_until_the_timeout() {
    let mut rig = builder().args(["--drain-timeout", "1h"]).start().await;
    rig.upstreams[0].set(Mode::Upgrade).await;
    let mut tunnel = rig.client().await;
    tunnel.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    assert_eq!(tunnel.response().await.status, 101);
    rig.forebay.signal("TERM").await;
    let address = rig.forebay.http(0);
    testkit::patiently("the listener to close", async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    tunnel.send("still here").await;
    assert_eq!(tunnel.bytes(10).await, b"still here");
    tunnel.half_close().await;
    assert_eq!(tunnel.end().await, End::Closed);
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
}

#[tokio::test]
async fn what_moved_through_a_tunnel_that_is_cut_is_logged() {
    let mut rig = builder().args(["--drain-timeout", "100ms"]).start().await;
    rig.upstreams[0].set(Mode::Upgrade).await;
    let mut tunnel = rig.client().await;
    tunnel.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    assert_eq!(tunnel.response().await.status, 101);
    tunnel.send("still here").await;
    assert_eq!(tunnel.bytes(10).await, b"still here");
    rig.forebay.signal("TERM").await;
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
    let line = &rig.access_log(1).await[0];
    assert_eq!((line.status.as_str(), line.body_bytes_sent.as_str()), ("101", "10"));
}

#[tokio::test]
async fn a_connection_accepted_and_silent_does_not_delay_leaving() {
    let mut rig = builder().args(["--drain-timeout", "1h"]).spec(json!({})).start().await;
    let mut silent: Client = rig.client().await;
    assert_eq!(rig.get("/").await.status, 200);
    rig.forebay.signal("TERM").await;
    assert_eq!(silent.end().await, End::Closed);
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
}

/// The kernel accepts connections for the process, which are no less connections.
#[tokio::test]
async fn who_waits_in_the_queue_is_served() {
    let mut rig = builder().start().await;
    rig.forebay.signal("STOP").await;
    let mut waiting = Vec::new();
    for _ in 0..300 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        waiting.push(client);
    }
    rig.forebay.signal("TERM").await;
    rig.forebay.signal("CONT").await;
    for client in &mut waiting {
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
}
