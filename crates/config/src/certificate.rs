//! A certificate with its private key and the hosts it answers for: complete in itself, so that no route refers to one. The
//! texts are carried, not parsed: whoever makes one from a Secret has checked that they belong together.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::HostPattern;

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// PEM: the end entity's certificate first, then its issuers (RFC 8446 section 4.4.2).
    pub chain: Arc<str>,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: PrivateKey,
    /// Whom it is presented to, by the name that the client asks for (RFC 6066 section 3). [`HostPattern::Any`] makes it the
    /// default: for clients that name no host, or one that no other certificate is for. One that groups alone show to their
    /// servers has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
}

/// A private key in PEM. It is serialised, because a data plane must be sent it, and never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrivateKey(Arc<str>);

impl PrivateKey {
    /// Takes the PEM text.
    pub fn new(pem: &str) -> Self {
        Self(pem.into())
    }

    /// The PEM text, for the TLS library alone.
    pub fn pem(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let certificate = Certificate { chain: "public".into(), key: PrivateKey::new("secret"), hosts: vec![] };
        assert_eq!(format!("{certificate:?}"), r#"Certificate { chain: "public", key: PrivateKey(..), hosts: [] }"#);
    }
}
