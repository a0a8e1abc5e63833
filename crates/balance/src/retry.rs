//! The retry engine (`proxy_next_upstream`): facts in, verdict out. It touches no peer; the caller releases.

use serde::{Deserialize, Serialize};

use crate::{BoundPlan, Now};

/// What `proxy_next_upstream` can list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// Refused, unreachable, reset, closed before a complete header, TLS failure, send error.
    Error,
    /// Connect, send or header timeout.
    Timeout,
    /// A response header that cannot be parsed or framed.
    InvalidHeader,
    /// Status 500.
    Http500,
    /// Status 502.
    Http502,
    /// Status 503.
    Http503,
    /// Status 504.
    Http504,
    /// Status 403.
    Http403,
    /// Status 404.
    Http404,
    /// Status 429.
    Http429,
}

/// A set of [`Condition`]s; empty is nginx's `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Conditions(u16);

impl FromIterator<Condition> for Conditions {
    fn from_iter<I: IntoIterator<Item = Condition>>(conditions: I) -> Self {
        Self(conditions.into_iter().fold(0, |set, condition| set | 1 << condition as u16))
    }
}

impl Conditions {
    /// Whether `condition` is listed.
    #[must_use]
    pub const fn contains(self, condition: Condition) -> bool {
        self.0 & (1 << condition as u16) != 0
    }
}

/// `proxy_next_upstream`, `_tries` and `_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What is retried.
    pub conditions: Conditions,
    /// nginx `non_idempotent`: whether POST, LOCK and PATCH are retried once sending has begun.
    pub non_idempotent: bool,
    /// nginx `proxy_next_upstream_tries`; 0 is no limit besides the peers.
    pub tries: u32,
    /// nginx `proxy_next_upstream_timeout`, milliseconds from the first pick; 0 is none.
    pub timeout: u64,
}

impl Default for Policy {
    /// nginx's default: `error timeout`, no limits.
    fn default() -> Self {
        Self {
            conditions: [Condition::Error, Condition::Timeout].into_iter().collect(),
            non_idempotent: false,
            tries: 0,
            timeout: 0,
        }
    }
}

/// A failure below or before the response header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// [`Condition::Error`].
    Error,
    /// [`Condition::Timeout`].
    Timeout,
    /// [`Condition::InvalidHeader`].
    InvalidHeader,
}

/// What is known about the attempt that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The request's method is POST, LOCK or PATCH.
    pub non_idempotent: bool,
    /// A connection was established (or reused) and the request handed to it.
    pub begun: bool,
    /// The connection was taken from the idle ones.
    pub reused: bool,
    /// The request can be sent again from its first byte.
    pub replayable: bool,
}

/// What to do after an attempt without a usable response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Release as failed and select again.
    Retry,
    /// Release as failed and answer the client with this status (502 or 504).
    Return(u16),
}

/// What to do with a complete response header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderVerdict {
    /// Pass the response on; release as done at its end.
    Relay,
    /// Release as failed (500, 502, 503, 504, 429) and select again.
    RetryFailed,
    /// Release as next (403, 404) and select again.
    RetryNext,
}

/// The tries one request has left; nginx's `u->peer.tries` and `u->start_time`.
#[derive(Debug)]
pub struct Tries {}

impl Tries {
    /// The tries of a request whose first pick is at `now`.
    #[must_use]
    pub fn new(_plan: &BoundPlan, _policy: &Policy, _now: Now) -> Self {
        todo!()
    }

    /// Judges an attempt that ended without a complete response header. Call it once, at the release as failed.
    pub fn after_failure(&mut self, _policy: &Policy, _failure: Failure, _facts: Facts, _now: Now) -> Verdict {
        todo!()
    }

    /// Judges a complete response header.
    pub fn after_header(&mut self, _policy: &Policy, _status: u16, _facts: Facts, _now: Now) -> HeaderVerdict {
        todo!()
    }

    /// Tries left on paper, whether or not a peer is there to use them.
    #[must_use]
    pub fn left(&self) -> u32 {
        todo!()
    }
}
