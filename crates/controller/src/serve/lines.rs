//! The lines to one subscriber as a response's body. hyper asks for the next when it has sent the last, so what is waiting is
//! at most a line or two, and a long one is the very bytes that everybody is sent. Short ones are copied into one piece as long
//! as a frame of HTTP/2: a frame, a record of TLS and a system call for each of a thousand lines would cost more than the lines.
//!
//! [`Stream`] is what the body and the task beside it share: the machine of the feed, and whether the body waits.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use config::{Millis, ResourceKey};
use feed::{Received, Standing, Subscriber, Violation};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Server;

/// What one piece has at most, unless a single line is longer: a frame of HTTP/2, which is a record of TLS.
const PIECE: usize = 16 << 10;

/// A longer line is a piece of its own, not copied.
const LONG: usize = PIECE / 2;

/// Refused resources that are named in the list of subscribers.
const NAMED: usize = feed::limits::PROBLEMS_KEPT;

/// A subscriber's stream.
#[derive(Debug)]
pub(super) struct Stream {
    server: Arc<Server>,
    state: Mutex<State>,
    /// Cancelled when the response is over.
    pub closed: CancellationToken,
    /// The body began to wait, so that [`Stream::deadline`] is another.
    pub waits: Notify,
}

/// The body.
#[derive(Debug)]
pub(super) struct Lines(pub Arc<Stream>);

#[derive(Debug)]
struct State {
    subscriber: Subscriber,
    asking: Asking,
    sent: Sent,
    /// The number of the last publication that was handed over whole; `None` before the first.
    told: Option<u64>,
    /// A line that did not fit into the last piece.
    kept: Option<Bytes>,
    refused: Vec<ResourceKey>,
}

/// Whether hyper waits for a line.
#[derive(Debug)]
enum Asking {
    /// It has everything.
    Yes(Waker),
    /// It was given a line, or woken to take one, at this moment, and has not asked since.
    No(Millis),
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub lines: u64,
    pub bytes: u64,
}

impl Stream {
    pub fn new(server: Arc<Server>, subscriber: Subscriber) -> Arc<Self> {
        let asking = Asking::No(server.clock.now());
        let state = State { subscriber, asking, sent: Sent::default(), told: None, kept: None, refused: Vec::new() };
        Arc::new(Self { server, state: Mutex::new(state), closed: CancellationToken::new(), waits: Notify::new() })
    }

    /// Looks at the machine.
    pub fn look<R>(&self, look: impl FnOnce(&Subscriber, Sent, &[ResourceKey]) -> R) -> R {
        let state = self.state.lock();
        look(&state.subscriber, state.sent, &state.refused)
    }

    /// Takes what arrived. The answer may be a line, hence the body is woken.
    pub fn receive(&self, bytes: &[u8]) -> Result<Vec<Received>, Violation> {
        let mut state = self.state.lock();
        let State { subscriber, refused, .. } = &mut *state;
        let received = subscriber.receive(bytes, self.server.clock.now());
        for one in received.iter().flatten() {
            match one {
                Received::Introduced => {}
                Received::Acked { .. } => {
                    refused.retain(|key| matches!(subscriber.standing(key), Standing::Refused { .. }));
                }
                Received::Refused { key, .. } => {
                    if refused.len() < NAMED && !refused.contains(key) {
                        refused.push(key.clone());
                    }
                }
            }
        }
        drop(state);
        self.nudge();
        received
    }

    /// Says goodbye with the next line.
    pub fn leave(&self, reason: &str, within: Millis) {
        self.state.lock().subscriber.leave(reason, within);
        self.nudge();
    }

    /// There may be something to say.
    pub fn nudge(&self) {
        let mut state = self.state.lock();
        if matches!(state.asking, Asking::Yes(_)) {
            let now = Asking::No(self.server.clock.now());
            if let Asking::Yes(waker) = std::mem::replace(&mut state.asking, now) {
                drop(state);
                waker.wake();
            }
        }
    }

    /// When to look again: for a sign of life if the body waits; else for a subscriber that does not read.
    pub fn deadline(&self) -> Option<Millis> {
        let state = self.state.lock();
        match &state.asking {
            Asking::Yes(_) => state.subscriber.deadline(),
            Asking::No(since) => Some(self.stalled_at(*since)),
        }
    }

    /// Whether a line was left untaken for too long.
    pub fn is_stalled(&self, now: Millis) -> bool {
        matches!(self.state.lock().asking, Asking::No(since) if self.stalled_at(since) <= now)
    }

    fn stalled_at(&self, since: Millis) -> Millis {
        self.server.bounds.stalled.after(since)
    }
}

impl State {
    /// The next lines, as many as make a piece.
    fn piece(&mut self, server: &Server, now: Millis) -> Option<Bytes> {
        server.hub.read(|published| {
            let first = self.kept.take().or_else(|| self.subscriber.poll(published, now))?;
            self.sent.count(server, &first);
            if first.len() > LONG {
                return Some(first);
            }
            let Some(next) = self.subscriber.poll(published, now) else { return Some(first) };
            let mut piece = Vec::with_capacity(PIECE);
            piece.extend_from_slice(&first);
            let mut next = Some(next);
            while let Some(line) = next {
                if piece.len() + line.len() > PIECE {
                    self.kept = Some(line);
                    break;
                }
                self.sent.count(server, &line);
                piece.extend_from_slice(&line);
                next = self.subscriber.poll(published, now);
            }
            Some(piece.into())
        })
    }
}

impl Sent {
    fn count(&mut self, server: &Server, line: &Bytes) {
        self.lines += 1;
        self.bytes += line.len() as u64;
        server.counters.sent(line.len());
    }
}

impl Lines {
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Stream { server, state, .. } = &*self.0;
        let now = server.clock.now();
        let state = &mut *state.lock();
        let latest = server.hub.latest();
        match state.piece(server, now) {
            Some(piece) => {
                state.asking = Asking::No(now);
                Poll::Ready(Some(piece))
            }
            None if state.subscriber.is_gone() => Poll::Ready(None),
            None => {
                // It took everything up to there at least. What was published before it came is nobody's delay.
                if state.subscriber.instance().is_some() {
                    let before = state.told.replace(latest.0);
                    if before.is_some_and(|before| before < latest.0) {
                        server.delivery.observe(latest.1.elapsed().as_secs_f64());
                    }
                }
                state.asking = Asking::Yes(cx.waker().clone());
                self.0.waits.notify_one();
                Poll::Pending
            }
        }
    }

    /// Whether the last line was taken.
    pub fn is_over(&self) -> bool {
        let state = self.0.state.lock();
        state.subscriber.is_gone() && state.kept.is_none()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.0.closed.cancel();
    }
}
