//! The body sent to the client: our own short page, or the server's, observed so that the attempt ends with its last byte.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::alarm::Timeout;
use crate::request::exchange::{Exchange, Relaying};
use crate::request::streams;
use crate::upstream::Fault;

/// What the client is sent after the header. The request is over, and logged, when it is dropped.
pub(crate) enum ResponseBody {
    /// A page of our own, or nothing.
    Own { page: Option<Bytes>, exchange: Box<Exchange> },
    /// A server's body.
    Relay(Box<Relay>),
    /// Nothing, for an exchange that goes on without this response (a tunnel).
    Detached,
}

/// A server's body on its way to the client.
pub(crate) struct Relay {
    /// Gone once the response is complete or broke off.
    relaying: Option<Relaying>,
    /// Why it broke off, when hyper has not been told yet.
    broken: Option<BrokenOff>,
    /// nginx `proxy_read_timeout`: between two reads of the body.
    read_timeout: Timeout,
}

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
    pub(crate) fn body(mut relaying: Relaying, read_timeout: Timeout) -> ResponseBody {
        if relaying.is_complete() {
            let exchange = relaying.complete();
            return ResponseBody::Own { page: None, exchange };
        }
        ResponseBody::Relay(Box::new(Self { relaying: Some(relaying), broken: None, read_timeout }))
    }

    fn complete(&mut self) {
        if let Some(mut relaying) = self.relaying.take() {
            drop(relaying.complete());
        }
    }

    /// hyper drops what it has not written yet when a body fails: it is given the time to write what came before.
    fn break_off(&mut self, cx: &Context<'_>, error: BrokenOff) {
        if let Some(relaying) = self.relaying.take() {
            relaying.break_off(&error);
        }
        self.broken = Some(error);
        cx.waker().wake_by_ref();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Some(relaying) = &mut self.relaying else { return Poll::Ready(self.broken.take().map(Err)) };
        match relaying.poll(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.read_timeout.restart();
                if let Some(chunk) = frame.data_ref() {
                    relaying.relayed(chunk.len() as u64);
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
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        streams::asked(match self.get_mut() {
            Self::Own { page, exchange } => Poll::Ready(page.take().map(|page| {
                exchange.record.body_bytes_sent += page.len() as u64;
                Ok(Frame::data(page))
            })),
            Self::Relay(relay) => relay.poll(cx),
            Self::Detached => Poll::Ready(None),
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { page, .. } => page.is_none(),
            Self::Relay(relay) => relay.relaying.is_none() && relay.broken.is_none(),
            Self::Detached => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { page, .. } => SizeHint::with_exact(page.as_ref().map_or(0, |page| page.len() as u64)),
            Self::Relay(relay) => relay.relaying.as_ref().map_or(SizeHint::with_exact(0), Relaying::size_hint),
            Self::Detached => SizeHint::with_exact(0),
        }
    }
}
