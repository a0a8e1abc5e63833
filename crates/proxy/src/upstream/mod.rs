//! The servers' side of a request: connecting, reusing connections, speaking HTTP/1.

mod dial;
mod io;
mod pool;

pub(crate) use dial::{ConnectError, dial};
pub(crate) use pool::{Connection, Pool, ready};
