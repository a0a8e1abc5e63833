//! One request from its header to its log line, and the attempt whose response is being relayed.
//!
//! An [`Exchange`] is accounted and logged when it is dropped, whatever ended it: the last byte of a response, a client that
//! left, a worker that stops. Nothing else logs a request, so none is logged twice or not at all. An answer of HTTP/1 ends when
//! the system has taken its last byte ([`Wire`]), as in nginx; one of HTTP/2 when its stream was given that.

use std::fmt::Display;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use balance::{Outcome, Times};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use crate::alarm::{Alarm, Timeout};
use crate::clock::Moment;
use crate::error_log::{self, Action};
use crate::record::{AttemptEnd, FailureReason, Record};
use crate::request::body::{BrokenOff, Source, discard};
use crate::request::failure::judge;
use crate::request::lease::Lease;
use crate::request::session::Session;
use crate::request::wire::Wire;
use crate::snapshot::GroupView;
use crate::stats;
use crate::upstream::{Connection, Fault, UpstreamIo};
use crate::worker::Worker;

/// A request in progress.
pub(crate) struct Exchange {
    pub(crate) record: Record,
    pub(crate) worker: Arc<Worker>,
    /// Of the task that serves the client's connection.
    alarm: Alarm,
    /// The connection that it has to itself; `None` in HTTP/2.
    wire: Option<Arc<Wire>>,
    /// The client's body, if it sends one.
    pub(crate) body: Option<Box<Source>>,
    /// When the last byte of a server's response came, if the client did not let it wait; any other request is over when this
    /// value is dropped.
    completed: Option<Moment>,
}

/// An attempt whose response header was passed on; its body is on its way.
pub(crate) struct Relaying {
    /// Present until complete.
    exchange: Option<Box<Exchange>>,
    group: Arc<GroupView>,
    /// Present until the attempt is over.
    lease: Option<Lease>,
    connection: Option<Box<Connection>>,
    /// What stays with this server at the end of the response.
    session: Session,
}

impl Exchange {
    /// Begins a request whose header was read.
    pub(super) fn begin(record: Record, worker: Arc<Worker>, alarm: Alarm, wire: Option<Arc<Wire>>) -> Box<Self> {
        worker.shared.stats.requests_active.inc();
        if let Some(wire) = &wire {
            wire.begins();
        }
        Box::new(Self { record, worker, alarm, wire, body: None, completed: None })
    }

    /// A limit on a wait within the task that serves the client's connection.
    pub(crate) fn timeout(&self, limit: Duration) -> Timeout {
        Timeout::new(self.alarm.clone(), limit)
    }

    /// The present, by the worker's clock.
    pub(crate) fn now(&self) -> Moment {
        self.worker.shared.clock.now()
    }

    /// Whether the client is waited for, so that nothing further should be made for it.
    pub(crate) fn is_held_up(&self) -> bool {
        self.wire.as_ref().is_some_and(|wire| wire.is_held_up())
    }

    /// Its answer was handed over to its end: it is over once the client's side has taken that.
    pub(crate) fn answered(mut self: Box<Self>) {
        let unread = self.end_body();
        if let Some(wire) = self.wire.clone() {
            wire.keep(self);
        } else if let Some(body) = unread {
            self.discard(body.into_incoming());
        }
    }

    /// Reads what the client still sends, of a request of HTTP/2.
    pub(crate) fn discard(&self, incoming: Incoming) {
        let draining = self.worker.shared.draining.clone();
        self.worker.spawn(async move {
            tokio::select! {
                () = discard(incoming) => {}
                () = draining.cancelled() => {}
            }
        });
    }

    /// The client's side has taken the answer, later than it was handed over if that `is_late`.
    pub(crate) fn sent(mut self: Box<Self>, is_late: bool) {
        if is_late {
            self.completed = None;
        }
    }

    /// The client's side never took the whole answer.
    pub(crate) fn unsent(mut self: Box<Self>) {
        self.record.complete = false;
        self.completed = None;
    }

    /// Nothing more of the client's body is for a server. Returns it, if it was not read to its end.
    fn end_body(&mut self) -> Option<Box<Source>> {
        let body = self.body.take()?;
        self.record.request_body_bytes = body.received();
        let unread = (!body.is_received()).then_some(body);
        if let Some(wire) = &self.wire {
            wire.set_owes_body(unread.is_some());
        }
        unread
    }

    /// Whether the drain is over, and what is dropped now is not given up by its client.
    fn is_cut(&self) -> bool {
        self.worker.shared.cut.is_cancelled()
    }

    /// Says why it ends before its response is complete.
    fn report_end(&self, action: Action) {
        if self.is_cut() {
            error_log::cut(&self.record, action);
        } else if self.wire.as_ref().is_some_and(|wire| wire.has_timed_out()) {
            error_log::client_timed_out(&self.record, action);
        } else {
            error_log::client_left(&self.record, action);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record.finished = self.completed.unwrap_or_else(|| self.now());
        drop(self.end_body());
        if let Some(wire) = &self.wire {
            wire.ends();
            if !self.record.complete {
                let taken = wire.written().saturating_sub(self.record.header_bytes_sent);
                self.record.body_bytes_sent = self.record.body_bytes_sent.min(taken);
            }
        }
        if self.record.status == 0 {
            // The client left before any response: nginx's own code for it (NGX_HTTP_CLIENT_CLOSED_REQUEST). Who was cut did not
            // leave: it is what the client would have been told, had there been time.
            self.record.status = if self.is_cut() { 503 } else { 499 };
            let last = self.record.attempts.last();
            let is_connected = last.is_some_and(|attempt| attempt.connect.is_some());
            if last.is_some_and(|attempt| attempt.end == AttemptEnd::Running) {
                self.record.end_attempt(AttemptEnd::Abandoned, false, self.record.finished);
            }
            self.report_end(if is_connected { Action::ReadingHeader } else { Action::Connecting });
        }
        self.worker.shared.stats.requests_active.dec();
        stats::request_ends(&self.record, &self.worker.shared.stats);
        self.worker.log.log(&self.record);
    }
}

impl Relaying {
    pub(crate) fn new(
        exchange: Box<Exchange>,
        group: Arc<GroupView>,
        lease: Lease,
        connection: Box<Connection>,
        session: Session,
    ) -> Self {
        Self { exchange: Some(exchange), group, lease: Some(lease), connection: Some(connection), session }
    }

    /// The next part of the response's body, of at most so many bytes.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match (&mut self.exchange, &mut self.connection) {
            (Some(exchange), Some(connection)) => connection.poll_body(cx, exchange.body.as_deref_mut(), most),
            (None, _) | (_, None) => Poll::Ready(None),
        }
    }

    /// Whether the client has not taken what came before it.
    pub(crate) fn is_held_up(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.is_held_up())
    }

    /// Sends on what is left of the request, and reads nothing.
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>) {
        if let (Some(exchange), Some(connection)) = (&mut self.exchange, &mut self.connection) {
            connection.poll_request(cx, exchange.body.as_deref_mut());
        }
    }

    /// Whether there is no more of it.
    pub(crate) fn is_complete(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.is_complete())
    }

    /// How much of it is still to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.connection.as_ref().map_or(SizeHint::with_exact(0), |connection| connection.size_hint())
    }

    /// What is below HTTP on the server's connection.
    pub(crate) fn below_http(&mut self) -> Option<(Bytes, &mut UpstreamIo)> {
        self.connection.as_mut().map(|connection| connection.below_http())
    }

    /// Counts bytes of body on their way to the client.
    pub(crate) fn relayed(&mut self, bytes: u64) {
        if let Some(exchange) = &mut self.exchange {
            exchange.record.relayed(bytes);
        }
    }

    /// The last byte was received: the server is released, the connection goes back to the pool.
    pub(crate) fn complete(&mut self) -> Box<Exchange> {
        let mut exchange = self.exchange.take().expect("completed once: the caller gives `self` up");
        let now = exchange.now();
        exchange.record.complete = true;
        exchange.completed = Some(now);
        self.end_attempt(&mut exchange, AttemptEnd::Relayed, now);
        if let Some(connection) = self.connection.take()
            && connection.is_reusable()
            && let Some(attempt) = exchange.record.attempts.last()
            && let Some(server) = &attempt.server
        {
            exchange.worker.keep(&self.group, server, connection, now);
        }
        exchange
    }

    /// The response broke off: nginx does not blame the server for what happens after the header. What is left is the client's
    /// part of it.
    pub(crate) fn break_off(mut self, error: &BrokenOff) -> Option<Box<Exchange>> {
        let mut exchange = self.exchange.take()?;
        let now = exchange.now();
        self.end_attempt(&mut exchange, AttemptEnd::CutOff, now);
        let (reason, text) = match error {
            BrokenOff::TimedOut => (FailureReason::ReadTimeout, None),
            BrokenOff::Upstream(fault) => judge(fault),
        };
        let cause: &dyn Display = match (&text, error) {
            (Some(text), _) => text,
            (None, BrokenOff::Upstream(fault)) => fault,
            (None, BrokenOff::TimedOut) => error,
        };
        error_log::attempt_failed(&exchange.record, reason, Action::ReadingUpstream, cause);
        Some(exchange)
    }

    /// Once its header was relayed an attempt is nginx's state 0, whatever became of its body: the session stays with the server
    /// and both times count (`ngx_http_upstream_finalize_request`).
    fn end_attempt(&mut self, exchange: &mut Exchange, end: AttemptEnd, now: Moment) {
        if let Some(connection) = &self.connection {
            exchange.record.moved(connection.request_bytes());
        }
        exchange.record.end_attempt(end, false, now);
        let Some(attempt) = exchange.record.attempts.last() else { return };
        let response = now.since(attempt.started);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let times = attempt.header.map(|header| Times { header: millis(header), last_byte: millis(response) });
        if let Some(lease) = self.lease.take() {
            self.session.tie(&self.group, lease.position(), now);
            lease.finish(Outcome::Done(times), now);
        }
    }
}

impl Drop for Relaying {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            let now = exchange.now();
            self.end_attempt(&mut exchange, AttemptEnd::Abandoned, now);
            exchange.report_end(Action::ReadingUpstream);
        }
    }
}
