//! Certificates: made, read and checked. ECDSA on P-256, which everything that speaks TLS 1.3 knows.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::plan::Span;

/// A CA's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub pem: String,
    pub der: CertificateDer<'static>,
    pub span: Span,
}

/// A CA: its certificate and the key to it.
pub struct Authority {
    pub certificate: Certificate,
    key: KeyPair,
}

/// A serving certificate.
#[derive(Debug)]
pub struct Leaf {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub span: Span,
}

/// What a serving certificate is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// Addresses: the pod's, which is what `beat` and headless Services lead to.
    pub addresses: Vec<IpAddr>,
}

impl Certificate {
    /// Reads one PEM certificate, which must be a CA's. Its text ends with a newline from then on: another may follow it.
    pub fn read(pem: &str) -> Result<Self, String> {
        let der =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("no PEM certificate: {error}"))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| format!("no certificate: {error}"))?;
        if !parsed.is_ca() {
            return Err("the certificate is not a CA's (basicConstraints CA:TRUE is missing)".to_owned());
        }
        let at = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| format!("its validity cannot be read: {error}"))
        };
        let span = Span { from: at(parsed.validity().not_before)?, until: at(parsed.validity().not_after)? };
        Ok(Self { pem: format!("{}\n", pem.trim()), der, span })
    }
}

impl Authority {
    /// A new one.
    pub fn make(now: Timestamp) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let span = Span::of_ca(now);
        let mut params = params("Forebay controller CA", span);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params.self_signed(&key)?;
        Ok(Self { certificate: Certificate { pem: made.pem(), der: made.der().clone(), span }, key })
    }

    /// Reads what [`Self::make`] made, or another's.
    pub fn read(certificate: &str, key: &str) -> Result<Self, String> {
        let certificate = Certificate::read(certificate)?;
        let key = KeyPair::from_pem(key).map_err(|error| format!("no PEM private key: {error}"))?;
        let (_, parsed) = X509Certificate::from_der(&certificate.der).map_err(|error| error.to_string())?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err("the private key is not the certificate's".to_owned());
        }
        Ok(Self { certificate, key })
    }

    /// Signs a serving certificate.
    pub fn issue(&self, names: &Names, now: Timestamp) -> Result<Leaf, rcgen::Error> {
        let span = Span::of_leaf(now, self.certificate.span);
        let mut params = params("forebay-controller", span);
        let dns = names.dns.iter().map(|name| Ok(SanType::DnsName(name.as_str().try_into()?)));
        let addresses = names.addresses.iter().map(|address| Ok(SanType::IpAddress(*address)));
        params.subject_alt_names = dns.chain(addresses).collect::<Result<_, rcgen::Error>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate.der, &self.key)?;
        let certificate = params.signed_by(&key, &issuer)?;
        let chain = vec![certificate.der().clone()];
        Ok(Leaf { chain, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()), span })
    }

    /// The key, for the Secret alone.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("span", &self.certificate.span).finish_non_exhaustive()
    }
}

fn params(name: &str, span: Span) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // rcgen speaks of time in a crate of its own.
    let at =
        |at: Timestamp| date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    params.not_before = at(span.from);
    params.not_after = at(span.until);
    params
}
