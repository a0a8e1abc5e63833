//! What goes wrong with a request to the API server, in words: what, where, and how to mend it. [`Teller`] knows when to say
//! it.

mod teller;

use std::time::Duration;
use std::{fmt, io};

use kube::Error;

use crate::connect::Unanswered;

pub use teller::{GRACE, Teller};

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The class it belongs to; one class is said once.
    pub reason: Reason,
    /// The sentence, with how to mend it.
    words: String,
}

/// Classes of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 403
    Forbidden,
    /// 401
    Unauthorized,
    /// 404: the kind is not served.
    Missing,
    /// 410: the history was compacted; all is listed anew.
    Expired,
    /// Another answer of the API server.
    Refused,
    /// No answer that can be used: it breaks off, cannot be understood, or does not come though others do.
    Broken,
    /// No answer.
    Unreachable,
}

/// What a role must allow.
#[derive(Clone, Debug)]
pub struct Rule<'r> {
    /// The kind of role it takes: a `ClusterRole`, a `Role`, or either.
    pub role: &'r str,
    /// The API group; empty for the core.
    pub group: &'r str,
    /// The plural, with the subresource if there is one.
    pub resource: &'r str,
    /// The name, where one suffices.
    pub name: Option<&'r str>,
    /// The verbs.
    pub verbs: &'r [&'r str],
}

impl Reason {
    /// As a label of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unauthorized => "unauthorized",
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Unreachable => "unreachable",
        }
    }

    /// Of a status of HTTP.
    pub const fn of_code(code: u16) -> Self {
        match code {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::Missing,
            410 => Self::Expired,
            _ => Self::Refused,
        }
    }

    /// The class of a request that failed, and what is known beyond it.
    pub fn of(error: &Error) -> (Self, String) {
        match error {
            Error::Api(status) => (Self::of_code(status.code), status.message.clone()),
            Error::Auth(_) => (Self::Unauthorized, error.to_string()),
            Error::SerdeError(_) | Error::FromUtf8(_) | Error::LinesCodecMaxLineLengthExceeded => {
                (Self::Broken, error.to_string())
            }
            other => match causes(other).find_map(|cause| cause.downcast_ref::<Unanswered>()) {
                Some(unanswered) => (Self::Unreachable, unanswered.to_string()),
                None => (Self::Broken, cause(other)),
            },
        }
    }
}

/// An error, and what it came of.
fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// What an error of the library came of: the outer ones only say that there is one.
pub(crate) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let innermost = causes(error).last().unwrap_or(error);
    let is_end = |io: &io::Error| io.kind() == io::ErrorKind::UnexpectedEof;
    // The library explains close_notify at length.
    if innermost.downcast_ref().is_some_and(is_end) {
        "it closed the connection".to_owned()
    } else {
        innermost.to_string()
    }
}

impl Trouble {
    /// Of a request. `what` says what cannot be done, and `rule` what would allow it.
    pub fn of(what: &str, error: &Error, rule: &Rule<'_>) -> Self {
        let (reason, detail) = Reason::of(error);
        Self::told(what, reason, &detail, rule)
    }

    /// Of a request that was not answered within `patience`.
    pub fn silence(what: &str, patience: Duration) -> Self {
        let words = format!("{what}: no answer within {} s", patience.as_secs());
        Self { reason: Reason::Unreachable, words }
    }

    /// Of a request of which the class of its failure is known.
    pub fn told(what: &str, reason: Reason, detail: &str, rule: &Rule<'_>) -> Self {
        Self::new(
            reason,
            match reason {
                Reason::Forbidden => {
                    format!("{what}: forbidden ({detail}); give the controller's ServiceAccount {rule}")
                }
                Reason::Unauthorized => format!(
                    "{what}: the API server does not accept the credentials ({detail}); check the kubeconfig or the \
                     ServiceAccount's token"
                ),
                Reason::Missing | Reason::Expired | Reason::Refused => {
                    format!("{what}: the API server answers: {detail}")
                }
                Reason::Broken => format!("{what}: no answer that can be used: {detail}"),
                Reason::Unreachable => format!("{what}: the API server cannot be reached: {detail}"),
            },
        )
    }

    /// In words of one's own.
    pub fn new(reason: Reason, words: String) -> Self {
        Self { reason, words }
    }

    /// And what follows from it.
    #[must_use]
    pub fn and(mut self, consequence: &str) -> Self {
        self.words.push_str("; ");
        self.words.push_str(consequence);
        self
    }
}

impl std::error::Error for Trouble {}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, group, resource, name, verbs } = self;
        write!(f, "a {role} with the rule apiGroups: [\"{group}\"], resources: [{resource}], ")?;
        if let Some(name) = name {
            write!(f, "resourceNames: [{name}], ")?;
        }
        write!(f, "verbs: [{}]", verbs.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    const LEASE: Rule<'static> = Rule {
        role: "Role",
        group: "coordination.k8s.io",
        resource: "leases",
        name: Some("forebay-controller"),
        verbs: &["get", "update"],
    };

    fn said(error: &Error) -> String {
        Trouble::of("the lease cannot be read", error, &LEASE).and("nobody leads").to_string()
    }

    #[test]
    fn a_sentence_says_what_where_and_how_to_mend_it() {
        let status = Status { code: 403, message: "no".into(), ..Status::default() };
        assert_eq!(
            said(&Error::Api(Box::new(status))),
            "the lease cannot be read: forbidden (no); give the controller's ServiceAccount a Role with the rule \
             apiGroups: [\"coordination.k8s.io\"], resources: [leases], resourceNames: [forebay-controller], verbs: [get, \
             update]; nobody leads"
        );
        let unanswered = Unanswered { server: "https://10.96.0.1".into(), why: "connection refused".to_owned() };
        assert_eq!(
            said(&Error::Service(unanswered.into())),
            "the lease cannot be read: the API server cannot be reached: connection refused (https://10.96.0.1); nobody leads"
        );
        let end = io::Error::new(io::ErrorKind::UnexpectedEof, "peer closed connection without sending close_notify");
        assert_eq!(
            said(&Error::Service(end.into())),
            "the lease cannot be read: no answer that can be used: it closed the connection; nobody leads"
        );
    }
}
