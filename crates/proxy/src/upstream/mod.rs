//! The servers' side of a request: connecting, reusing connections, speaking HTTP/1, over TLS or not.

mod connection;
mod dial;
mod io;
mod pool;
mod tls;

pub mod http1;

pub(crate) use connection::Connection;
pub(crate) use dial::{ConnectError, dial};
pub(crate) use http1::{Fault, RequestFraming};
pub(crate) use io::UpstreamIo;
pub(crate) use pool::Pool;
pub use tls::{GroupTls, PeerTls};
pub(crate) use tls::{broken, check};
