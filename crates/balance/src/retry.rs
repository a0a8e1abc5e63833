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

impl Condition {
    /// Every condition, in the order of [`Self::index`].
    pub const ALL: [Self; 10] = [
        Self::Error,
        Self::Timeout,
        Self::InvalidHeader,
        Self::Http500,
        Self::Http502,
        Self::Http503,
        Self::Http504,
        Self::Http403,
        Self::Http404,
        Self::Http429,
    ];

    /// What lists a status; `None` for one that cannot be listed.
    #[must_use]
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            500 => Some(Self::Http500),
            502 => Some(Self::Http502),
            503 => Some(Self::Http503),
            504 => Some(Self::Http504),
            403 => Some(Self::Http403),
            404 => Some(Self::Http404),
            429 => Some(Self::Http429),
            _ => None,
        }
    }

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As nginx's configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::InvalidHeader => "invalid_header",
            Self::Http500 => "http_500",
            Self::Http502 => "http_502",
            Self::Http503 => "http_503",
            Self::Http504 => "http_504",
            Self::Http403 => "http_403",
            Self::Http404 => "http_404",
            Self::Http429 => "http_429",
        }
    }
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
#[expect(clippy::struct_excessive_bools, reason = "four facts that do not depend on each other")]
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

/// The tries one request has left; nginx's `u->peer.tries` and `u->peer.start_time`.
///
/// They are counted from the configuration, not from the peers that are usable now: with one of three peers ejected the
/// third try exists on paper and ends in `no live upstreams`.
#[derive(Debug)]
pub struct Tries {
    left: u32,
    single: bool,
    /// Milliseconds of the first pick.
    started: u64,
}

impl Conditions {
    fn lists_status(self, status: u16) -> Option<HeaderVerdict> {
        let condition = Condition::of_status(status)?;
        let verdict = match condition {
            Condition::Error | Condition::Timeout | Condition::InvalidHeader => return None,
            Condition::Http500 | Condition::Http502 | Condition::Http503 | Condition::Http504 | Condition::Http429 => {
                HeaderVerdict::RetryFailed
            }
            Condition::Http403 | Condition::Http404 => HeaderVerdict::RetryNext,
        };
        self.contains(condition).then_some(verdict)
    }
}

impl Policy {
    /// The three conditions common to both judgements: the request may be sent twice, can be, and in time.
    fn permits(&self, facts: Facts, elapsed: u64) -> bool {
        let unsafe_twice = facts.non_idempotent && facts.begun && !self.non_idempotent;
        let consumed = facts.begun && !facts.replayable;
        let late = self.timeout > 0 && elapsed >= self.timeout;
        !unsafe_twice && !consumed && !late
    }
}

impl Failure {
    /// What lists it.
    #[must_use]
    pub const fn condition(self) -> Condition {
        match self {
            Self::Error => Condition::Error,
            Self::Timeout => Condition::Timeout,
            Self::InvalidHeader => Condition::InvalidHeader,
        }
    }

    const fn status(self) -> u16 {
        match self {
            Self::Timeout => 504,
            Self::Error | Self::InvalidHeader => 502,
        }
    }
}

impl Tries {
    /// The tries of a request whose first pick is at `now` (`ngx_http_upstream.c`, `ngx_http_upstream_init_request`).
    #[must_use]
    pub fn new(plan: &BoundPlan, policy: &Policy, now: Now) -> Self {
        let left = if policy.tries == 0 { plan.tries() } else { plan.tries().min(policy.tries) };
        Self { left, single: plan.is_single(), started: now.millis() }
    }

    /// Judges an attempt that ended without a complete response header (`ngx_http_upstream.c`, `ngx_http_upstream_next`).
    /// Call it once, at the release as failed.
    pub fn after_failure(&mut self, policy: &Policy, failure: Failure, facts: Facts, now: Now) -> Verdict {
        self.spend();
        if facts.reused && failure == Failure::Error {
            // The idle connection had died: that is no judgement on the peer's willingness.
            self.left += 1;
        }
        let listed = policy.conditions.contains(failure.condition());
        if self.left > 0 && listed && policy.permits(facts, self.elapsed(now)) {
            Verdict::Retry
        } else {
            Verdict::Return(failure.status())
        }
    }

    /// Judges a complete response header (`ngx_http_upstream.c`, `ngx_http_upstream_test_next`): unlike after a failure,
    /// what counts is whether a try is left beyond this one, and the last one is relayed.
    pub fn after_header(&mut self, policy: &Policy, status: u16, facts: Facts, now: Now) -> HeaderVerdict {
        match policy.conditions.lists_status(status) {
            Some(verdict) if self.left > 1 && policy.permits(facts, self.elapsed(now)) => {
                self.spend();
                verdict
            }
            Some(_) | None => HeaderVerdict::Relay,
        }
    }

    /// Tries left on paper, whether or not a peer is there to use them.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left
    }

    fn spend(&mut self) {
        self.left = if self.single { 0 } else { self.left.saturating_sub(1) };
    }

    fn elapsed(&self, now: Now) -> u64 {
        now.millis().saturating_sub(self.started)
    }
}
