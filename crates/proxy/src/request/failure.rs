//! Why an attempt brought no response header, in the three vocabularies that ask: an operator's, the balancer's, HTTP's.

use std::fmt;
use std::io;

use balance::{Outcome, retry};
use nix::errno::Errno;

use crate::error_log::{self, Action};
use crate::record::{AttemptEnd, FailureReason, Record};
use crate::upstream::{self, ConnectError, Fault};

/// A failure that is the server's.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: FailureReason,
    pub(crate) action: Action,
    /// Whether the request was handed to a connection.
    pub(crate) begun: bool,
    /// Whether that connection was an idle one.
    pub(crate) reused: bool,
    /// What it says of the server. What a client chose says nothing of it: whoever sends a host that is nobody's, or a body
    /// without end, must not put the servers out for all others, nor bring one back that is out (ledger: `tls-name-of-client`,
    /// `slow-body`).
    pub(crate) outcome: Outcome,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Connect(ConnectError),
    Send(Fault),
    Text(&'static str),
    Tls(String),
}

impl Failure {
    /// There is no connection. `by_client`: the name that is asked for in TLS is the client's choice.
    pub(crate) fn connecting(error: ConnectError, by_client: bool) -> Self {
        let (reason, action) = match error {
            ConnectError::Io(_) => (FailureReason::Connect, Action::Connecting),
            ConnectError::TimedOut => (FailureReason::ConnectTimeout, Action::Connecting),
            ConnectError::HandshakeTimedOut => (FailureReason::ConnectTimeout, Action::Handshaking),
            ConnectError::Handshake(_) => (FailureReason::Tls, Action::Handshaking),
        };
        let outcome = match &error {
            ConnectError::Handshake(failed) if failed.is_our_own() => Outcome::Unjudged,
            // A server may refuse a name in any way it likes.
            ConnectError::Handshake(_) if by_client => Outcome::Unjudged,
            ConnectError::Io(error) if is_shortage(error) => Outcome::Unjudged,
            ConnectError::Handshake(_)
            | ConnectError::Io(_)
            | ConnectError::TimedOut
            | ConnectError::HandshakeTimedOut => Outcome::Failed,
        };
        Self { reason, action, begun: false, reused: false, outcome, cause: Cause::Connect(error) }
    }

    /// The connection broke before a complete header. `by_client`: while it waited for more of the client's body.
    pub(crate) fn sending(fault: Fault, reused: bool, by_client: bool) -> Self {
        let action = if is_of_sending(&fault) { Action::Sending } else { Action::ReadingHeader };
        let (reason, text) = judge(&fault);
        let cause = text.map_or_else(|| Cause::Send(fault), Cause::Tls);
        let outcome = if by_client { Outcome::Unjudged } else { Outcome::Failed };
        Self { reason, action, begun: true, reused, outcome, cause }
    }

    /// No complete header in time.
    pub(crate) fn timed_out(reused: bool) -> Self {
        Self {
            reason: FailureReason::ReadTimeout,
            action: Action::ReadingHeader,
            begun: true,
            reused,
            outcome: Outcome::Failed,
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
            outcome: Outcome::Failed,
            cause: Cause::Text(why),
        }
    }

    /// How its attempt ended.
    pub(crate) fn end(&self) -> AttemptEnd {
        if self.outcome == Outcome::Failed { AttemptEnd::Failed(self.reason) } else { AttemptEnd::Excused(self.reason) }
    }

    /// Whether it was only a matter of time.
    pub(crate) fn is_timeout(&self) -> bool {
        self.kind() == retry::Failure::Timeout
    }

    /// What `proxy_next_upstream` calls it.
    pub(crate) fn kind(&self) -> retry::Failure {
        self.reason.failure().unwrap_or(retry::Failure::Error)
    }

    /// Whether this machine has no room for a further connection, to whichever server: an internal error
    /// (nginx `ngx_event_connect_peer`).
    pub(crate) fn is_internal(&self) -> bool {
        matches!(&self.cause, Cause::Connect(ConnectError::Io(error)) if is_shortage(error))
    }

    /// The status it stands for in `$upstream_status` and, if nobody else answers, for the client.
    pub(crate) fn status(&self) -> u16 {
        if self.is_internal() {
            return 500;
        }
        match self.kind() {
            retry::Failure::Timeout => 504,
            retry::Failure::Error | retry::Failure::InvalidHeader => 502,
        }
    }

    /// Reports it, and the ejection it caused, in nginx's order: for timeouts the warning comes first.
    pub(crate) fn report(&self, record: &Record, disabled: bool) {
        let warns_first = self.is_timeout();
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
            Self::Send(fault) => fault.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Tls(text) => f.write_str(text),
        }
    }
}

/// Whether a socket was not to be had for want of descriptors or memory.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| shortages.contains(&Errno::from_raw(code)))
}

/// Whether a fault came of sending.
fn is_of_sending(fault: &Fault) -> bool {
    match fault {
        // Our own connection's send timeout (see upstream::io); what only a writer is told.
        Fault::Io(error) => [io::ErrorKind::TimedOut, io::ErrorKind::BrokenPipe].contains(&error.kind()),
        Fault::Closed | Fault::Malformed(_) | Fault::Invalid(_) | Fault::TooLarge | Fault::Client(_) => false,
    }
}

/// What a fault says of the server, and what the log is to say instead of it.
pub(crate) fn judge(fault: &Fault) -> (FailureReason, Option<String>) {
    match fault {
        Fault::Io(error) if let Some(text) = upstream::broken(error) => (FailureReason::Tls, Some(text)),
        Fault::Io(_) | Fault::Closed | Fault::Malformed(_) | Fault::Invalid(_) | Fault::TooLarge | Fault::Client(_) => {
            (reason_of(fault), None)
        }
    }
}

fn reason_of(fault: &Fault) -> FailureReason {
    match fault {
        Fault::Closed => FailureReason::Closed,
        Fault::Io(error) if error.kind() == io::ErrorKind::TimedOut => FailureReason::SendTimeout,
        // TLS that ends without saying so (RFC 8446 section 6.1).
        Fault::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => FailureReason::Closed,
        Fault::Io(_) | Fault::Client(_) => FailureReason::Reset,
        Fault::Malformed(_) | Fault::Invalid(_) => FailureReason::InvalidHeader,
        Fault::TooLarge => FailureReason::HeaderTooLarge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_descriptors_blames_no_server() {
        let failure = |errno: Errno| Failure::connecting(io::Error::from(errno).into(), false);
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM] {
            let failure = failure(errno);
            assert_eq!((failure.outcome, failure.status()), (Outcome::Unjudged, 500), "{errno}");
        }
        for errno in [Errno::ECONNREFUSED, Errno::EADDRNOTAVAIL, Errno::EHOSTUNREACH] {
            let failure = failure(errno);
            assert_eq!((failure.outcome, failure.status()), (Outcome::Failed, 502), "{errno}");
        }
    }

    #[test]
    fn what_a_client_chose_says_nothing_of_the_server() {
        for (by_client, outcome) in [(true, Outcome::Unjudged), (false, Outcome::Failed)] {
            assert_eq!(Failure::sending(Fault::Closed, false, by_client).outcome, outcome);
        }
    }
}
