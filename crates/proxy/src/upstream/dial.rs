//! A fresh connection to a server, within `timeouts.connect` (nginx `proxy_connect_timeout`): the handshake of TLS has what
//! connecting left of it, because nginx's timer runs on (`ngx_http_upstream_ssl_init_connection`).

use std::io;

use config::{Address, Timeouts};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_util::either::Either;

use super::connection::Connection;
use super::io::{Socket, UpstreamIo};
use super::tls::{HandshakeError, Wanted, handshake};
use crate::clock::Moment;
use crate::timed::Timed;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Refused, unreachable, no such socket, no free port.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not established in time.
    #[error("connect timed out")]
    TimedOut,
    /// Established, and no TLS on it in time.
    #[error("handshake timed out")]
    HandshakeTimedOut,
    /// Established, and no TLS on it.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

/// Connects, within the limit.
pub(crate) async fn dial(
    address: &Address,
    tls: Option<&Wanted<'_>>,
    timeouts: &Timeouts,
    max_header_bytes: usize,
    at: Moment,
) -> Result<Box<Connection>, ConnectError> {
    let deadline = Instant::now() + timeouts.connect.as_duration();
    let socket = timeout_at(deadline, connect(address)).await.map_err(|_| ConnectError::TimedOut)??;
    let (stream, secured) = match tls {
        None => (Either::Left(socket), None),
        Some(tls) => {
            let secured = tls.secured();
            let shaking = timeout_at(deadline, handshake(tls.client.clone(), secured.name(), socket)).await;
            (Either::Right(shaking.map_err(|_| ConnectError::HandshakeTimedOut)??), Some(secured))
        }
    };
    Ok(Box::new(Connection::new(UpstreamIo::new(stream), secured, max_header_bytes, at)))
}

async fn connect(address: &Address) -> io::Result<Socket> {
    let stream = match address {
        Address::Inet(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Either::Left(stream)
        }
        Address::Unix(path) => Either::Right(UnixStream::connect(path).await?),
    };
    Ok(Timed::new(stream, None))
}
