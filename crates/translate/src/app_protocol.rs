//! `appProtocol` of a Service's port against what a group speaks to the servers behind it.
//!
//! Source: `appProtocol` in the API reference of `core/v1` `ServicePort`: an IANA service name, or one of Kubernetes' own
//! (KEP-3726).

use std::fmt;

use config::{Code, Diagnostic, Protocol, Severity};

use crate::codes;

/// What a port asks for that is not plain HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AppProtocol {
    /// `https`
    Https,
    /// `kubernetes.io/wss`
    Wss,
    /// `kubernetes.io/h2c`
    H2c,
    /// `grpc`
    Grpc,
}

impl AppProtocol {
    /// `None` for what plain HTTP/1.1 serves, and for what says nothing about it.
    pub fn from_api(text: &str) -> Option<Self> {
        [Self::Https, Self::Wss, Self::H2c, Self::Grpc].into_iter().find(|known| known.name() == text)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Wss => "kubernetes.io/wss",
            Self::H2c => "kubernetes.io/h2c",
            Self::Grpc => "grpc",
        }
    }

    /// What to say where a port is used by a group that speaks `protocol`; `mend` is how that group comes to speak HTTPS. The
    /// caller adds the field.
    pub fn doubt(self, protocol: &Protocol, mend: &str) -> Option<Diagnostic> {
        const CODE: Code = codes::APP_PROTOCOL;
        match (self, protocol) {
            (Self::Https | Self::Wss, Protocol::Https(_)) => None,
            (Self::Https | Self::Wss, Protocol::Http1) => {
                let message = format!("the port's appProtocol is {self}, and its servers get HTTP/1.1 without TLS");
                Some(Diagnostic::new(CODE, Severity::Warning, message).hint(mend))
            }
            (Self::H2c | Self::Grpc, Protocol::Http1 | Protocol::Https(_)) => {
                let message = format!(
                    "the port's appProtocol is {self}, which is not spoken by this release; its servers get HTTP/1.1"
                );
                Some(Diagnostic::new(CODE, Severity::Warning, message).hint("serve HTTP/1.1 on that port"))
            }
        }
    }
}

impl fmt::Display for AppProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
