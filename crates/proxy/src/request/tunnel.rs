//! An upgraded connection (WebSocket): bytes both ways until either side closes or nothing moves for `timeouts.tunnel`.
//!
//! The server counts as busy for the whole time, which matters to `least_conn` and `max_conns`; it is released as done and the
//! request is logged at the end, with status 101 (nginx `ngx_http_upstream_process_upgraded`).

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::request::exchange::Relaying;
use crate::upstream::UpstreamIo;

/// Bytes moved at a time; nginx's `proxy_buffer_size` is 4k or 8k, a larger one saves calls.
const BUFFER: usize = 16 << 10;

/// What moved through a tunnel, and when last.
struct Traffic {
    last_moved: Mutex<Instant>,
    to_client: AtomicU64,
    to_server: AtomicU64,
}

/// A request that becomes a tunnel, of which is logged what moved even if it is cut.
pub(crate) struct Tunnel {
    relaying: Relaying,
    idle: Duration,
    traffic: Traffic,
}

impl Tunnel {
    /// Behind the response of `relaying`, which says 101; nothing may move in it for `idle`.
    pub(crate) fn new(relaying: Relaying, idle: Duration) -> Box<Self> {
        Box::new(Self { relaying, idle, traffic: Traffic::new() })
    }

    /// Joins both sides once they have left HTTP; `ahead` is what the client had sent behind its request.
    pub(crate) async fn run(mut self: Box<Self>, mut client: impl AsyncRead + AsyncWrite + Unpin, ahead: Bytes) {
        let Some((first, server)) = self.relaying.below_http() else { return };
        join(&mut client, ahead, server, first, self.idle, &self.traffic).await;
        self.count();
        // The server is free, whatever its client still takes.
        drop(self.relaying.complete());
        let _ = client.shutdown().await;
    }

    fn count(&mut self) {
        let sent = std::mem::take(self.traffic.to_client.get_mut());
        self.relaying.relayed(sent);
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.count();
    }
}

/// Moves bytes both ways; `ahead` and `first` are those that client and server had sent before.
async fn join(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ahead: Bytes,
    server: &mut UpstreamIo,
    first: Bytes,
    idle: Duration,
    traffic: &Traffic,
) {
    let (client_read, mut client_write) = tokio::io::split(client);
    let (server_read, mut server_write) = tokio::io::split(server);
    let mut client_read = AsyncReadExt::chain(&*ahead, client_read);
    let mut server_read = AsyncReadExt::chain(&*first, server_read);
    tokio::select! {
        _ = pump(&mut client_read, &mut server_write, traffic, &traffic.to_server) => {}
        _ = pump(&mut server_read, &mut client_write, traffic, &traffic.to_client) => {}
        () = traffic.idle_for(idle) => {}
    }
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    traffic: &Traffic,
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let bytes = from.read(&mut buffer).await?;
        traffic.moved();
        if bytes == 0 {
            return to.flush().await;
        }
        to.write_all(&buffer[..bytes]).await?;
        to.flush().await?;
        traffic.moved();
        moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Traffic {
    fn new() -> Self {
        let [to_client, to_server] = Default::default();
        Self { last_moved: Mutex::new(Instant::now()), to_client, to_server }
    }

    fn moved(&self) {
        *self.last_moved.lock() = Instant::now();
    }

    async fn idle_for(&self, limit: Duration) {
        loop {
            let deadline = *self.last_moved.lock() + limit;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}
