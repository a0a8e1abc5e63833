//! A server that is up and takes no more connections, on loopback: its accept queue is full and the kernel drops every SYN.

use std::{net::TcpListener, time::Duration};

use tokio::net::TcpStream;

use super::{Mode, Place, Upstream};

/// While it lives, connecting to the upstream neither succeeds nor fails.
#[derive(Debug)]
pub struct Backlog {
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Backlog {
    /// Replaces the upstream's listener by one that never accepts, and fills its queue.
    ///
    /// # Panics
    /// When the queue does not fill, or the upstream has a unix socket.
    pub async fn fill(upstream: &Upstream) -> Self {
        upstream.set(Mode::Refuse).await;
        let Place::Tcp(port) = &upstream.place else { panic!("{} has no port", upstream.name()) };
        let (address, listener) = (port.address(), port.listen_with(0).expect("its own port can be listened on"));
        let mut queued = Vec::new();
        // A connection attempt that is not answered at once is not answered at all.
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            queued.push(stream.expect("a connection that waits in the queue"));
            assert!(queued.len() < 16, "the queue of {address} does not fill");
        }
        Self { _listener: listener, _queued: queued }
    }
}
