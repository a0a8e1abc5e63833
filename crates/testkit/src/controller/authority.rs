//! What a controller is certified with, right or wrong.

use std::sync::Arc;

use rcgen::date_time_ymd;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::tls::{Authority, H2, params};

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it is for 127.0.0.1 and localhost, for years.
    None,
    /// It is for this name alone.
    Only(&'static str),
    /// It is for another name.
    OtherName,
    /// It ended long ago.
    Expired,
}

/// The TLS of a controller whose certificate `authority` signed.
pub(super) fn server(authority: &Authority, flaw: Flaw) -> Arc<ServerConfig> {
    let mut params = match flaw {
        Flaw::None | Flaw::Expired => params(&["127.0.0.1", "localhost"]),
        Flaw::Only(name) => params(&[name]),
        Flaw::OtherName => params(&["elsewhere.example"]),
    };
    if flaw == Flaw::Expired {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2001, 2, 1);
    }
    let (certificate, key) = authority.sign(&params);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key fits");
    config.alpn_protocols = vec![H2.into()];
    Arc::new(config)
}
