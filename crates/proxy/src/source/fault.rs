//! Why a controller could not be used: in words that say what, where and how to mend it, and as a label to count by.

use std::error::Error;
use std::io;
use std::time::Duration;

use feed::Violation;
use http::StatusCode;
use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::address::{self, ControllerUrl};
use super::credentials::CredentialsError;

/// Why a controller could not be used, or was lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("the name cannot be resolved: {0}; check the Service and the cluster's DNS")]
    Resolve(io::Error),
    #[error("cannot connect: {0}; is the controller running, and may this pod reach its port?")]
    Connect(io::Error),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("HTTP/2: {0}")]
    Http(String),
    #[error("answered {status}: {hint}{excerpt}")]
    Answer { status: StatusCode, hint: &'static str, excerpt: String },
    #[error("no answer within {} s while {doing}", .limit.as_secs_f32())]
    Timeout { doing: &'static str, limit: Duration },
    #[error("not heard for {} s", .0.as_secs_f32())]
    Silence(Duration),
    #[error("did not send everything within {} s; it may not know its cluster yet", .0.as_secs_f32())]
    NotSynced(Duration),
    #[error("said what it must not: {0}; are both ends Forebay, and at most one release apart?")]
    Violation(Violation),
    #[error("said goodbye: {0}")]
    Bye(String),
    #[error("closed the connection")]
    Ended,
}

impl Fault {
    /// Every label.
    pub const LABELS: [&'static str; 10] =
        ["credentials", "resolve", "connect", "tls", "http", "unauthorized", "timeout", "violation", "bye", "ended"];

    /// The label it is counted by.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Credentials(_) => "credentials",
            Self::Resolve(_) => "resolve",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Answer { status, .. } if matches!(status.as_u16(), 401 | 403) => "unauthorized",
            Self::Http(_) | Self::Answer { .. } => "http",
            Self::Timeout { .. } | Self::Silence(_) | Self::NotSynced(_) => "timeout",
            Self::Violation(_) => "violation",
            Self::Bye(_) => "bye",
            Self::Ended => "ended",
        }
    }

    /// Of a TLS handshake, or of what is read right after it: a refused client certificate shows there.
    pub fn of_tls(error: &io::Error, known_as: &[ControllerUrl]) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
            return Self::Tls(format!("{error}; the controller broke off the handshake"));
        };
        Self::Tls(match tls {
            TlsError::InvalidCertificate(problem) => of_certificate(problem, known_as),
            TlsError::AlertReceived(AlertDescription::ProtocolVersion) => {
                "the controller does not speak TLS 1.3; is this a controller's feed port?".to_owned()
            }
            TlsError::NoApplicationProtocol | TlsError::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                "the controller does not speak HTTP/2; is this a controller's feed port?".to_owned()
            }
            TlsError::InvalidMessage(_) => {
                "the other end does not speak TLS; is this a controller's feed port?".to_owned()
            }
            TlsError::AlertReceived(alert) => of_alert(*alert),
            other => other.to_string(),
        })
    }

    /// Of an exchange that broke: hyper wraps h2's error, and that the socket's.
    pub fn of_http(error: &hyper::Error, known_as: &[ControllerUrl]) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        let mut words = error.to_string();
        while let Some(inner) = cause {
            let h2 = inner.downcast_ref::<h2::Error>();
            match h2.and_then(h2::Error::get_io).or_else(|| inner.downcast_ref::<io::Error>()) {
                Some(io) if io.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<TlsError>) => {
                    return Self::of_tls(io, known_as);
                }
                Some(io) if io.kind() == io::ErrorKind::UnexpectedEof => return Self::Ended,
                Some(io) => words = io.to_string(),
                None => words = inner.to_string(),
            }
            cause = inner.source();
        }
        Self::Http(words)
    }

    /// Of a status other than the one hoped for; `body` is the beginning of what came with it.
    pub fn of_status(status: StatusCode, body: &[u8]) -> Self {
        let hint = match status.as_u16() {
            401 => {
                "it does not accept who we are; --token must be projected for the audience forebay.dev, or \
                 --client-certificate be signed by its --feed-client-ca"
            }
            403 => {
                "this identity may not see what is asked; list its ServiceAccount with the controller's \
                 --proxy-service-account, or ask for groups of its own namespace with --group"
            }
            404 | 405 => "there is no feed; is this a controller's feed port, and not its --admin?",
            421 => "it does not lead; the next sign of life names who does",
            200..=299 => "this is no feed; is it a controller's feed port?",
            500..=599 => "the controller is in trouble; its log says why",
            _ => "this was not expected of a controller",
        };
        let text: String = String::from_utf8_lossy(body).chars().take(120).collect();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let excerpt = if text.is_empty() { String::new() } else { format!(": \"{text}\"") };
        Self::Answer { status, hint, excerpt }
    }
}

fn of_certificate(problem: &CertificateError, known_as: &[ControllerUrl]) -> String {
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the controller's certificate is not signed by an authority in --controller-ca; mount what the controller \
             publishes in its ConfigMap (--ca-config-map)"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the controller's certificate has expired; renew it, or let the controller make its own, and compare the \
             clocks"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the controller's certificate is not valid yet; compare the clocks".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "the controller's certificate is not for {}; add it with the controller's --feed-name, or use a name it is \
             for in --controller",
            address::hosts(known_as)
        ),
        other => format!("the controller's certificate is refused: {other:?}"),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the controller asks for a client certificate; give --client-certificate and --client-key".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => {
            format!(
                "the controller refuses --client-certificate ({alert:?}); it must be signed by its --feed-client-ca"
            )
        }
        other => format!("the controller broke off with the alert {other:?}"),
    }
}
