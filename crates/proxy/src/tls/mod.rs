//! TLS of client connections: which certificate a client is shown, and the handshake.
//!
//! What all connections share is one [`rustls::ServerConfig`]: protocol versions, ALPN and the key of session tickets, so that a
//! session begun with one worker is resumed by another. Each certificate has a copy of it (the parts are shared) in the
//! snapshot; a connection takes the one of the moment of its handshake and is never touched by a later change.

mod certificates;
mod handshake;
mod session;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ResolvesServerCertUsingSni};

pub use certificates::{CertificateError, Certificates, certificate_check};
pub(crate) use handshake::{Opened, Refusal, open};
pub use session::Session;

/// ALPN (RFC 7301) of HTTP/2.
pub(crate) const H2: &[u8] = b"h2";
/// ALPN of HTTP/1.1.
const HTTP1: &[u8] = b"http/1.1";

/// What all certificates have in common: TLS 1.2 and 1.3, sessions in tickets (nginx `ssl_session_tickets on`,
/// `ssl_session_cache none`), no early data. It has no certificate of its own.
pub(crate) fn base() -> Result<ServerConfig, rustls::Error> {
    let mut base = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    base.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    base.session_storage = Arc::new(NoServerSessionStorage {});
    base.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(base)
}
