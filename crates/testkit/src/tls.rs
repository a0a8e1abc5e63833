//! Certificates and clients of TLS: an authority of the test's own, what it issued as a Secret, and a client that believes it
//! alone.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::SystemTime};

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Stream;

/// ALPN of HTTP/2.
pub const H2: &str = "h2";
/// ALPN of HTTP/1.1.
pub const HTTP1: &str = "http/1.1";

/// Issues certificates; its own is in a file.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    pub chain: String,
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When no key or no file can be made.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is a good list of names");
        // Certificates whose issuer has their own name pass for self-signed.
        params.distinguished_name.push(DnType::CommonName, "the test's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate of its own");
        let dir = tempfile::Builder::new().prefix("forebay-ca-").tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("ca.crt"), issuer.pem()).expect("a file is written");
        Self { issuer, dir }
    }

    /// Issues a certificate for these names.
    ///
    /// # Panics
    /// When a name is none.
    pub fn issue(&self, names: &[&str]) -> Pair {
        let (certificate, key) = self.sign(&params(names));
        Pair { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// Issues one that expires then.
    ///
    /// # Panics
    /// When a name is none.
    pub fn issue_until(&self, names: &[&str], expiry: SystemTime) -> Pair {
        let mut params = params(names);
        params.not_after = expiry.into();
        let (certificate, key) = self.sign(&params);
        Pair { chain: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn sign(&self, params: &CertificateParams) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// Its own certificate, PEM, in a file.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The object `default/NAME` of this kind with its own certificate under `ca.crt`.
    pub fn object(&self, kind: &str, name: &str) -> Value {
        let data = if kind == "Secret" { "stringData" } else { "data" };
        json!({
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "default"},
            data: {"ca.crt": self.pem()},
        })
    }

    /// A client that believes it alone, and offers these protocols (ALPN). Clones share their sessions.
    pub fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        self.client_of(&[&TLS13], protocols)
    }

    /// A client of these versions of TLS.
    ///
    /// # Panics
    /// When there is none.
    pub fn client_of(&self, versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> Arc<ClientConfig> {
        Arc::new(client(&[self], versions, protocols))
    }
}

/// A client that believes each of these authorities, and offers these protocols (ALPN).
pub fn believing(authorities: &[&Authority], protocols: &[&str]) -> ClientConfig {
    client(authorities, &[&TLS13], protocols)
}

fn client(
    authorities: &[&Authority],
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.issuer.der().clone()).expect("its own certificate is one");
    }
    let mut client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    client
}

impl Pair {
    /// A server that shows it, and speaks HTTP/1.1.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server_for(None)
    }

    /// A server that asks for certificates of `clients`, and lets nobody else in.
    ///
    /// # Panics
    /// When the pair is none.
    pub fn server_for(&self, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().expect("versions that the provider has");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.der().clone()).expect("its own certificate is one");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.expect("an authority"))
            }
        };
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key");
        let mut server = builder.with_single_cert(chain.expect("a chain"), key).expect("a pair");
        server.alpn_protocols = vec![HTTP1.as_bytes().to_vec()];
        Arc::new(server)
    }

    /// The Secret `default/NAME` of it.
    pub fn secret(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "default"},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": self.chain, "tls.key": self.key},
        })
    }
}

pub(crate) fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names")
}

/// Connects to `address` and asks for `host`; the certificate must be good for it.
pub async fn connect(address: SocketAddr, host: &str, client: &Arc<ClientConfig>) -> io::Result<Stream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = crate::patiently("a TLS handshake", TlsConnector::from(client.clone()).connect(name, stream)).await?;
    Ok(Stream::Tls(Box::new(stream.into())))
}
