//! A certificate and its key as a Secret holds them: whether they can be served, and what the certificate says of itself.
//!
//! The checks are those of the TLS library that will serve them. Nothing said here repeats a byte of a key.

use std::time::Duration;

use config::{CertificateId, Diagnostic, HostPattern, Severity};
use jiff::{SignedDuration, Timestamp};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::codes;

/// A certificate that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The DNS names it is for, lower case: exact ones, or `*.NAME` (RFC 6125 section 6.4.3).
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why a certificate and its key cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// No block of a certificate could be read.
    #[error("has no certificate in tls.crt: {0}")]
    Certificate(String),
    /// No block of a private key could be read.
    #[error("has no private key in tls.key: {0}")]
    Key(String),
    /// They do not belong together, or one is of a form that cannot be used.
    #[error("has a key that does not match its certificate")]
    Mismatch,
    /// One is of a form that cannot be used.
    #[error("has a certificate or key that cannot be used: {0}")]
    Unusable(String),
}

/// How a certificate stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is valid.
    Valid,
    /// It is not valid before this moment.
    Early(Timestamp),
    /// It is not valid after this moment.
    Expired(Timestamp),
}

impl Validity {
    /// What to say of the certificate in the Secret `id`, of which `what` becomes; the caller adds the field.
    pub fn doubt(self, id: &CertificateId, what: &str) -> Option<Diagnostic> {
        let when = match self {
            Self::Valid => return None,
            Self::Early(from) => format!("is not valid before {from}"),
            Self::Expired(until) => format!("expired at {until}"),
        };
        let message = format!("the certificate of Secret {id} {when}; {what}");
        let warning = Diagnostic::new(codes::CERTIFICATE_TIME, Severity::Warning, message);
        Some(warning.hint("renew the certificate, or set this machine's clock"))
    }
}

impl Leaf {
    /// Reads and checks a pair in PEM.
    pub fn read(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<Self, Flaw> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| Flaw::Certificate(error.to_string()))?;
        let Some(leaf) = chain.first().cloned() else {
            return Err(Flaw::Certificate("there is no block of a CERTIFICATE".to_owned()));
        };
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| Flaw::Key(error.to_string()))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Flaw::Mismatch,
            other => Flaw::Unusable(other.to_string()),
        })?;
        let (_, parsed) = X509Certificate::from_der(&leaf).map_err(|error| Flaw::Unusable(error.to_string()))?;
        let validity = parsed.validity();
        // A date beyond what a Timestamp can hold is as good as never.
        let moment = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        let names = parsed.subject_alternative_name().ok().flatten();
        Ok(Self {
            names: names.map_or_else(Vec::new, |names| dns_names(&names.value.general_names)),
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
        })
    }

    /// How it stands at `now`.
    pub fn validity(&self, now: Timestamp) -> Validity {
        if now < self.not_before {
            Validity::Early(self.not_before)
        } else if now > self.not_after {
            Validity::Expired(self.not_after)
        } else {
            Validity::Valid
        }
    }

    /// The next moment after `now` at which [`Self::validity`] is another.
    pub fn changes_after(&self, now: Timestamp) -> Option<Timestamp> {
        match self.validity(now) {
            Validity::Early(from) => Some(from),
            // It is valid through that second (RFC 5280 section 4.1.2.5).
            Validity::Valid => self.not_after.checked_add(SignedDuration::from_secs(1)).ok(),
            Validity::Expired(_) => None,
        }
    }

    /// Whether a client that asks for such a host would accept it. Nobody asks for [`HostPattern::Any`].
    pub fn covers(&self, host: &HostPattern) -> bool {
        let wildcard = |suffix: &str| self.names.iter().any(|name| name.strip_prefix("*.") == Some(suffix));
        match host {
            HostPattern::Exact(host) => {
                self.names.iter().any(|name| **name == **host)
                    || host.split_once('.').is_some_and(|(_, suffix)| wildcard(suffix))
            }
            HostPattern::Wildcard(suffix) => wildcard(suffix),
            HostPattern::Any => false,
        }
    }

    /// The names it is for, for people.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// How long after `now` it is time to look whether `until` has come: at most an hour, because clocks are set and machines
/// sleep; at least a second.
pub fn look_again_in(until: Timestamp, now: Timestamp) -> Duration {
    let rest = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    rest.clamp(Duration::from_secs(1), Duration::from_hours(1))
}

/// The key library of every check here.
pub fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// When a certificate expires.
pub fn expiry(certificate: &CertificateDer<'_>) -> Result<Timestamp, String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    Ok(Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX))
}

fn dns_names(names: &[GeneralName<'_>]) -> Vec<String> {
    let dns = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    dns.collect()
}
