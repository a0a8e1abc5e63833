//! Requests that two parsers could read differently. Whatever the answer, a server must never see a request that the proxy
//! did not count.

use testkit::{Client, Rig, client::End};

/// Sends `attack`, then an honest request on a new connection, and returns the targets that the server saw.
async fn targets_after(attack: &[u8]) -> (Option<u16>, Vec<String>) {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    let mut client = rig.client().await;
    let _ = client.try_send(attack).await;
    // A parser that waits for more is told that there is none.
    client.half_close().await;
    let status = client.try_response_to("GET").await.ok().map(|response| response.status);
    let honest = Client::get(rig.forebay.http(0), "/honest").await;
    assert_eq!((honest.status, honest.text().as_str()), (200, "a"), "the next client gets its own answer");
    let targets = rig.upstreams[0].requests().iter().map(|request| request.target().to_owned()).collect();
    (status, targets)
}

/// An attack that must be refused outright: nothing of it reaches the server.
async fn refused(attack: &str) {
    let (status, targets) = targets_after(attack.as_bytes()).await;
    assert_eq!(targets, ["/honest"], "{attack:?}");
    assert!(matches!(status, Some(400 | 501) | None), "{attack:?}: {status:?}");
}

/// A request, whole, that is answered with `status` and the end of its connection: no server sees it.
async fn refused_with(status: u16, attack: &str) {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    let mut client = rig.client().await;
    client.send(attack).await;
    assert_eq!(client.response().await.status, status, "{attack:?}");
    assert_eq!(client.end().await, End::Closed, "{attack:?}");
    assert_eq!(rig.get("/honest").await.status, 200);
    assert_eq!(rig.upstreams[0].requests().len(), 1, "{attack:?}");
}

/// RFC 9112 section 6.1: the coding wins, the length goes no further, and the connection is closed, so that whatever follows
/// is nobody's request (ledger `cl-and-te`).
#[tokio::test]
async fn both_lengths_end_the_connection() {
    for lengths in
        ["Content-Length: 6\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 6"]
    {
        let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
        let mut client = rig.client().await;
        let next = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";
        let body = "3\r\nyes\r\n0\r\n\r\n";
        client.send(format!("POST /both HTTP/1.1\r\nHost: t\r\n{lengths}\r\n\r\n{body}{next}")).await;
        assert_eq!(client.response().await.status, 200, "{lengths:?}");
        assert!(client.try_response_to("GET").await.is_err(), "{lengths:?}: the connection goes on");
        assert_eq!(rig.get("/honest").await.text(), "a");
        let requests = rig.upstreams[0].requests();
        let targets: Vec<_> = requests.iter().map(|request| request.target()).collect();
        assert_eq!(targets, ["/both", "/honest"], "{lengths:?}");
        let framing = ["transfer-encoding", "content-length"].map(|name| requests[0].header(name));
        assert_eq!(
            (framing, requests[0].body.content.as_slice()),
            ([Some("chunked"), None], &b"yes"[..]),
            "{lengths:?}"
        );
    }
}

#[tokio::test]
async fn differing_lengths_are_refused() {
    refused("POST /cl-cl HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!").await;
    refused("POST /list HTTP/1.1\r\nHost: t\r\nContent-Length: 5, 6\r\n\r\nhello!").await;
}

#[tokio::test]
async fn a_length_that_is_said_twice_is_sent_once() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    let request = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(rig.send(request).await.status, 200);
    let seen = rig.upstreams[0].request(1).await;
    assert_eq!((seen.head.headers.all("content-length"), seen.body.content.as_slice()), (vec!["5"], &b"hello"[..]));
}

#[tokio::test]
async fn lengths_that_are_no_numbers_are_refused() {
    for length in ["+5", "-1", "0x5", "5 5", "five", "", "99999999999999999999"] {
        refused(&format!("POST /cl HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\nhello")).await;
    }
}

#[tokio::test]
async fn unknown_codings_are_refused() {
    for coding in
        ["xchunked", "chunked, identity", "identity", "gzip, chunked, gzip", "chunked\r\nTransfer-Encoding: x"]
    {
        let attack = format!(
            "POST /te HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"
        );
        refused(&attack).await;
    }
}

/// What ends in `chunked` could be framed, but the body would still be coded and nobody would say so to the server.
#[tokio::test]
async fn chunked_is_the_only_coding_and_said_once() {
    for (status, coding) in [
        (501, "gzip, chunked"),
        (501, "chunked, chunked"),
        (501, "chunked,chunked"),
        (400, "chunked\r\nTransfer-Encoding: chunked"),
        (400, "gzip\r\nTransfer-Encoding: chunked"),
    ] {
        let head = format!("POST /te HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: {coding}\r\n\r\n");
        refused_with(status, &format!("{head}0\r\n\r\n")).await;
    }
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    let capitals = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked \r\n\r\n0\r\n\r\n";
    assert_eq!(rig.send(capitals).await.status, 200);
}

#[tokio::test]
async fn disguised_header_names_are_refused() {
    for line in ["Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding\t: chunked"] {
        let attack = format!("POST /d HTTP/1.1\r\nHost: t\r\n{line}\r\nContent-Length: 5\r\n\r\n0\r\n\r\n");
        refused(&attack).await;
    }
}

#[tokio::test]
async fn folded_lines_are_refused() {
    refused("POST /fold HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n").await;
    refused("GET /fold HTTP/1.1\r\nHost: t\r\nX-A: 1\r\n X-B: 2\r\n\r\n").await;
}

#[tokio::test]
async fn control_bytes_are_refused() {
    refused("GET /nul HTTP/1.1\r\nHost: t\r\nX-A: a\0b\r\n\r\n").await;
    refused("GET /n\0ul HTTP/1.1\r\nHost: t\r\n\r\n").await;
    refused("GET /cr HTTP/1.1\r\nHost: t\r\nX-A: a\rX-B: b\r\n\r\n").await;
}

/// Chunk framing that a lenient parser might accept. The header may already be on its way to the server, which then must be
/// told that the request is broken: it must not count as received.
#[tokio::test]
async fn broken_chunks_are_never_completed() {
    for chunks in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5;\n0\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    ] {
        let attack = format!("POST /chunks HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        refused(&attack).await;
    }
}

#[tokio::test]
async fn a_chunked_body_of_an_old_client_is_refused() {
    refused("POST /old HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
}

/// What follows a request is a request of its own and is counted, or is not passed on: never part of another's.
#[tokio::test]
async fn a_body_that_nobody_announced_is_the_next_request() {
    let attack = "GET /first HTTP/1.1\r\nHost: t\r\n\r\nGET /second HTTP/1.1\r\nHost: t\r\n\r\n";
    let (status, targets) = targets_after(attack.as_bytes()).await;
    assert_eq!(status, Some(200));
    assert_eq!(targets[0], "/first");
    assert!(targets.ends_with(&["/honest".to_owned()]));
}

#[tokio::test]
async fn a_cut_body_never_reaches_the_server_as_a_whole_one() {
    let (_, targets) = targets_after(b"POST /cut HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\nshort").await;
    assert_eq!(targets, ["/honest"]);
    let cut = b"POST /cut HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    assert_eq!(targets_after(cut).await.1, ["/honest"]);
}

#[tokio::test]
async fn hosts_that_are_not_hosts_are_refused() {
    for byte in " \"#/<>?@\\^`{|}".chars() {
        refused_with(400, &format!("GET /h HTTP/1.1\r\nHost: a{byte}b\r\n\r\n")).await;
    }
    let marks = "!$%&'()*+,-.;=_~";
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).start().await;
    assert_eq!(rig.send(format!("GET /h HTTP/1.1\r\nHost: a{marks}b\r\n\r\n")).await.status, 200, "as nginx has it");
}

/// The name in front of the colon is a user, and the host another's.
#[tokio::test]
async fn a_target_names_a_host_and_nobody_else() {
    for target in ["http://shop.example:x@evil.example/reset", "http://shop.example@evil.example/", "http://@a/"] {
        refused_with(400, &format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n")).await;
    }
}

/// No path, one that leads above the root, one with an escape that is none or stands for NUL: nginx's 400.
#[tokio::test]
async fn targets_that_are_no_paths_are_refused() {
    for target in ["foo", "foo:80", "*", "/..", "/../x", "/a/../../b", "/%2e%2e/x", "/%zz", "/a%2", "/%", "/a%00b"] {
        for method in ["GET", "OPTIONS"] {
            refused_with(400, &format!("{method} {target} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        }
    }
}
