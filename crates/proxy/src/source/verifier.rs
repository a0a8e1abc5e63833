//! Whose certificate is believed: one that the authority signed for one of several hosts. A URL has one. The leader, whom a
//! sign of life names by address, may be any of the controllers that an operator wrote down, each with a certificate for its
//! own host; for the address alone, which is what another told, nobody is believed.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// The library's rules, for each host in turn.
#[derive(Debug)]
pub(super) struct ForOneOf {
    pub hosts: Vec<ServerName<'static>>,
    pub rules: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for ForOneOf {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut refusal = CertificateError::NotValidForName.into();
        for host in &self.hosts {
            match self.rules.verify_server_cert(certificate, chain, host, ocsp, now) {
                Err(error) => refusal = error,
                verified => return verified,
            }
        }
        Err(refusal)
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
