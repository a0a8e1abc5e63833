//! What Secrets and `ConfigMap`s hold of certificates: pairs of a certificate with its key, and the authorities to believe.

use std::sync::Arc;

use config::{Certificate, Code};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::certificate::{self, Flaw, Leaf};
use crate::codes;
use crate::document::{Objects, Store};
use crate::kind::Kind;
use crate::services::MEND;

/// The key of a certificate chain.
pub const CERTIFICATE: &str = "tls.crt";
/// The key of a chain's private key.
pub const PRIVATE_KEY: &str = "tls.key";
/// The key of the authorities' certificates.
pub const AUTHORITIES: &str = "ca.crt";

/// How a Secret with a pair is made.
pub const MAKE_PAIR: &str = "kubectl create secret tls makes such a Secret from a certificate and its key";

/// Reads them.
pub struct Keyring<'o> {
    objects: &'o Objects,
    provider: CryptoProvider,
}

/// A certificate and its key that can be used.
pub struct Pair<'o> {
    pub chain: &'o str,
    pub key: &'o str,
    pub leaf: Leaf,
}

/// Certificates of authorities that can be used.
pub struct Authorities {
    /// The certificates and nothing else that stood there: a key beside them would travel with the group.
    pub pem: Arc<str>,
    /// When the last of them expires.
    pub until: Timestamp,
}

/// Why an object cannot be used, as the end of a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("does not exist")]
    Missing {
        /// What was likely meant.
        near: Option<String>,
    },
    #[error("is refused")]
    Refused,
    #[error("is of type {0}, not kubernetes.io/tls")]
    Type(String),
    #[error("has no {0}")]
    Key(&'static str),
    #[error("has no certificate in ca.crt")]
    NoAuthority,
    #[error("has a certificate in ca.crt that cannot be used: {0}")]
    Authority(String),
    #[error(transparent)]
    Flaw(#[from] Flaw),
}

impl<'o> Keyring<'o> {
    /// Of these objects.
    pub fn new(objects: &'o Objects) -> Self {
        Self { objects, provider: certificate::provider() }
    }

    /// The pair in a Secret of type `kubernetes.io/tls`.
    pub fn pair(&self, namespace: &str, name: &str) -> Result<Pair<'o>, Unusable> {
        let secret = self.secret(namespace, name)?;
        match secret.type_.as_deref() {
            Some("kubernetes.io/tls") => {}
            other => return Err(Unusable::Type(other.filter(|kind| !kind.is_empty()).unwrap_or("Opaque").to_owned())),
        }
        let chain = of_secret(secret, CERTIFICATE)?;
        let key = of_secret(secret, PRIVATE_KEY)?;
        self.checked(chain, key)
    }

    /// The pair that a Secret held once.
    pub fn pair_of<'h>(&self, held: &'h Certificate) -> Result<Pair<'h>, Unusable> {
        self.checked(&held.chain, held.key.pem())
    }

    fn checked<'p>(&self, chain: &'p str, key: &'p str) -> Result<Pair<'p>, Unusable> {
        let leaf = Leaf::read(chain.as_bytes(), key.as_bytes(), &self.provider)?;
        Ok(Pair { chain, key, leaf })
    }

    /// The authorities in a Secret, of whatever type.
    pub fn authorities_of_secret(&self, namespace: &str, name: &str) -> Result<Authorities, Unusable> {
        Authorities::read(of_secret(self.secret(namespace, name)?, AUTHORITIES)?)
    }

    /// The authorities in a `ConfigMap`.
    pub fn authorities_of_config_map(&self, namespace: &str, name: &str) -> Result<Authorities, Unusable> {
        let Some(map) = self.objects.config_maps.find(namespace, name) else {
            return Err(self.absent(&self.objects.config_maps, namespace, name));
        };
        let text = map.data.as_ref().and_then(|data| data.get(AUTHORITIES)).map(String::as_bytes);
        let bytes = text.or_else(|| Some(&*map.binary_data.as_ref()?.get(AUTHORITIES)?.0));
        Authorities::read(text_of(bytes, AUTHORITIES)?)
    }

    fn secret(&self, namespace: &str, name: &str) -> Result<&'o Secret, Unusable> {
        let secret = self.objects.secrets.find(namespace, name);
        secret.map(|secret| &secret.object).ok_or_else(|| self.absent(&self.objects.secrets, namespace, name))
    }

    fn absent<T: Kind>(&self, store: &Store<T>, namespace: &str, name: &str) -> Unusable {
        if self.objects.is_refused(T::KIND, namespace, name) {
            Unusable::Refused
        } else {
            Unusable::Missing { near: store.nearest(namespace, name) }
        }
    }
}

impl Authorities {
    fn read(text: &str) -> Result<Self, Unusable> {
        let pem = certificates_alone(text);
        let unusable = |error: String| Unusable::Authority(error);
        let (mut roots, mut until) = (RootCertStore::empty(), Timestamp::MIN);
        for one in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let one = one.map_err(|error| unusable(error.to_string()))?;
            until = until.max(certificate::expiry(&one).map_err(unusable)?);
            roots.add(one).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(Unusable::NoAuthority);
        }
        Ok(Self { pem: pem.into(), until })
    }
}

impl Unusable {
    /// The code of it in a Secret.
    pub fn code_of_secret(&self) -> Code {
        if self.is_absence() { codes::SECRET_MISSING } else { codes::SECRET_UNUSABLE }
    }

    /// The code of it in a `ConfigMap`.
    pub fn code_of_config_map(&self) -> Code {
        if self.is_absence() { codes::CONFIG_MAP_MISSING } else { codes::CONFIG_MAP_UNUSABLE }
    }

    /// How to mend it; `make` says how such an object is made.
    pub fn hint(&self, make: &str) -> String {
        match self {
            Self::Missing { near: Some(near) } => format!("did you mean {near}?"),
            Self::Refused => MEND.to_owned(),
            Self::Missing { near: None }
            | Self::Type(_)
            | Self::Key(_)
            | Self::NoAuthority
            | Self::Authority(_)
            | Self::Flaw(_) => make.to_owned(),
        }
    }

    fn is_absence(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Refused => true,
            Self::Type(_) | Self::Key(_) | Self::NoAuthority | Self::Authority(_) | Self::Flaw(_) => false,
        }
    }
}

/// The text of a key; `stringData` precedes `data`, as the API server merges them.
fn of_secret<'s>(secret: &'s Secret, key: &'static str) -> Result<&'s str, Unusable> {
    let text = secret.string_data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
    text_of(text.or_else(|| Some(&*secret.data.as_ref()?.get(key)?.0)), key)
}

/// PEM is ASCII (RFC 7468); what else stands in the file is for people.
fn text_of<'s>(bytes: Option<&'s [u8]>, key: &'static str) -> Result<&'s str, Unusable> {
    let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.filter(|text| !text.trim().is_empty()).ok_or(Unusable::Key(key))
}

/// The blocks of certificates, with nothing between them.
fn certificates_alone(text: &str) -> String {
    let mut alone = String::new();
    let mut is_within = false;
    for line in text.lines().map(str::trim) {
        is_within |= line == "-----BEGIN CERTIFICATE-----";
        if is_within {
            alone.push_str(line);
            alone.push('\n');
        }
        is_within &= line != "-----END CERTIFICATE-----";
    }
    alone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_certificates_travels() {
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap();
        let text = format!("# ours\n{}{}\nmore\n{}", cert.pem(), signing_key.serialize_pem(), cert.pem());
        let read = Authorities::read(&text).unwrap();
        assert_eq!(*read.pem, format!("{0}{0}", cert.pem().replace('\r', "")));
        // rcgen: until 4096-01-01.
        assert_eq!(read.until.as_second(), 67_090_118_400);
        for (text, why) in [
            (signing_key.serialize_pem(), "has no certificate in ca.crt"),
            (cert.pem().replace("MII", "AII"), "has a certificate in ca.crt that cannot be used: "),
            (cert.pem().replace("-----END", ""), "has a certificate in ca.crt that cannot be used: "),
        ] {
            let said = Authorities::read(&text).err().unwrap().to_string();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
