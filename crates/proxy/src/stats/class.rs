//! The label values that counters are kept by: few, fixed, known before the first request.

use balance::retry::Condition;

use crate::record::{AttemptEnd, FailureReason};

/// The class of a response's status, or that there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeClass {
    /// 100 to 199; a tunnel's 101 too.
    Informational,
    /// 200 to 299.
    Success,
    /// 300 to 399.
    Redirection,
    /// 400 to 499.
    ClientError,
    /// 500 to 599.
    ServerError,
    /// No response header came, or its status is outside of all classes.
    None,
}

/// What a TLS handshake came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// A new session.
    Full,
    /// An earlier session was resumed.
    Resumed,
    /// None: the client is not answered.
    Failed,
}

/// Why a request was put to another server: the value of `proxy_next_upstream` that allowed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryReason(pub Condition);

/// The place of a reason in [`FailureReason::ALL`], whatever the status.
pub(super) const fn failure_index(reason: FailureReason) -> usize {
    match reason {
        FailureReason::Connect => 0,
        FailureReason::ConnectTimeout => 1,
        FailureReason::Tls => 2,
        FailureReason::SendTimeout => 3,
        FailureReason::ReadTimeout => 4,
        FailureReason::Reset => 5,
        FailureReason::Closed => 6,
        FailureReason::InvalidHeader => 7,
        FailureReason::HeaderTooLarge => 8,
        FailureReason::Status(_) => 9,
    }
}

impl CodeClass {
    /// Every class, in the order of [`Self::index`].
    pub const ALL: [Self; 6] =
        [Self::Informational, Self::Success, Self::Redirection, Self::ClientError, Self::ServerError, Self::None];

    /// The class of a status.
    pub const fn of(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::None,
        }
    }

    /// The value of the label `code_class`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::None => "none",
        }
    }

    /// Its place in a table of counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Handshake {
    /// Every outcome, in the order of [`Self::index`].
    pub const ALL: [Self; 3] = [Self::Full, Self::Resumed, Self::Failed];

    /// The value of the label `result`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Failed => "failed",
        }
    }

    /// Its place in a table of counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl RetryReason {
    /// Every reason, in the order of [`Self::index`].
    pub const ALL: [Self; 10] = [
        Self(Condition::Error),
        Self(Condition::Timeout),
        Self(Condition::InvalidHeader),
        Self(Condition::Http500),
        Self(Condition::Http502),
        Self(Condition::Http503),
        Self(Condition::Http504),
        Self(Condition::Http403),
        Self(Condition::Http404),
        Self(Condition::Http429),
    ];

    /// Why the attempt after this one was made.
    pub const fn of(end: AttemptEnd) -> Option<Self> {
        match end {
            AttemptEnd::Failed(reason) => match reason {
                FailureReason::Connect | FailureReason::Tls | FailureReason::Reset | FailureReason::Closed => {
                    Some(Self(Condition::Error))
                }
                FailureReason::ConnectTimeout | FailureReason::SendTimeout | FailureReason::ReadTimeout => {
                    Some(Self(Condition::Timeout))
                }
                FailureReason::InvalidHeader | FailureReason::HeaderTooLarge => Some(Self(Condition::InvalidHeader)),
                FailureReason::Status(status) => Self::of_status(status),
            },
            AttemptEnd::Next(status) => Self::of_status(status),
            AttemptEnd::Running
            | AttemptEnd::Relayed
            | AttemptEnd::CutOff
            | AttemptEnd::Abandoned
            | AttemptEnd::NoLivePeers => None,
        }
    }

    /// The value of the label `reason`, as nginx's configuration spells it.
    pub const fn label(self) -> &'static str {
        match self.0 {
            Condition::Error => "error",
            Condition::Timeout => "timeout",
            Condition::InvalidHeader => "invalid_header",
            Condition::Http500 => "http_500",
            Condition::Http502 => "http_502",
            Condition::Http503 => "http_503",
            Condition::Http504 => "http_504",
            Condition::Http403 => "http_403",
            Condition::Http404 => "http_404",
            Condition::Http429 => "http_429",
        }
    }

    /// Its place in a table of counters.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    const fn of_status(status: u16) -> Option<Self> {
        match status {
            500 => Some(Self(Condition::Http500)),
            502 => Some(Self(Condition::Http502)),
            503 => Some(Self(Condition::Http503)),
            504 => Some(Self(Condition::Http504)),
            403 => Some(Self(Condition::Http403)),
            404 => Some(Self(Condition::Http404)),
            429 => Some(Self(Condition::Http429)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_places_in_all() {
        assert!(CodeClass::ALL.iter().enumerate().all(|(place, class)| class.index() == place));
        assert!(FailureReason::ALL.iter().enumerate().all(|(place, reason)| failure_index(*reason) == place));
        assert!(RetryReason::ALL.iter().enumerate().all(|(place, reason)| reason.index() == place));
    }
}
