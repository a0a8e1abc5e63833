//! From an accepted socket to a TLS stream, or to the reason why there is none.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::timed::Timed;

/// The first byte of a TLS record that begins a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
/// A whole record: a fatal alert `unrecognized_name` (RFC 8446 section 6, RFC 6066 section 3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A connection that can carry HTTP.
pub(crate) enum Opened {
    /// As it should be.
    Tls(Box<TlsStream<Timed<TcpStream>>>),
    /// The first byte is none of TLS: most likely a plain request, which is answered as such. Nothing was read yet.
    Plain(Timed<TcpStream>),
}

/// Why there is no connection. Each is the client's doing but the last.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("peer closed connection in SSL handshake")]
    Closed,
    #[error("client timed out (110: Connection timed out)")]
    TimedOut,
    #[error("SSL_do_handshake() failed ({0})")]
    Failed(io::Error),
    #[error("no certificate for \"{0}\"")]
    NoCertificate(Box<str>),
    #[error("no certificate for a client that names no host")]
    NoDefault,
}

/// Does the handshake with the certificate that `choose` finds for the host that the client asks for. As nginx's
/// `ssl_reject_handshake`, a client for whom there is none is told so.
pub(crate) async fn open(
    mut stream: Timed<TcpStream>,
    choose: impl FnOnce(Option<&str>) -> Option<Arc<ServerConfig>>,
) -> Result<Opened, Refusal> {
    let mut first = [0];
    match stream.get_mut().peek(&mut first).await {
        Ok(0) => return Err(Refusal::Closed),
        Ok(_) if first != [HANDSHAKE] => return Ok(Opened::Plain(stream)),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let name: Option<Box<str>> = start.client_hello().server_name().map(|name| name.to_ascii_lowercase().into());
    let Some(config) = choose(name.as_deref()) else {
        // Best effort: the client may have gone.
        let _ = start.io.write_all(&UNRECOGNIZED_NAME).await;
        let _ = start.io.shutdown().await;
        return Err(name.map_or(Refusal::NoDefault, Refusal::NoCertificate));
    };
    Ok(Opened::Tls(Box::new(start.into_stream(config).await?)))
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Closed } else { Self::Failed(error) }
    }
}
