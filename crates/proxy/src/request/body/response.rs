//! The body sent to the client: our own short page, or the server's, observed so that the attempt ends with its last byte.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};

use crate::alarm::Timeout;
use crate::request::exchange::{Exchange, Relaying};
use crate::request::headers;
use crate::request::streams;
use crate::request::tunnel::Tunnel;
use crate::upstream::Fault;

/// What the client is sent after the header. Once hyper has been given it to its end, the request is [answered](Exchange::answered);
/// when it is dropped before, it is over.
pub(crate) enum ResponseBody {
    /// A page of our own, or nothing.
    Own(Own),
    /// A server's body.
    Relay(Box<Relay>),
    /// Nothing: the connection leaves HTTP, and goes on as this once somebody has [taken](Self::tunnel) it.
    Tunnel(Option<Box<Tunnel>>),
}

/// A page of our own on its way to the client, or no body at all.
pub(crate) struct Own {
    page: Option<Bytes>,
    /// Present until dropped.
    exchange: Option<Box<Exchange>>,
}

/// A server's body on its way to the client.
pub(crate) struct Relay {
    state: State,
    /// nginx `proxy_read_timeout`: between two reads of the body.
    read_timeout: Timeout,
    /// Bytes that are handed over at a time.
    most: usize,
}

enum State {
    Streaming(Relaying),
    /// It broke off, which hyper is not told before the client has what came until then: it drops what it has not written.
    Broken(Box<Exchange>, BrokenOff),
    Done,
}

/// Bytes that HTTP/2 is given at a time: a stream whose client takes nothing holds two of them beside its buffer.
const HTTP2_PIECE: usize = 16 << 10;

/// Why a response broke off: the client's connection is closed, as its framing cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenOff {
    /// The server closed or reset the connection, or broke the framing.
    #[error("upstream response broke off: {0}")]
    Upstream(#[from] Fault),
    /// Nothing came for `timeouts.read`.
    #[error("upstream timed out while reading its response")]
    TimedOut,
}

impl Relay {
    /// The body of a response whose header is passed on; the attempt ends here and now if there is none.
    pub(crate) fn body(mut relaying: Relaying, version: Version, read_timeout: Timeout) -> ResponseBody {
        if relaying.is_complete() {
            let exchange = relaying.complete();
            return ResponseBody::own(None, exchange);
        }
        let most = if version == Version::HTTP_2 { HTTP2_PIECE } else { usize::MAX };
        ResponseBody::Relay(Box::new(Self { state: State::Streaming(relaying), read_timeout, most }))
    }

    fn complete(&mut self) {
        if let State::Streaming(mut relaying) = mem::replace(&mut self.state, State::Done) {
            relaying.complete().answered();
        }
    }

    fn break_off(&mut self, cx: &Context<'_>, error: BrokenOff) {
        if let State::Streaming(relaying) = mem::replace(&mut self.state, State::Done)
            && let Some(exchange) = relaying.break_off(&error)
        {
            self.state = State::Broken(exchange, error);
        }
        // What came before is written first.
        cx.waker().wake_by_ref();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let State::Streaming(relaying) = &mut self.state else { return self.poll_end() };
        // hyper would keep several hundred KiB of it.
        if relaying.is_held_up() {
            relaying.poll_request(cx);
            return Poll::Pending;
        }
        match relaying.poll(cx, self.most) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.read_timeout.restart();
                if let Some(chunk) = frame.data_ref() {
                    relaying.relayed(chunk.len() as u64);
                }
                if let Some(trailers) = frame.trailers_mut() {
                    headers::trailers_for_client(trailers);
                }
                if relaying.is_complete() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(fault))) => {
                self.break_off(cx, fault.into());
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.read_timeout.poll(cx));
                self.break_off(cx, BrokenOff::TimedOut);
                Poll::Pending
            }
        }
    }

    fn poll_end(&mut self) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match mem::replace(&mut self.state, State::Done) {
            State::Broken(exchange, error) if exchange.is_held_up() => {
                self.state = State::Broken(exchange, error);
                Poll::Pending
            }
            State::Broken(_, error) => Poll::Ready(Some(Err(error))),
            State::Streaming(_) | State::Done => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Streaming(relaying) => relaying.size_hint(),
            State::Broken(..) | State::Done => SizeHint::with_exact(0),
        }
    }
}

impl Own {
    fn take(&mut self) -> Option<Bytes> {
        let page = self.page.take()?;
        if let Some(exchange) = &mut self.exchange {
            exchange.record.body_bytes_sent += page.len() as u64;
        }
        Some(page)
    }
}

/// hyper drops a body when it was given all of it, or when nobody is left to give it to.
impl Drop for Own {
    fn drop(&mut self) {
        match (self.exchange.take(), &self.page) {
            (Some(exchange), None) => exchange.answered(),
            (Some(exchange), Some(_)) => exchange.unsent(),
            (None, _) => {}
        }
    }
}

impl ResponseBody {
    /// A page of our own, or nothing, at the end of this request.
    pub(crate) fn own(page: Option<Bytes>, exchange: Box<Exchange>) -> Self {
        Self::Own(Own { page, exchange: Some(exchange) })
    }

    /// What the connection goes on as, if it leaves HTTP.
    pub(crate) fn tunnel(&mut self) -> Option<Box<Tunnel>> {
        match self {
            Self::Tunnel(tunnel) => tunnel.take(),
            Self::Own(_) | Self::Relay(_) => None,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        streams::asked(match self.get_mut() {
            Self::Own(own) => Poll::Ready(own.take().map(|page| Ok(Frame::data(page)))),
            Self::Relay(relay) => relay.poll(cx),
            Self::Tunnel(_) => Poll::Ready(None),
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(own) => own.page.is_none(),
            Self::Relay(relay) => matches!(relay.state, State::Done),
            Self::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(own) => SizeHint::with_exact(own.page.as_ref().map_or(0, |page| page.len() as u64)),
            Self::Relay(relay) => relay.size_hint(),
            Self::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}
