//! TLS of the feed: 1.3 alone, HTTP/2 alone, no resumption, so that every connection is checked by what is trusted now.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

/// What connections are accepted with. Replaced as a whole when a certificate is renewed; connections keep theirs.
#[derive(Clone)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or its key.
    #[error(
        "the serving certificate cannot be used: {0}; it needs a PEM chain and the private key of its first certificate"
    )]
    Serving(String),
    /// The CA of the clients.
    #[error("the CA of client certificates cannot be used: {0}; it needs one or more PEM certificates")]
    Clients(String),
}

impl Tls {
    /// Serves with `chain` and its key; asks for client certificates if there is a CA for them (PEM), and takes clients that
    /// have none, who then need a token.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        client_ca: Option<&[u8]>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients = client_ca.map(|pem| client_verifier(pem, provider.clone())).transpose()?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| TlsError::Serving(error.to_string()))?;
        let builder = match &clients {
            Some(clients) => builder.with_client_cert_verifier(clients.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| TlsError::Serving(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), clients })
    }

    /// The same of PEM texts.
    pub fn from_pem(chain: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, TlsError> {
        let fail = |error: rustls_pki_types::pem::Error| TlsError::Serving(error.to_string());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(fail)?;
        Self::new(chain, PrivateKeyDer::from_pem_slice(key).map_err(fail)?, client_ca)
    }

    /// Whether a client's chain would be accepted `now`.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), String> {
        let (Some(clients), [leaf, rest @ ..]) = (&self.clients, chain) else {
            return Err("client certificates are no longer taken".to_owned());
        };
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        clients.verify_client_cert(leaf, rest, now).map(drop).map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("clients", &self.clients.is_some()).finish_non_exhaustive()
    }
}

fn client_verifier(
    pem: &[u8],
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let fail = |problem: String| TlsError::Clients(problem);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        roots.add(certificate).map_err(|error| fail(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated();
    verifier.build().map_err(|error| fail(error.to_string()))
}
