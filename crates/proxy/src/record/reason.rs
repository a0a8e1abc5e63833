//! Why attempts fail, and all that a reason stands for: the places that count, log and report it ask here.

use std::borrow::Cow;

use balance::retry::{Condition, Failure};

/// Why an attempt failed, as an operator distinguishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// Connecting was refused, or failed for another reason than time.
    Connect,
    /// Not connected within `timeouts.connect`, the handshake of TLS included.
    ConnectTimeout,
    /// Connected, and no TLS: the handshake failed, or the certificate is not believed. A server judges ours after it.
    Tls,
    /// Nothing could be written for `timeouts.send`.
    SendTimeout,
    /// No complete response header within `timeouts.read`.
    ReadTimeout,
    /// The connection was reset or broke while the request was sent or the header awaited.
    Reset,
    /// The connection was closed before a complete response header.
    Closed,
    /// The response header cannot be parsed or framed.
    InvalidHeader,
    /// The response header is larger than allowed.
    HeaderTooLarge,
    /// A listed status that was retried.
    Status(u16),
}

impl FailureReason {
    /// Every reason once, in the order of [`Self::index`]; `Status` stands for all of them.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::SendTimeout,
        Self::ReadTimeout,
        Self::Reset,
        Self::Closed,
        Self::InvalidHeader,
        Self::HeaderTooLarge,
        Self::Status(0),
    ];

    /// Its place in [`Self::ALL`], whatever the status.
    pub const fn index(self) -> usize {
        match self {
            Self::Connect => 0,
            Self::ConnectTimeout => 1,
            Self::Tls => 2,
            Self::SendTimeout => 3,
            Self::ReadTimeout => 4,
            Self::Reset => 5,
            Self::Closed => 6,
            Self::InvalidHeader => 7,
            Self::HeaderTooLarge => 8,
            Self::Status(_) => 9,
        }
    }

    /// A word for labels and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::SendTimeout => "send_timeout",
            Self::ReadTimeout => "read_timeout",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::InvalidHeader => "invalid_header",
            Self::HeaderTooLarge => "header_too_large",
            Self::Status(_) => "status",
        }
    }

    /// What a report calls the last failure: its [`Self::name`], or `http_502`.
    pub fn wire_name(self) -> Cow<'static, str> {
        self.status().map_or(self.name().into(), |status| format!("http_{status}").into())
    }

    /// What the balancer calls it; `None` for a status, which is a complete response.
    pub const fn failure(self) -> Option<Failure> {
        match self {
            Self::Connect | Self::Tls | Self::Reset | Self::Closed => Some(Failure::Error),
            Self::ConnectTimeout | Self::SendTimeout | Self::ReadTimeout => Some(Failure::Timeout),
            Self::InvalidHeader | Self::HeaderTooLarge => Some(Failure::InvalidHeader),
            Self::Status(_) => None,
        }
    }

    /// The status that was retried, if it was one.
    pub const fn status(self) -> Option<u16> {
        if let Self::Status(status) = self { Some(status) } else { None }
    }

    /// The value of `proxy_next_upstream` that allows another attempt; `None` for a status that cannot be listed.
    pub fn condition(self) -> Option<Condition> {
        match self.failure() {
            Some(failure) => Some(failure.condition()),
            None => self.status().and_then(Condition::of_status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_places_in_all() {
        assert!(FailureReason::ALL.iter().enumerate().all(|(place, reason)| reason.index() == place));
    }

    #[test]
    fn a_status_is_named_where_there_is_room_for_it() {
        let status = FailureReason::Status(502);
        assert_eq!((status.name(), &*status.wire_name()), ("status", "http_502"));
        assert_eq!(status.condition(), Some(Condition::Http502));
        assert_eq!(FailureReason::Status(200).condition(), None);
        assert_eq!(FailureReason::Closed.wire_name(), "closed");
        assert_eq!(FailureReason::HeaderTooLarge.condition(), Some(Condition::InvalidHeader));
    }
}
