//! What a data plane proves itself by, and whom it believes. Every file is read at each connect, because the kubelet renews
//! tokens and a rotated authority is mounted under the same name; so nothing here is kept.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::address::ControllerUrl;
use super::verifier::ForOneOf;

/// The files.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The authorities whose certificates a controller may show, PEM.
    pub controller_ca: PathBuf,
    /// A token, as the kubelet projects it.
    pub token: Option<PathBuf>,
    /// A certificate chain and its key, PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A file that does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {}: {problem}", .path.display())]
pub struct CredentialsError {
    flag: &'static str,
    path: PathBuf,
    problem: String,
}

impl Credentials {
    /// Whether every file can be read, before anything else is tried. What is in them is looked at when they are used.
    pub fn check(&self) -> Result<(), CredentialsError> {
        read(CA, &self.controller_ca)?;
        self.token.iter().try_for_each(|path| read(TOKEN, path).map(drop))?;
        let Some((chain, key)) = &self.certificate else { return Ok(()) };
        read(CERTIFICATE, chain)?;
        read(KEY, key).map(drop)
    }

    /// How to speak TLS with a controller that is known by any of these hosts: 1.3 alone, HTTP/2 alone.
    pub(super) fn tls(&self, hosts: &[ControllerUrl]) -> Result<Arc<ClientConfig>, CredentialsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| wrong(CA, &self.controller_ca, error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ForOneOf {
                hosts: hosts.iter().map(ControllerUrl::server_name).collect(),
                rules: self.rules(provider)?,
            }));
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let certificates = certificates(CERTIFICATE, chain)?;
                let private = PrivateKeyDer::from_pem_slice(&read(KEY, key)?);
                let private = private.map_err(|error| wrong(KEY, key, format_args!("no private key: {error}")))?;
                builder.with_client_auth_cert(certificates, private).map_err(|error| wrong(KEY, key, error))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// The value of `Authorization`, if a token is used.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, CredentialsError> {
        let Some(path) = &self.token else { return Ok(None) };
        let bytes = read(TOKEN, path)?;
        let token = bytes.trim_ascii();
        if token.is_empty() {
            return Err(wrong(TOKEN, path, "the file is empty"));
        }
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
            .map_err(|_| wrong(TOKEN, path, "it holds more than one line"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn rules(&self, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, CredentialsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(CA, &self.controller_ca)? {
            roots.add(certificate).map_err(|error| wrong(CA, &self.controller_ca, error))?;
        }
        WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .map_err(|error| wrong(CA, &self.controller_ca, error))
    }
}

const CA: &str = "--controller-ca";
const TOKEN: &str = "--token";
const CERTIFICATE: &str = "--client-certificate";
const KEY: &str = "--client-key";

fn certificates(flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let pem = read(flag, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| wrong(flag, path, format_args!("not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(wrong(flag, path, "it holds no certificate"));
    }
    Ok(certificates)
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, CredentialsError> {
    std::fs::read(path).map_err(|error| wrong(flag, path, format_args!("cannot be read: {error}")))
}

fn wrong(flag: &'static str, path: &Path, problem: impl fmt::Display) -> CredentialsError {
    CredentialsError { flag, path: path.to_owned(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_read_anew_and_problems_name_the_flag() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let authority = rcgen::generate_simple_self_signed(vec!["controller".to_owned()]).unwrap();
        let certificate = Some((at("tls.crt"), at("tls.key")));
        let credentials = Credentials { controller_ca: at("ca.crt"), token: Some(at("token")), certificate };
        let said = |error: CredentialsError| error.to_string();
        assert!(said(credentials.check().unwrap_err()).starts_with("--controller-ca /"));
        fs::write(at("ca.crt"), "nothing").unwrap();
        fs::write(at("token"), "").unwrap();
        fs::write(at("tls.crt"), authority.cert.pem()).unwrap();
        assert!(said(credentials.check().unwrap_err()).contains("tls.key: cannot be read: No such file"));
        fs::write(at("tls.key"), "no key").unwrap();
        assert_eq!(credentials.check(), Ok(()));
        assert!(said(credentials.tls(&[]).unwrap_err()).ends_with("ca.crt: it holds no certificate"));
        fs::write(at("ca.crt"), authority.cert.pem()).unwrap();
        assert!(said(credentials.tls(&[]).unwrap_err()).contains("--client-key"));
        fs::write(at("tls.key"), authority.signing_key.serialize_pem()).unwrap();
        assert_eq!(credentials.tls(&[]).unwrap().alpn_protocols, [b"h2"]);

        assert!(said(credentials.authorization().unwrap_err()).ends_with("token: the file is empty"));
        fs::write(at("token"), "two\nlines").unwrap();
        assert!(said(credentials.authorization().unwrap_err()).ends_with("more than one line"));
        fs::write(at("token"), "abc\n").unwrap();
        let value = credentials.authorization().unwrap().unwrap();
        assert!(value == "Bearer abc" && value.is_sensitive());
    }
}
