//! The handshake with a server, and why it failed: in nginx's words (`ngx_http_upstream_ssl_handshake`,
//! `ngx_ssl_handle_recv`), with what would mend it.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, ClientConfig, Error};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{NoName, Unusable};
use crate::upstream::io::Socket;

/// Why there is no TLS with a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// Not the server's doing.
    #[error("{0}")]
    Unusable(Unusable),
    /// There is no name to ask for and to verify.
    #[error("{0}; set spec.tls.serverName")]
    NoName(NoName),
    /// The server closed the connection, as one does that speaks no TLS.
    #[error("peer closed connection in SSL handshake")]
    Closed,
    /// Its certificate is for others.
    #[error("upstream SSL certificate does not match \"{name}\"{}; set spec.tls.serverName to a name that it has", For(.names))]
    OtherName { name: Box<str>, names: Vec<String> },
    /// Its certificate is not believed.
    #[error("upstream SSL certificate verify error: ({0})")]
    Certificate(&'static str),
    /// It knows no such host.
    #[error(
        "SSL_do_handshake() failed (the server has no certificate for \"{0}\"); set spec.tls.serverName to a name that it has"
    )]
    UnknownName(Box<str>),
    /// Anything else.
    #[error("SSL_do_handshake() failed ({0})")]
    Failed(io::Error),
}

/// The names that a certificate has, if it has any.
struct For<'a>(&'a [String]);

impl fmt::Display for For<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": it is for {}", self.0.join(", ")) }
    }
}

/// Does the handshake on a new connection to the server called `name`.
pub(crate) async fn handshake(
    config: Arc<ClientConfig>,
    name: &ServerName<'static>,
    socket: Socket,
) -> Result<Box<TlsStream<Socket>>, HandshakeError> {
    match TlsConnector::from(config).connect(name.clone(), socket).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(HandshakeError::of(error, name)),
    }
}

impl HandshakeError {
    fn of(error: io::Error, name: &ServerName<'_>) -> Self {
        let name = || name.to_str().into();
        match tls_error(&error) {
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            Some(Error::InvalidCertificate(certificate)) => Self::certificate(certificate, error.to_string(), name),
            Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => Self::UnknownName(name()),
            _ => Self::Failed(error),
        }
    }

    fn certificate(why: &CertificateError, text: String, name: impl Fn() -> Box<str>) -> Self {
        match why {
            CertificateError::NotValidForName => Self::OtherName { name: name(), names: Vec::new() },
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::OtherName { name: name(), names: presented.iter().map(|name| plain(name).to_owned()).collect() }
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::Certificate("certificate has expired: renew the server's certificate")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::Certificate("certificate is not yet valid: set this machine's clock, or the server's certificate")
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Certificate(
                "unable to get local issuer certificate: none of the authorities that are trusted signed it; \
                 set spec.tls.caCertificateRef, or have the server send its intermediate certificates",
            ),
            _ => Self::Failed(io::Error::other(text)),
        }
    }

    /// Whether the server had no part in it.
    pub(crate) fn is_our_own(&self) -> bool {
        match self {
            Self::Unusable(_) | Self::NoName(_) => true,
            Self::OtherName { .. } | Self::UnknownName(_) | Self::Closed | Self::Certificate(_) | Self::Failed(_) => {
                false
            }
        }
    }
}

/// What TLS has to say about a connection that broke after its handshake, for people: with TLS 1.3 a server judges the client's
/// certificate only then.
pub(crate) fn broken(error: &io::Error) -> Option<String> {
    let error = tls_error(error)?;
    let mend = match error {
        Error::AlertReceived(AlertDescription::CertificateRequired) => "; set spec.tls.clientCertificateRef",
        _ => "",
    };
    Some(format!("SSL_read() failed ({error}){mend}"))
}

/// A name as the library prints it, `DnsName("a.example")`, without its wrapping.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}
