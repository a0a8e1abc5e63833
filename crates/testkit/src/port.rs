//! A port that stays ours while nobody listens on it. A socket is bound to it and never listens, so connecting is refused and
//! nobody else is given the port; who listens shares it (`SO_REUSEPORT`) and may stop and begin again.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The port, until dropped.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _socket: Socket,
}

impl Port {
    /// A free one of 127.0.0.1.
    ///
    /// # Errors
    /// There is none.
    pub fn free() -> io::Result<Self> {
        Self::at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// This one; port 0 takes a free one.
    ///
    /// # Errors
    /// It is taken, or the address is nobody's.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let socket = bind(address)?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { address, _socket: socket })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on it, until the listener is dropped.
    ///
    /// # Errors
    /// As the kernel pleases.
    pub fn listen(&self) -> io::Result<TcpListener> {
        TcpListener::from_std(self.listen_with(BACKLOG)?)
    }

    /// Listens with a queue of this length.
    pub(crate) fn listen_with(&self, backlog: i32) -> io::Result<std::net::TcpListener> {
        let socket = bind(self.address)?;
        socket.listen(backlog)?;
        Ok(socket.into())
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
