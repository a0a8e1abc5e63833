//! The certificates in force, found by the host that a client asks for: an exact one before a wildcard before the default, as
//! with routes (and nginx's `server_name`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use config::{Certificate, CertificateId, HostPattern};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Every certificate, ready for handshakes.
#[derive(Default)]
pub struct Certificates {
    exact: HashMap<Arc<str>, Arc<ServerConfig>>,
    /// By suffix without the `*.`.
    wildcard: HashMap<Arc<str>, Arc<ServerConfig>>,
    default: Option<Arc<ServerConfig>>,
    loaded: BTreeMap<CertificateId, Loaded>,
}

/// A certificate that cannot be served: its texts are no PEM, or certificate and key do not belong together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// One of the texts is no PEM.
    #[error("its PEM cannot be read: {0}")]
    Pem(String),
    /// The library refuses it.
    #[error("it cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// It does not say until when it is valid.
    #[error("it is no X.509 certificate: {0}")]
    X509(String),
}

/// A certificate with what was made of it, to be shared while it does not change.
struct Loaded {
    source: Arc<Certificate>,
    server: Arc<ServerConfig>,
    expiry: Expiry,
}

/// When a certificate expires: seconds since the epoch (`notAfter`, RFC 5280 section 4.1.2.5).
type Expiry = i64;

/// Whether a certificate could be served: what a data plane asks before it acknowledges one.
pub fn certificate_check(certificate: &Certificate) -> Result<(), CertificateError> {
    certified(certificate, &aws_lc_rs::default_provider()).map(drop)
}

impl Certificates {
    /// The certificates that follow `last`. One that cannot be served is named and harms no other; if `last` has an earlier
    /// version of it, that one stays.
    pub(crate) fn next(
        last: &Self,
        configured: &BTreeMap<CertificateId, Arc<Certificate>>,
        base: &ServerConfig,
    ) -> (Self, Vec<(CertificateId, CertificateError)>) {
        let mut next = Self::default();
        let mut refused = Vec::new();
        for (id, certificate) in configured {
            let known = last.loaded.get(id);
            let is_same =
                |loaded: &&Loaded| loaded.source.chain == certificate.chain && loaded.source.key == certificate.key;
            let (server, expiry) = match known.filter(is_same) {
                Some(loaded) => (loaded.server.clone(), loaded.expiry),
                None => match certified(certificate, base.crypto_provider()) {
                    Ok((key, expiry)) => (serving(base, key), expiry),
                    Err(error) => {
                        refused.push((id.clone(), error));
                        let Some(loaded) = known else { continue };
                        next.present(&certificate.hosts, &loaded.server);
                        next.loaded.insert(id.clone(), loaded.clone());
                        continue;
                    }
                },
            };
            next.present(&certificate.hosts, &server);
            next.loaded.insert(id.clone(), Loaded { source: certificate.clone(), server, expiry });
        }
        (next, refused)
    }

    /// Whether there is none for any host.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.default.is_none()
    }

    /// When each of them expires, in seconds since the epoch.
    pub fn expiries(&self) -> impl Iterator<Item = (&CertificateId, Expiry)> {
        self.loaded.iter().map(|(id, loaded)| (id, loaded.expiry))
    }

    /// Of each host pattern the certificate that its clients are answered with, and when it expires, in seconds since the epoch.
    pub fn presented<'a>(&'a self) -> impl Fn(&HostPattern) -> Option<(&'a CertificateId, Expiry)> {
        let loaded = self.loaded.iter().map(|(id, loaded)| (Arc::as_ptr(&loaded.server), (id, loaded.expiry)));
        let loaded: HashMap<_, _> = loaded.collect();
        move |host| {
            let server = match host {
                HostPattern::Exact(name) => self.find(Some(name)),
                HostPattern::Wildcard(suffix) => self.wildcard.get(suffix).or(self.default.as_ref()),
                HostPattern::Any => self.default.as_ref(),
            };
            loaded.get(&Arc::as_ptr(server?)).copied()
        }
    }

    /// What a client that asks for `host` (RFC 6066 section 3), or for none, is answered with.
    pub(crate) fn find(&self, host: Option<&str>) -> Option<&Arc<ServerConfig>> {
        let named = host.and_then(|host| {
            let wildcard = || self.wildcard.get(host.split_once('.')?.1);
            self.exact.get(host).or_else(wildcard)
        });
        named.or(self.default.as_ref())
    }

    /// Gives hosts to a certificate; where two claim one, which whoever makes a configuration avoids, the first keeps it.
    fn present(&mut self, hosts: &[HostPattern], server: &Arc<ServerConfig>) {
        for host in hosts {
            match host {
                HostPattern::Exact(name) => {
                    self.exact.entry(name.clone()).or_insert_with(|| server.clone());
                }
                HostPattern::Wildcard(suffix) => {
                    self.wildcard.entry(suffix.clone()).or_insert_with(|| server.clone());
                }
                HostPattern::Any => {
                    self.default.get_or_insert_with(|| server.clone());
                }
            }
        }
    }
}

impl Clone for Loaded {
    fn clone(&self) -> Self {
        let Self { source, server, expiry } = self;
        Self { source: source.clone(), server: server.clone(), expiry: *expiry }
    }
}

impl fmt::Debug for Certificates {
    /// The names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.loaded.keys().map(ToString::to_string)).finish()
    }
}

fn serving(base: &ServerConfig, key: CertifiedKey) -> Arc<ServerConfig> {
    let mut server = base.clone();
    server.cert_resolver = Arc::new(SingleCertAndKey::from(key));
    Arc::new(server)
}

fn certified(certificate: &Certificate, provider: &CryptoProvider) -> Result<(CertifiedKey, Expiry), CertificateError> {
    let refuse = |error: pem::Error| CertificateError::Pem(error.to_string());
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(certificate.key.pem().as_bytes()).map_err(refuse)?;
    let certified = CertifiedKey::from_der(chain.map_err(refuse)?, key, provider)?;
    let (_, leaf) = X509Certificate::from_der(certified.end_entity_cert()?)
        .map_err(|error| CertificateError::X509(error.to_string()))?;
    let expiry = leaf.validity().not_after.timestamp();
    Ok((certified, expiry))
}

#[cfg(test)]
impl Certificates {
    /// One certificate, `shop/tls`, which expires at this moment.
    pub(crate) fn sample(expiry: Expiry) -> Self {
        let server = Arc::new(crate::tls::base().expect("the library has its own algorithms"));
        let (chain, key, hosts) =
            ("".into(), config::PrivateKey::new(""), vec![HostPattern::Exact("shop.example".into())]);
        let mut sample = Self::default();
        sample.present(&hosts, &server);
        let loaded = Loaded { source: Arc::new(Certificate { chain, key, hosts }), server, expiry };
        sample.loaded.insert(CertificateId::new("shop", "tls"), loaded);
        sample
    }
}

#[cfg(test)]
mod tests {
    use config::PrivateKey;

    use super::*;

    fn certificate(hosts: &[&str]) -> Arc<Certificate> {
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap();
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        Arc::new(Certificate { chain: cert.pem().into(), key: PrivateKey::new(&signing_key.serialize_pem()), hosts })
    }

    fn id(name: &str) -> CertificateId {
        CertificateId::new("shop", name)
    }

    fn next(last: &Certificates, all: &[(&str, &Arc<Certificate>)]) -> (Certificates, Vec<CertificateId>) {
        let all = all.iter().map(|(name, one)| (id(name), Arc::clone(one))).collect();
        let (next, refused) = Certificates::next(last, &all, &crate::tls::base().unwrap());
        (next, refused.into_iter().map(|(id, _)| id).collect())
    }

    #[test]
    fn exact_before_wildcard_before_default() {
        let (exact, wide, default) = (certificate(&["a.example"]), certificate(&["*.example"]), certificate(&["*"]));
        let (all, refused) = next(&Certificates::default(), &[("exact", &exact), ("wide", &wide), ("any", &default)]);
        assert_eq!(refused, []);
        let found = |host| {
            let found = all.find(host).unwrap();
            all.loaded.iter().find(|(_, loaded)| Arc::ptr_eq(&loaded.server, found)).unwrap().0.name().to_owned()
        };
        for (host, name) in [
            (Some("a.example"), "exact"),
            (Some("b.example"), "wide"),
            (Some("x.b.example"), "any"),
            (Some("example"), "any"),
            (None, "any"),
        ] {
            assert_eq!(found(host), name, "{host:?}");
        }
        let (without, _) = next(&Certificates::default(), &[("exact", &exact)]);
        assert!(without.find(None).is_none() && without.find(Some("b.example")).is_none());
    }

    #[test]
    fn what_does_not_change_is_shared_and_a_broken_one_harms_nobody() {
        let (one, two) = (certificate(&["one.example"]), certificate(&["two.example"]));
        let (first, _) = next(&Certificates::default(), &[("one", &one), ("two", &two)]);
        let moved = Arc::new(Certificate { hosts: vec!["new.example".parse().unwrap()], ..Certificate::clone(&one) });
        let broken = Arc::new(Certificate { key: one.key.clone(), ..Certificate::clone(&two) });
        assert!(matches!(certificate_check(&broken), Err(CertificateError::Unusable(_))));
        let (second, refused) = next(&first, &[("new", &broken), ("one", &moved), ("two", &broken)]);
        assert_eq!(refused, [id("new"), id("two")]);
        let same = |before: &str, after: &str| {
            Arc::ptr_eq(first.find(Some(before)).unwrap(), second.find(Some(after)).unwrap())
        };
        assert!(same("one.example", "new.example"), "made anew although nothing changed");
        assert!(same("two.example", "two.example"), "the last good one is gone");
        assert!(second.find(Some("one.example")).is_none());
        assert_eq!(format!("{second:?}"), r#"{"shop/one", "shop/two"}"#);
        // rcgen: until 4096-01-01.
        let expiries: Vec<_> = second.expiries().map(|(id, expiry)| (id.name(), expiry)).collect();
        assert_eq!(expiries, [("one", 67_090_118_400), ("two", 67_090_118_400)]);
    }
}
