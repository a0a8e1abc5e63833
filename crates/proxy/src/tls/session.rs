//! What is known of a TLS connection after its handshake, in the words of OpenSSL that nginx's variables have.

use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, ServerConnection};

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `TLSv1.2` or `TLSv1.3` (`$ssl_protocol`).
    pub protocol: &'static str,
    /// OpenSSL's name of the cipher suite (`$ssl_cipher`).
    pub cipher: &'static str,
    /// The host that the client asked for (`$ssl_server_name`), lower case.
    pub server_name: Option<Box<str>>,
    /// Whether an earlier session was resumed (`$ssl_session_reused`).
    pub reused: bool,
}

impl Session {
    /// Of a connection whose handshake is over.
    pub(crate) fn of(connection: &ServerConnection) -> Self {
        let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        Self {
            protocol: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "",
            },
            cipher: suite.map_or("", cipher_name),
            server_name: connection.server_name().map(Into::into),
            reused: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

/// OpenSSL's names of the suites that the provider has (`openssl ciphers -stdname`).
fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_openssls_name() {
        for suite in &rustls::crypto::aws_lc_rs::default_provider().cipher_suites {
            let name = cipher_name(suite.suite());
            assert!(!name.contains("WITH") && !name.starts_with("TLS13"), "{name}");
        }
    }
}
