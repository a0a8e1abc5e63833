//! A fresh connection to a server, within `timeouts.connect` (nginx `proxy_connect_timeout`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use config::{Address, Timeouts};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::io::{Stream, UpstreamIo, Wire};
use super::pool::Connection;
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

/// Connects and hands the connection to a task of its own, which lives until either side closes.
pub(crate) async fn dial(
    address: &Address,
    timeouts: &Timeouts,
    max_header_bytes: usize,
    at: Moment,
) -> Result<Connection, ConnectError> {
    let stream = within(timeouts.connect.as_duration(), connect(address)).await?;
    let wire = Arc::new(Wire::default());
    let io = UpstreamIo::new(stream, wire.clone(), timeouts.send.as_duration());
    let (sender, connection) = http1::Builder::new()
        .max_header_size(max_header_bytes)
        .handshake(TokioIo::new(io))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        // Its error reaches whoever waits for the response; an idle connection that breaks concerns nobody.
        let _ = connection.with_upgrades().await;
    });
    Ok(Connection::new(sender, wire, at))
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
