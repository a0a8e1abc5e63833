//! The client's body: streamed to the server, and kept so that another server can be sent the same bytes.
//!
//! nginx reads the whole body before it picks a server, spooling to disk. We keep at most `requestBuffering.maxBytes` in memory:
//! a body that is announced to be no longer is read first, too. Any other streams, and once more than that was sent it is not
//! retried (ledger: `replay-cap`).

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use config::RequestHeaders;
use http::header::{self, HeaderMap, HeaderName};
use http_body::{Body, Frame};
use hyper::body::Incoming;

use crate::alarm::Timeout;
use crate::request::upstream_head;

/// What is kept of a body is kept in pieces of at least so many bytes.
const PIECE: usize = 2 << 10;

/// A client's body, from which each attempt of its request is given the whole.
pub(crate) struct Source {
    incoming: Incoming,
    /// Between two reads from the client.
    timeout: Timeout,
    max_bytes: u64,
    keep_bytes: u64,
    /// What is kept, in pieces of some size.
    kept: Vec<Bytes>,
    /// What comes in smaller ones, until it is such a piece: each piece costs memory of its own, and holds on to what it was read
    /// into.
    crumbs: BytesMut,
    /// How many of the kept chunks the attempt in progress was given.
    given: usize,
    received: u64,
    /// Those that the header announces: no others are passed on.
    announced: Vec<HeaderName>,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// Some bytes were sent and not kept.
    lossy: bool,
}

/// What the client did wrong while it sent its body. No server is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientFault {
    /// More than `--client-max-body-size`: 413.
    #[error("client intended to send too large body")]
    TooLarge,
    /// Nothing came for `--client-body-timeout`: 408.
    #[error("client timed out")]
    TimedOut,
    /// It broke off or is not framed as announced: 400.
    #[error("client prematurely closed connection")]
    Broken,
}

impl Source {
    /// The body behind `headers` of a request to a group with these `changes` to them, of at most `max_bytes` (0: any number), of which `keep_bytes` are kept for further attempts.
    pub(crate) fn new(
        headers: &HeaderMap,
        changes: &RequestHeaders,
        incoming: Incoming,
        timeout: Timeout,
        max_bytes: u64,
        keep_bytes: u64,
    ) -> Box<Self> {
        Box::new(Self {
            incoming,
            timeout,
            max_bytes,
            keep_bytes,
            kept: Vec::new(),
            crumbs: BytesMut::new(),
            given: 0,
            received: 0,
            announced: announced(headers, changes),
            trailers: None,
            ended: false,
            lossy: false,
        })
    }

    /// Reads all of it, if it is announced to be short enough to be kept: whoever sends slowly makes no server wait.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        let whole = self.incoming.size_hint().exact().map(|rest| self.received + rest);
        if whole.is_none_or(|whole| whole > self.keep_bytes) {
            return Poll::Ready(Ok(()));
        }
        while !self.ended {
            match ready!(self.poll_client(cx))? {
                Some(chunk) => self.keep(&chunk),
                None => self.ended = true,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The next attempt is given it from its first byte; only if it [is replayable](Self::is_replayable).
    pub(crate) fn rewind(&mut self) {
        self.sweep();
        self.given = 0;
    }

    /// What is still to come from the client.
    pub(crate) fn into_incoming(self) -> Incoming {
        self.incoming
    }

    /// Whether it can be sent again from its first byte.
    pub(crate) fn is_replayable(&self) -> bool {
        !self.lossy
    }

    /// Whether it was received to its end.
    pub(crate) fn is_received(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }

    /// Bytes received from the client.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    fn keep(&mut self, chunk: &Bytes) {
        if self.lossy || self.received > self.keep_bytes {
            self.lossy = true;
            self.kept.clear();
            self.crumbs = BytesMut::new();
        } else if chunk.len() < PIECE {
            self.crumbs.extend_from_slice(chunk);
            if self.crumbs.len() >= PIECE {
                self.sweep();
            }
        } else {
            self.sweep();
            self.kept.push(chunk.clone());
        }
        self.given = self.kept.len();
    }

    /// Makes a piece of what is smaller.
    fn sweep(&mut self) {
        if !self.crumbs.is_empty() {
            self.kept.push(self.crumbs.split().freeze());
        }
    }

    fn those_announced(&self, mut trailers: HeaderMap) -> HeaderMap {
        let others: Vec<_> = trailers.keys().filter(|name| !self.announced.contains(name)).cloned().collect();
        for name in others {
            trailers.remove(name);
        }
        trailers
    }

    /// The next chunk from the client itself; `None` at its end.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientFault>> {
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(ClientFault::Broken)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => {
                        self.timeout.restart();
                        self.received += chunk.len() as u64;
                        if self.max_bytes > 0 && self.received > self.max_bytes {
                            return Poll::Ready(Err(ClientFault::TooLarge));
                        }
                        return Poll::Ready(Ok(Some(chunk)));
                    }
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok().map(|trailers| self.those_announced(trailers));
                    }
                },
                Poll::Pending => {
                    ready!(self.timeout.poll(cx));
                    return Poll::Ready(Err(ClientFault::TimedOut));
                }
            }
        }
    }
}

/// The next part for the attempt in progress; not to be asked after a fault.
impl Body for Source {
    type Data = Bytes;
    type Error = ClientFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientFault>>> {
        let this = self.get_mut();
        if let Some(chunk) = this.kept.get(this.given) {
            this.given += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        if !this.ended {
            match ready!(this.poll_client(cx)) {
                Ok(Some(chunk)) => {
                    this.keep(&chunk);
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                Ok(None) => this.ended = true,
                Err(fault) => return Poll::Ready(Some(Err(fault))),
            }
        }
        Poll::Ready(this.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

/// The trailers that a header announces and that may be some: none that says how to read, route or authorise a message
/// (RFC 9110 section 6.5.1), and none that as a header would not be sent to the group's servers.
fn announced(headers: &HeaderMap, changes: &RequestHeaders) -> Vec<HeaderName> {
    let lines = headers.get_all(header::TRAILER).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    names
        .filter(|name| {
            !matches!(
                *name,
                header::AUTHORIZATION
                    | header::CACHE_CONTROL
                    | header::CONTENT_ENCODING
                    | header::CONTENT_RANGE
                    | header::CONTENT_TYPE
                    | header::MAX_FORWARDS
                    | header::SET_COOKIE
                    | header::TRAILER
            ) && upstream_head::passes_as_trailer(name, changes)
        })
        .collect()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("received", &self.received).finish_non_exhaustive()
    }
}
