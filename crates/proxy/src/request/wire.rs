//! What the requests of a client's connection and its stream below hyper tell each other.
//!
//! hyper takes a response from us sooner than the client takes it from hyper, and has no word for either: that it holds
//! something back, that the client has it all, that a further request has begun. Below hyper all of that is seen. The requests
//! of HTTP/2, whose streams share one connection, have no part in it; of theirs it is only known how much was written.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::request::exchange::Exchange;

/// Of one connection. It is shared by what one task does, so no order of memory matters.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// Requests that are not over; more than one only of a client that asks ahead.
    open: AtomicU64,
    /// Whether the last request has a body that was not read to its end.
    owes_body: AtomicBool,
    /// Whether bytes came while none was open.
    has_begun: AtomicBool,
    /// Whether the client has not yet taken all that was written.
    is_held_up: AtomicBool,
    /// Whether the client took nothing for `send_timeout`.
    has_timed_out: AtomicBool,
    /// Bytes written, of HTTP/1 since the header of the last request came.
    written: AtomicU64,
    unsent: Mutex<Unsent>,
}

/// Requests whose answers hyper was given to their ends, and may still hold.
enum Unsent {
    Wait(SmallVec<[Box<Exchange>; 1]>),
    /// The stream is gone: what is not sent never will be.
    Gone,
}

impl Wire {
    /// A request begins whose header was read.
    pub(super) fn begins(&self) {
        self.open.store(self.open.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.has_begun.store(false, Ordering::Relaxed);
        self.written.store(0, Ordering::Relaxed);
    }

    /// It is over.
    pub(super) fn ends(&self) {
        self.open.store(self.open.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    /// Whether no request is in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }

    /// Whether a body follows it that was not read to its end.
    pub(super) fn owes_body(&self) -> bool {
        self.owes_body.load(Ordering::Relaxed)
    }

    /// Says whether it does.
    pub(super) fn set_owes_body(&self, owes: bool) {
        self.owes_body.store(owes, Ordering::Relaxed);
    }

    /// Whether a further request has begun, whose header is not complete.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    /// Whether the client is waited for: what it would be sent now, hyper would keep. Whoever finds it so is polled again once
    /// that has changed, since the task of the connection is what waits.
    pub(super) fn is_held_up(&self) -> bool {
        self.is_held_up.load(Ordering::Relaxed)
    }

    /// Whether the connection broke because the client took nothing for too long.
    pub(super) fn has_timed_out(&self) -> bool {
        self.has_timed_out.load(Ordering::Relaxed)
    }

    /// Bytes of its answer that the client's side has taken, more or less: those of an earlier one may be among them.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Keeps a request whose answer hyper is given to its end, until the client's side has taken that.
    pub(super) fn keep(&self, exchange: Box<Exchange>) {
        match &mut *self.unsent.lock() {
            Unsent::Wait(waiting) => return waiting.push(exchange),
            Unsent::Gone => {}
        }
        exchange.unsent();
    }

    /// The stream brought bytes.
    pub(super) fn received(&self) {
        if self.is_idle() {
            self.has_begun.store(true, Ordering::Relaxed);
        }
    }

    /// The stream was given bytes.
    pub(super) fn wrote(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(bytes)) => {
                let written = self.written.load(Ordering::Relaxed);
                self.written.store(written + *bytes as u64, Ordering::Relaxed);
            }
            Poll::Pending => self.is_held_up.store(true, Ordering::Relaxed),
            Poll::Ready(Err(error)) => self.broke(error),
        }
    }

    /// The stream was asked to send all it was given, by hyper, which holds nothing then.
    pub(super) fn flushed(&self, result: &Poll<io::Result<()>>) {
        match result {
            Poll::Ready(Ok(())) => self.sent(),
            Poll::Pending => self.is_held_up.store(true, Ordering::Relaxed),
            Poll::Ready(Err(error)) => self.broke(error),
        }
    }

    fn broke(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            self.has_timed_out.store(true, Ordering::Relaxed);
        }
    }

    fn sent(&self) {
        let is_late = self.is_held_up.load(Ordering::Relaxed);
        if is_late {
            self.is_held_up.store(false, Ordering::Relaxed);
        }
        if self.is_idle() {
            return;
        }
        let sent = match &mut *self.unsent.lock() {
            Unsent::Wait(waiting) => std::mem::take(waiting),
            Unsent::Gone => return,
        };
        for exchange in sent {
            exchange.sent(is_late);
        }
    }

    /// The stream is gone. Who waits for it holds this, and so would wait for ever.
    pub(super) fn gone(&self) {
        let unsent = std::mem::replace(&mut *self.unsent.lock(), Unsent::Gone);
        match unsent {
            Unsent::Wait(waiting) => waiting.into_iter().for_each(Exchange::unsent),
            Unsent::Gone => {}
        }
    }
}

impl Default for Unsent {
    fn default() -> Self {
        Self::Wait(SmallVec::new())
    }
}

impl fmt::Debug for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(waiting) => write!(f, "{} unsent", waiting.len()),
            Self::Gone => f.write_str("gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_while_no_request_is_open_begins_one() {
        let wire = Wire::default();
        wire.received();
        assert!(wire.has_begun());
        wire.begins();
        wire.received();
        assert!(!wire.has_begun(), "a body");
        wire.begins();
        wire.ends();
        wire.received();
        assert!(!wire.has_begun(), "the first is open still");
        wire.ends();
        wire.received();
        assert!(wire.has_begun());
    }

    #[test]
    fn a_client_is_waited_for_until_it_has_taken_all() {
        let wire = Wire::default();
        wire.begins();
        wire.wrote(&Poll::Ready(Ok(7)));
        assert!(!wire.is_held_up());
        wire.wrote(&Poll::Pending);
        wire.wrote(&Poll::Ready(Ok(3)));
        assert!(wire.is_held_up(), "some of it is left");
        wire.flushed(&Poll::Pending);
        assert!(wire.is_held_up(), "TLS holds it");
        wire.flushed(&Poll::Ready(Ok(())));
        assert!(!wire.is_held_up());
        assert_eq!(wire.written(), 10);
    }
}
