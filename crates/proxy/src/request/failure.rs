//! Why an attempt brought no response header, in the three vocabularies that ask: an operator's, the balancer's, HTTP's.

use std::fmt;
use std::io;

use balance::retry;

use crate::error_log::{self, Action};
use crate::record::{FailureReason, Record};
use crate::request::body::RequestBody;
use crate::upstream::ConnectError;

/// hyper's error, which gives the request back when no byte of it was sent.
pub(crate) type SendError = hyper::client::conn::TrySendError<http::Request<RequestBody>>;

/// A failure that is the server's.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: FailureReason,
    pub(crate) action: Action,
    /// Whether the request was handed to a connection.
    pub(crate) begun: bool,
    /// Whether that connection was an idle one.
    pub(crate) reused: bool,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Connect(ConnectError),
    Send(Box<SendError>),
    Text(&'static str),
}

impl Failure {
    /// There is no connection.
    pub(crate) fn connecting(error: ConnectError) -> Self {
        let reason = match error {
            ConnectError::Io(_) => FailureReason::Connect,
            ConnectError::TimedOut => FailureReason::ConnectTimeout,
        };
        Self { reason, action: Action::Connecting, begun: false, reused: false, cause: Cause::Connect(error) }
    }

    /// The connection broke before a complete header.
    pub(crate) fn sending(error: Box<SendError>, reused: bool) -> Self {
        let reason = reason_of(error.error());
        let action = if reason == FailureReason::SendTimeout { Action::Sending } else { Action::ReadingHeader };
        Self { reason, action, begun: true, reused, cause: Cause::Send(error) }
    }

    /// No complete header in time.
    pub(crate) fn timed_out(reused: bool) -> Self {
        Self {
            reason: FailureReason::ReadTimeout,
            action: Action::ReadingHeader,
            begun: true,
            reused,
            cause: Cause::Text("timed out"),
        }
    }

    /// A header that cannot be relied on.
    pub(crate) fn unusable(why: &'static str, reused: bool) -> Self {
        Self {
            reason: FailureReason::InvalidHeader,
            action: Action::ReadingHeader,
            begun: true,
            reused,
            cause: Cause::Text(why),
        }
    }

    /// Whether a connection that was thought idle had been closed before a byte of the request was on it.
    pub(crate) fn is_of_a_closed_idle_connection(&self) -> bool {
        self.reused && matches!(&self.cause, Cause::Send(error) if error.message().is_some())
    }

    /// What `proxy_next_upstream` calls it.
    pub(crate) fn kind(&self) -> retry::Failure {
        match self.reason {
            FailureReason::ConnectTimeout | FailureReason::SendTimeout | FailureReason::ReadTimeout => {
                retry::Failure::Timeout
            }
            FailureReason::InvalidHeader | FailureReason::HeaderTooLarge => retry::Failure::InvalidHeader,
            FailureReason::Connect | FailureReason::Reset | FailureReason::Closed | FailureReason::Status(_) => {
                retry::Failure::Error
            }
        }
    }

    /// The status it stands for in `$upstream_status` and, if nobody else answers, for the client.
    pub(crate) fn status(&self) -> u16 {
        match self.kind() {
            retry::Failure::Timeout => 504,
            retry::Failure::Error | retry::Failure::InvalidHeader => 502,
        }
    }

    /// Reports it, and the ejection it caused, in nginx's order: for timeouts the warning comes first.
    pub(crate) fn report(&self, record: &Record, disabled: bool) {
        let warns_first = self.kind() == retry::Failure::Timeout;
        if disabled && warns_first {
            error_log::disabled(record, self.action);
        }
        error_log::attempt_failed(record, self.reason, self.action, &self.cause);
        if disabled && !warns_first {
            error_log::disabled(record, self.action);
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Send(error) => error.error().fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What hyper's error says of the server.
fn reason_of(error: &hyper::Error) -> FailureReason {
    if error.is_parse_too_large() {
        return FailureReason::HeaderTooLarge;
    }
    if error.is_parse() {
        return FailureReason::InvalidHeader;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return FailureReason::Closed;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        // Our own connection's send timeout (see upstream::io).
        if cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return FailureReason::SendTimeout;
        }
        source = cause.source();
    }
    FailureReason::Reset
}
