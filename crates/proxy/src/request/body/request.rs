//! The client's body: streamed to the server, and kept so that another server can be sent the same bytes.
//!
//! nginx reads the whole body before it picks a server, spooling to disk. We stream, and keep at most
//! `requestBuffering.maxBytes` in memory: beyond that a request that was sent is not retried (ledger: `replay-cap`).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::alarm::{Alarm, Timeout};

/// What one attempt sends.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// Nothing.
    Empty,
    /// The client's body from its first byte.
    Replay {
        source: Arc<Source>,
        /// Which attempt this is: the body of an attempt given up must not eat the bytes of the next.
        attempt: u32,
        /// How many of the kept chunks were sent.
        sent: usize,
    },
}

/// A client's body, shared by the attempts of its request.
pub(crate) struct Source {
    state: Mutex<State>,
    /// Woken when the attempt in progress has taken the whole body.
    taken: Notify,
    length: SizeHint,
    max_bytes: u64,
    keep_bytes: u64,
}

struct State {
    incoming: Incoming,
    attempt: u32,
    kept: Vec<Bytes>,
    received: u64,
    /// Bytes given to the attempt in progress.
    given: u64,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// Some bytes were sent and not kept.
    lossy: bool,
    all_taken: bool,
    fault: Option<ClientFault>,
    /// Between two reads from the client; the server's connection polls it, which is not the client's task.
    timeout: Timeout,
}

/// What the client did wrong while it sent its body. No server is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientFault {
    /// More than `--client-max-body-size`: 413.
    #[error("client intended to send too large body")]
    TooLarge,
    /// Nothing came for `--client-body-timeout`: 408.
    #[error("client timed out")]
    TimedOut,
    /// It broke off or is not framed as announced: 400.
    #[error("client prematurely closed connection")]
    Broken,
    /// This attempt was given up; its body is no longer its own.
    #[error("the attempt was given up")]
    GivenUp,
}

impl Source {
    pub(crate) fn new(incoming: Incoming, timeout: Duration, max_bytes: u64, keep_bytes: u64) -> Arc<Self> {
        let length = incoming.size_hint();
        Arc::new(Self {
            state: Mutex::new(State {
                incoming,
                attempt: 0,
                kept: Vec::new(),
                received: 0,
                given: 0,
                trailers: None,
                ended: false,
                lossy: false,
                all_taken: false,
                fault: None,
                timeout: Timeout::new(Alarm::default(), timeout),
            }),
            taken: Notify::new(),
            length,
            max_bytes,
            keep_bytes,
        })
    }

    /// The body for the next attempt; bodies handed out before fail from now on.
    pub(crate) fn attempt(self: &Arc<Self>) -> RequestBody {
        let mut state = self.state.lock();
        state.attempt += 1;
        state.given = 0;
        state.all_taken = false;
        RequestBody::Replay { source: self.clone(), attempt: state.attempt, sent: 0 }
    }

    /// Whether it can be sent again from its first byte.
    pub(crate) fn is_replayable(&self) -> bool {
        !self.state.lock().lossy
    }

    /// What the client did wrong, if it did.
    pub(crate) fn fault(&self) -> Option<ClientFault> {
        self.state.lock().fault
    }

    /// Bytes received from the client.
    pub(crate) fn received(&self) -> u64 {
        self.state.lock().received
    }

    /// Returns once the attempt in progress has taken the whole body.
    pub(crate) async fn taken(&self) {
        loop {
            let notified = self.taken.notified();
            if self.state.lock().all_taken {
                return;
            }
            notified.await;
        }
    }

    fn poll_chunk(
        &self,
        cx: &mut Context<'_>,
        attempt: u32,
        sent: &mut usize,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientFault>>> {
        let mut state = self.state.lock();
        if state.attempt != attempt {
            return Poll::Ready(Some(Err(ClientFault::GivenUp)));
        }
        if let Some(fault) = state.fault {
            return Poll::Ready(Some(Err(fault)));
        }
        if let Some(chunk) = state.kept.get(*sent) {
            *sent += 1;
            let chunk = chunk.clone();
            return Poll::Ready(Some(Ok(self.give(&mut state, chunk))));
        }
        if !state.ended {
            match ready!(self.poll_client(&mut state, cx)) {
                Ok(Some(chunk)) => {
                    if state.lossy || state.received > self.keep_bytes {
                        state.lossy = true;
                        state.kept.clear();
                        *sent = 0;
                    } else {
                        state.kept.push(chunk.clone());
                        *sent += 1;
                    }
                    return Poll::Ready(Some(Ok(self.give(&mut state, chunk))));
                }
                Ok(None) => state.ended = true,
                Err(fault) => {
                    state.fault = Some(fault);
                    return Poll::Ready(Some(Err(fault)));
                }
            }
        }
        if state.all_taken {
            return Poll::Ready(None);
        }
        state.all_taken = true;
        self.taken.notify_waiters();
        Poll::Ready(state.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    /// Hands a chunk to the attempt in progress. Whoever sends a body of announced length stops asking after its last byte.
    fn give(&self, state: &mut State, chunk: Bytes) -> Frame<Bytes> {
        state.given += chunk.len() as u64;
        if self.length.exact() == Some(state.given) {
            state.all_taken = true;
            self.taken.notify_waiters();
        }
        Frame::data(chunk)
    }

    /// The next chunk from the client itself; `None` at its end.
    fn poll_client(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientFault>> {
        loop {
            match Pin::new(&mut state.incoming).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(ClientFault::Broken)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => {
                        state.timeout.restart();
                        state.received += chunk.len() as u64;
                        if self.max_bytes > 0 && state.received > self.max_bytes {
                            return Poll::Ready(Err(ClientFault::TooLarge));
                        }
                        return Poll::Ready(Ok(Some(chunk)));
                    }
                    Err(frame) => state.trailers = frame.into_trailers().ok(),
                },
                Poll::Pending => {
                    ready!(state.timeout.poll(cx));
                    return Poll::Ready(Err(ClientFault::TimedOut));
                }
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = ClientFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientFault>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Replay { source, attempt, sent } => source.poll_chunk(cx, *attempt, sent),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Replay { source, .. } => source.length,
        }
    }
}
