//! What is counted, and the moments at which it is.
//!
//! Counters live where their subject lives: a server's with its state in the group, a group's in its cell, the rest with
//! the process. There is no registry beside the live objects, so nothing has to be cleaned up when a server leaves.

use balance::retry::Condition;

use crate::record::FailureReason;

mod account;
mod class;
mod counter;
mod histogram;
mod last_failure;

pub use account::{attempt_begins, attempt_ends, request_ends};
pub use class::{CodeClass, Handshake};
pub use counter::{Counted, Counter, Gauge};
pub use histogram::{BOUNDS, Histogram};
pub use last_failure::LastFailure;

/// What was counted of one server. One attempt is one request here.
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Attempts by the class of the status the server sent, in the order of [`CodeClass::ALL`].
    pub requests: [Counter; CodeClass::ALL.len()],
    /// Attempts charged to the server, in the order of [`FailureReason::ALL`].
    pub failures: [Counter; FailureReason::ALL.len()],
    /// Failures at or past `max_fails`, each of which puts the server out for `fail_timeout`.
    pub ejections: Counter,
    /// Sum of the times to the end of the attempts that brought a response, microseconds.
    pub response_micros: Counter,
    /// The number of those attempts.
    pub responses: Counter,
    /// Attempts that another one followed.
    pub retried: Counter,
    /// Bytes received from it, on the wire.
    pub received_bytes: Counter,
    /// Bytes sent to it, on the wire.
    pub sent_bytes: Counter,
    /// The last attempt charged to the server.
    pub last_failure: LastFailure,
}

/// What was counted of one group.
#[derive(Debug, Default)]
pub struct GroupStats {
    /// Requests by the class of the status sent to the client, in the order of [`CodeClass::ALL`].
    pub requests: [Counter; CodeClass::ALL.len()],
    /// Attempts after the first, in the order of [`Condition::ALL`].
    pub retries: [Counter; Condition::ALL.len()],
    /// Requests that found no eligible server, at first or after a retry: nginx's `no live upstreams`.
    pub no_live: Counter,
    /// From the request's header to its end.
    pub duration: Histogram,
}

/// What was counted of the process.
#[derive(Debug, Default)]
pub struct ProcessStats {
    /// Client connections accepted.
    pub connections_accepted: Counter,
    /// Times that a connection could not be accepted, most often for want of descriptors.
    pub accept_failures: Counter,
    /// TLS handshakes, in the order of [`Handshake::ALL`].
    pub handshakes: [Counter; Handshake::ALL.len()],
    /// Client connections open now.
    pub connections_active: Gauge,
    /// Requests between their header and their end.
    pub requests_active: Gauge,
    /// Connections that were upgraded and are now tunnels.
    pub tunnels_active: Gauge,
    /// Finished requests by the class of their status, those without a group included.
    pub requests: [Counter; CodeClass::ALL.len()],
    /// Bytes of request body received from clients.
    pub received_bytes: Counter,
    /// Bytes of response header and body handed to clients' connections.
    pub sent_bytes: Counter,
    /// Requests that matched no route.
    pub no_route: Counter,
    /// Requests refused before a route was looked for: their header could not be parsed, or contradicts itself.
    pub bad_requests: Counter,
}

impl ProcessStats {
    /// The count of handshakes that came to this.
    pub(crate) fn handshake(&self, outcome: Handshake) -> &Counter {
        &self.handshakes[outcome.index()]
    }
}
