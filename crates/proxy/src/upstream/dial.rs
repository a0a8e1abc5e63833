//! A fresh connection to a server, within `timeouts.connect` (nginx `proxy_connect_timeout`).

use std::io;
use std::time::Duration;

use config::{Address, Timeouts};
use tokio::net::{TcpStream, UnixStream};

use super::connection::Connection;
use super::io::{Stream, UpstreamIo};
use crate::alarm::Timeout;
use crate::clock::Moment;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Refused, unreachable, no such socket, no free port.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not established in time.
    #[error("connect timed out")]
    TimedOut,
}

/// Connects, within the limit. `send_timeout` holds from the first write on.
pub(crate) async fn dial(
    address: &Address,
    timeouts: &Timeouts,
    max_header_bytes: usize,
    send_timeout: Timeout,
    at: Moment,
) -> Result<Box<Connection>, ConnectError> {
    let stream = within(timeouts.connect.as_duration(), connect(address)).await?;
    Ok(Box::new(Connection::new(UpstreamIo::new(stream, send_timeout), max_header_bytes, at)))
}

async fn connect(address: &Address) -> io::Result<Stream> {
    match address {
        Address::Inet(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
    }
}

async fn within(limit: Duration, connecting: impl Future<Output = io::Result<Stream>>) -> Result<Stream, ConnectError> {
    match tokio::time::timeout(limit, connecting).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ConnectError::TimedOut),
    }
}
