//! Upgraded connections: WebSocket with a real library, raw tunnels, their idle timeout and what never touches them.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use serde_json::json;
use testkit::{Client, Mode, Rig, client::End};
use tokio_tungstenite::tungstenite::{self, Message};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

async fn tunnel(rig: &Rig) -> Client {
    rig.upstreams[0].set(Mode::Upgrade).await;
    let mut client = rig.client().await;
    client.send(UPGRADE).await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("upgrade")), (101, Some("echo")));
    assert!(response.head.headers.has_token("connection", "upgrade"));
    client
}

async fn round_trip(client: &mut Client, text: &str) {
    client.send(text).await;
    assert_eq!(client.bytes(text.len()).await, text.as_bytes());
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    let mut client = tunnel(&rig).await;
    round_trip(&mut client, "one").await;
    round_trip(&mut client, "two").await;
    let request = rig.upstreams[0].request(1).await;
    assert_eq!((request.header("connection"), request.header("upgrade")), (Some("upgrade"), Some("echo")));
    client.half_close().await;
    assert_eq!(client.end().await, End::Closed);
    let log = rig.access_log(1).await;
    assert_eq!((log[0].status.as_str(), log[0].upstream_status.as_str()), ("101", "101"));
    rig.upstreams[0].wait_for("the tunnel to be closed on the other side too", |record| record.open == 0).await;
}

#[tokio::test]
async fn bytes_sent_with_the_request_are_the_tunnels() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    rig.upstreams[0].set(Mode::Upgrade).await;
    let mut client = rig.client().await;
    client.send(format!("{UPGRADE}early")).await;
    assert_eq!(client.response().await.status, 101);
    assert_eq!(client.bytes(5).await, b"early");
}

#[tokio::test]
async fn a_server_may_decline() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    let mut client = rig.client().await;
    client.send(UPGRADE).await;
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (200, "a"));
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200, "and HTTP goes on");
}

/// A tunnel to HTTP/2 would carry requests that nobody routes, counts or cleans. RFC 9113 section 3.1 has given it up.
#[tokio::test]
async fn http2_is_not_tunnelled() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    let connection = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk";
    for upgrade in ["h2c", "H2C", "websocket, h2c", "echo\r\nUpgrade: h2c"] {
        let mut client = rig.client().await;
        client.send(format!("GET /echo HTTP/1.1\r\nHost: t\r\n{connection}\r\nUpgrade: {upgrade}\r\n\r\n")).await;
        let response = client.response().await;
        assert_eq!(response.status, 200, "{upgrade}");
        let seen = response.text().to_lowercase();
        assert!(!seen.contains("\"upgrade") && !seen.contains("http2-settings"), "{upgrade}: {seen}");
    }
    let settings = rig.send("GET /echo HTTP/1.1\r\nHost: t\r\nHTTP2-Settings: AAMAAABk\r\n\r\n").await;
    assert!(!settings.text().to_lowercase().contains("http2-settings"), "not without an upgrade either");
}

#[tokio::test]
async fn a_tunnel_that_nobody_asked_for_is_not_opened() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    rig.upstreams[0].set(Mode::Upgrade).await;
    assert_eq!(rig.get("/").await.status, 502);
}

#[tokio::test]
async fn a_request_that_is_not_whole_opens_no_tunnel() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    rig.upstreams[0].set(Mode::HastyUpgrade).await;
    let mut client = rig.client().await;
    let head = UPGRADE.trim_end();
    client.send(format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")).await;
    assert_eq!(client.response().await.status, 502);
    rig.upstreams[0].wait_for("the server's side to be closed", |record| record.open == 0).await;
}

#[tokio::test]
async fn a_tunnel_is_a_request_in_progress() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).lines([json!({"maxConns": 1})]).start().await;
    let client = tunnel(&rig).await;
    assert_eq!(rig.get("/").await.status, 502, "the only server is full");
    drop(client);
    rig.upstreams[0].wait_for("the tunnel to end", |record| record.open == 0).await;
    rig.upstreams[0].set(Mode::Ok).await;
    rig.access_log(2).await;
    assert_eq!(rig.get("/").await.status, 200);
}

#[tokio::test]
async fn a_tunnel_has_an_idle_timeout_of_its_own() {
    let spec = json!({"timeouts": {"read": "100ms", "tunnel": "1h"}});
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).spec(spec).start().await;
    let mut patient = tunnel(&rig).await;
    // Not a wait for something: three read timeouts without a byte are the case.
    tokio::time::sleep(Duration::from_millis(300)).await;
    round_trip(&mut patient, "still here after three read timeouts").await;

    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).spec(json!({"timeouts": {"tunnel": "100ms"}})).start().await;
    let mut idle = tunnel(&rig).await;
    assert_eq!(idle.end().await, End::Closed);
    rig.upstreams[0].wait_for("both sides to be closed", |record| record.open == 0).await;
}

#[tokio::test]
async fn a_configuration_change_never_touches_a_tunnel() {
    let mut rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(2).start().await;
    let mut client = tunnel(&rig).await;
    round_trip(&mut client, "before").await;
    rig.reconfigure(json!({"method": {"type": "LeastConn"}, "timeouts": {"read": "1s"}})).await;
    round_trip(&mut client, "after a change").await;
    rig.keep_servers(&[1]).await;
    round_trip(&mut client, "after its server was removed").await;
    assert_eq!(rig.get("/").await.text(), "b");
}

/// A WebSocket server that sends back what it gets, on threads of its own: the library's blocking interface needs no more.
fn websocket_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept(stream) else { return };
                while let Ok(message) = socket.read() {
                    if message.is_close() || socket.send(message).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn websocket_client(address: SocketAddr) {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(testkit::PATIENCE)).expect("a timeout can be set");
    let (mut socket, response) = tungstenite::client("ws://chat.example/room", stream).expect("a handshake");
    assert_eq!(response.status(), 101);
    for message in [Message::text("hello"), Message::binary(vec![7_u8; 300_000]), Message::text("bye")] {
        socket.send(message.clone()).expect("it is sent");
        assert_eq!(socket.read().expect("the echo"), message);
    }
    socket.close(None).expect("an orderly close");
}

#[tokio::test]
async fn websocket_works_end_to_end() {
    let documents = testkit::rig::Documents::new();
    documents.write(
        "group.yaml",
        &[json!({
            "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup",
            "metadata": {"name": "chat", "namespace": "default"},
            "spec": {"servers": [{"name": "chat", "address": websocket_server().to_string()}]},
        })],
    );
    let binary = env!("CARGO_BIN_EXE_forebay");
    let forebay = testkit::Forebay::run(binary, documents.path()).bind("default/chat").start().await;
    let address = forebay.http(0);
    tokio::task::spawn_blocking(move || websocket_client(address)).await.expect("it works");
}
