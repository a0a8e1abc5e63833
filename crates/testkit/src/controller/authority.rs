//! An authority that signs what a test asks for, right or wrong.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

/// An authority, its certificate in a file.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it is for 127.0.0.1 and localhost, for years.
    None,
    /// It is for another name.
    OtherName,
    /// It ended long ago.
    Expired,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When no key or no file can be made.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let dir = tempfile::Builder::new().prefix("forebay-ca-").tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("ca.crt"), issuer.as_ref().pem()).expect("a file is written");
        Self { issuer, dir }
    }

    /// Its certificate, PEM.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// The certificate as text.
    pub fn pem(&self) -> String {
        self.issuer.as_ref().pem()
    }

    pub(super) fn server(&self, flaw: Flaw) -> Arc<ServerConfig> {
        let names = match flaw {
            Flaw::None | Flaw::Expired => vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
            Flaw::OtherName => vec!["elsewhere.example".to_owned()],
        };
        let mut params = CertificateParams::new(names).expect("names");
        if flaw == Flaw::Expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2001, 2, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key fits");
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}
