//! Why an exchange with a server ended before its time.

use std::io;

use crate::request::body::ClientFault;

/// What went wrong on a connection to a server.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server closed the connection in the middle.
    #[error("connection closed in the middle of the message")]
    Closed,
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line of the header, of a chunk or of the trailers is not HTTP.
    #[error("{0}")]
    Malformed(#[from] httparse::Error),
    /// The lines are HTTP and cannot be relied on.
    #[error("{0}")]
    Invalid(&'static str),
    /// The header is larger than allowed.
    #[error("header is too large")]
    TooLarge,
    /// The client's body cannot be had: the server is not to blame.
    #[error(transparent)]
    Client(#[from] ClientFault),
}
