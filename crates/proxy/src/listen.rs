//! Listening sockets: one per worker and address, sharing the port (`SO_REUSEPORT`), so that the kernel spreads connections.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// As nginx's default `backlog` on Linux.
const BACKLOG: i32 = 511;

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}{}", hint(.error))]
pub struct ListenError {
    /// The address asked for.
    pub address: SocketAddr,
    /// The system's answer.
    pub error: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process listens there (find it with `ss -ltnp`), or choose another port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE, or choose a higher one",
        io::ErrorKind::AddrNotAvailable => "; this host has no such address",
        _ => "",
    }
}

/// Opens `count` sockets on one address; with port 0 they share the port that the first was given.
pub(crate) fn listen(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, ListenError> {
    let refuse = |error| ListenError { address, error };
    // A second process could share the port unnoticed and take half of our connections: a plain bind finds it. It must not
    // listen, or who connects in that moment would be reset.
    if address.port() != 0 {
        bind(address, false).map_err(refuse)?;
    }
    let first = open(address).map_err(refuse)?;
    let bound = first.local_addr().map_err(refuse)?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(open(bound).map_err(refuse)?);
    }
    Ok(listeners)
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bind(address, true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    // Small answers must not wait for the client's acknowledgement of the last one. Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_port_but_processes_do_not() {
        let any = "127.0.0.1:0".parse().unwrap();
        let listeners = listen(any, 3).unwrap();
        let bound = listeners[0].local_addr().unwrap();
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == bound));
        let error = listen(bound, 1).unwrap_err().to_string();
        assert!(error.contains("another process listens there"), "{error}");
    }
}
