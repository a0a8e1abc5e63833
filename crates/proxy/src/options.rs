//! What a data plane is started with. Everything else it learns from its configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::GroupId;
use ipnet::IpNet;

use crate::access_log;

/// How a data plane is run. Fixed for the life of the process.
#[derive(Debug)]
pub struct Options {
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// Worker threads, each with its own listeners and idle connections; at least 1.
    pub workers: usize,
    /// Peers whose word about the client's address and scheme is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// The zone it runs in (`topology.kubernetes.io/zone`), if that is known: of each group it uses the part that is for it.
    pub zone: Option<Arc<str>>,
    /// What becomes of clients that come before the first configuration.
    pub early: Early,
    /// Where requests are logged.
    pub access_log: access_log::Options,
    /// After SIGTERM: how long new connections are still accepted while the news of our leaving spreads.
    pub drain_delay: Duration,
    /// Then: how long requests in flight may take to finish.
    pub drain_timeout: Duration,
}

/// What becomes of clients that come before anything is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// They are answered with 503: nobody knows how long it will take.
    Refused,
    /// They wait in the system's queue: the configuration is known, and is put in force at once.
    Waiting,
}

/// A listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// Bound to one group without routes: the sidecar's form.
    pub group: Option<GroupId>,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1 without TLS.
    #[default]
    Http,
    /// HTTP/2 and HTTP/1 over TLS, as the client chooses (ALPN).
    Https,
}

/// Bounds on what a client may send. The defaults are nginx's where nginx has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line and header together, bytes (nginx `large_client_header_buffers 4 8k`); beyond it 431.
    pub header_bytes: usize,
    /// Header lines; beyond it 431.
    pub headers: usize,
    /// From the first wait to the complete header (nginx `client_header_timeout`); an idle connection is closed by it too.
    pub header_timeout: Duration,
    /// Between two reads of the body (nginx `client_body_timeout`); beyond it 408.
    pub body_timeout: Duration,
    /// Between two writes to the client (nginx `send_timeout`); beyond it the connection is closed, or the stream of HTTP/2 reset.
    pub send_timeout: Duration,
    /// The body, bytes (nginx `client_max_body_size`); beyond it 413. 0 is no limit.
    pub body_bytes: u64,
    /// Requests one connection may carry (nginx `keepalive_requests`).
    pub keepalive_requests: u64,
    /// Requests one HTTP/2 connection may have in progress (nginx `http2_max_concurrent_streams`).
    pub concurrent_streams: u32,
    /// An upstream's response header, bytes; beyond it the response is an invalid header.
    pub upstream_header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 << 10,
            headers: 100,
            header_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_mins(1),
            send_timeout: Duration::from_mins(1),
            body_bytes: 1 << 20,
            keepalive_requests: 1000,
            concurrent_streams: 128,
            upstream_header_bytes: 64 << 10,
        }
    }
}
