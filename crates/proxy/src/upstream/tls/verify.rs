//! Whose certificate is believed. The rules are the library's (RFC 5280, RFC 9525: subject alternative names alone); here is
//! what it leaves out and OpenSSL does: a certificate that is itself among the authorities, as who signs their own has it, is
//! believed for its names and its time.

use std::sync::Arc;

use config::Trust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Unusable, roots};

/// The rules for `trust`.
pub(super) fn verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, Unusable> {
    let unusable = |error: String| Unusable::Authorities(error);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (roots, known) = match trust {
        Trust::Anybody => return Ok(Arc::new(Anybody(provider))),
        Trust::System => (roots::system()?, Vec::new()),
        Trust::Authorities(pem) => {
            let known: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            let known = known.map_err(|error| unusable(error.to_string()))?;
            let mut roots = RootCertStore::empty();
            known.iter().try_for_each(|one| roots.add(one.clone())).map_err(|error| unusable(error.to_string()))?;
            (Arc::new(roots), known)
        }
    };
    let rules = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
    Ok(Arc::new(Believed { rules: rules.map_err(|error| unusable(error.to_string()))?, known }))
}

/// Who is signed by an authority, or is one of `known`.
#[derive(Debug)]
struct Believed {
    rules: Arc<WebPkiServerVerifier>,
    known: Vec<CertificateDer<'static>>,
}

/// Everybody (nginx `proxy_ssl_verify off`), who must still have the key to the certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Believed {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.known.contains(certificate) {
            return self.rules.verify_server_cert(certificate, chain, name, ocsp, now);
        }
        let (_, x509) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let (from, until) = (x509.validity().not_before.timestamp(), x509.validity().not_after.timestamp());
        let present = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if present < from {
            return Err(CertificateError::NotValidYet.into());
        }
        if present > until {
            return Err(CertificateError::Expired.into());
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rules.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
