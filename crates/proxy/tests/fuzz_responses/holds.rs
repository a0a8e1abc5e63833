//! What must hold of every response: it is read the same however it is cut, and never as more than hyper's own client reads.

use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use proxy::upstream::http1::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

/// More than any header here.
const LIMIT: usize = 1 << 20;

/// The response that a client makes of some bytes and the end behind them.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub status: StatusCode,
    pub reason: Option<Vec<u8>>,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// Whether it is whole.
    pub complete: bool,
}

impl Seen {
    fn of<T>(response: &Response<T>) -> Self {
        Self {
            status: response.status(),
            reason: response.extensions().get::<ReasonPhrase>().map(|reason| reason.as_bytes().to_vec()),
            headers: response.headers().clone(),
            body: Vec::new(),
            trailers: None,
            complete: false,
        }
    }

    fn add(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => self.body.extend_from_slice(&data),
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
    }
}

/// Reads a response, cut at `cut` and byte by byte too, and compares what came of it with hyper.
pub fn holds(bytes: &[u8], cut: usize, to_head: bool) -> Option<Seen> {
    let whole = ours(&[bytes], to_head);
    let (front, back) = bytes.split_at(cut % (bytes.len() + 1));
    assert_eq!(ours(&[front, back], to_head), whole, "cut at {cut}: {}", bytes.escape_ascii());
    let singles: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(ours(&singles, to_head), whole, "byte by byte: {}", bytes.escape_ascii());
    let hypers = hypers(bytes, to_head);
    match &whole {
        // More is refused here: framing that nginx refuses, and an empty line before the status line.
        None => {}
        Some(seen) if seen.complete => assert_eq!(whole, hypers, "{}", bytes.escape_ascii()),
        // Where hyper is more lenient, in the lines behind a last chunk, this much was read alike.
        Some(seen) => {
            let is_alike = hypers.as_ref().is_none_or(|hypers| hypers.body.starts_with(&seen.body));
            assert!(is_alike, "{whole:?}, and {hypers:?}: {}", bytes.escape_ascii());
        }
    }
    whole
}

fn ours(pieces: &[&[u8]], to_head: bool) -> Option<Seen> {
    let mut incoming = Incoming::new(LIMIT);
    incoming.expect(to_head);
    let mut pieces = pieces.iter().copied().filter(|piece| !piece.is_empty());
    let mut piece: &[u8] = b"";
    // Returns whether there was more.
    let mut fill = |incoming: &mut Incoming| {
        if piece.is_empty() {
            piece = pieces.next().unwrap_or_default();
        }
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(read) = incoming.poll_fill(&mut cx, &mut piece) else { panic!("a slice is always ready") };
        read.unwrap() > 0
    };
    let response = loop {
        match incoming.head() {
            Ok(Some(response)) => break response,
            Ok(None) if fill(&mut incoming) => {}
            Ok(None) | Err(_) => return None,
        }
    };
    let mut seen = Seen::of(&response);
    seen.complete = loop {
        match incoming.body(usize::MAX) {
            Ok(Some(frame)) => seen.add(frame),
            Ok(None) if incoming.is_complete() => break true,
            Ok(None) if fill(&mut incoming) => {}
            Ok(None) => break incoming.closed().is_ok(),
            Err(_) => break false,
        }
    };
    Some(seen)
}

fn hypers(bytes: &[u8], to_head: bool) -> Option<Seen> {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().unwrap());
    let bytes = bytes.to_vec();
    RUNTIME.block_on(async move {
        let (client, mut server) = duplex(LIMIT);
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(256)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(client))
            .await
            .expect("a handshake of HTTP/1 does nothing");
        let connection = tokio::spawn(connection);
        let answering = tokio::spawn(async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                server.read_buf(&mut asked).await.unwrap();
            }
            // The client may have left in the middle.
            let _ = server.write_all(&bytes).await;
        });
        let method = if to_head { Method::HEAD } else { Method::GET };
        let request = Request::builder().method(method).uri("/").body(Empty::new()).unwrap();
        let mut seen = None;
        if let Ok(response) = sender.send_request(request).await {
            let mut response_seen = Seen::of(&response);
            let mut body = response.into_body();
            response_seen.complete = loop {
                match body.frame().await {
                    Some(Ok(frame)) => response_seen.add(frame),
                    Some(Err(_)) => break false,
                    None => break true,
                }
            };
            seen = Some(response_seen);
        }
        answering.await.unwrap();
        connection.abort();
        seen
    })
}
