//! A scriptable HTTP/1 upstream, over TLS if it is told to: it answers, misbehaves or refuses as its [`Mode`] says, and remembers what it received.
//!
//! The mode may change at any time and applies to what is accepted or read next. While it refuses, its port stays its own
//! ([`Port`]), so the upstream comes back where it was.

mod backlog;
mod mode;
mod reply;
mod serve;

use std::{
    io,
    net::{Ipv4Addr, Shutdown},
    path::PathBuf,
    sync::Arc,
};

use rustls::ServerConfig;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Mutex, watch},
    task::JoinHandle,
};

pub use backlog::Backlog;
pub use mode::{After, Mode, Stale};

use crate::{Address, Gate, Head, Port, Stream, message::Body, patiently};

/// A running upstream. It stops, and cuts its connections, when dropped.
#[derive(Debug)]
pub struct Upstream {
    shared: Arc<Shared>,
    address: Address,
    place: Place,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// One request as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The connection it came on, counted from 1.
    pub connection: usize,
    /// Its place on that connection, counted from 1.
    pub nth: usize,
    /// The request line and header lines, raw bytes included.
    pub head: Head,
    /// The body, when it was read to its end.
    pub body: Body,
}

/// What an upstream has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Handshakes of TLS that came to an end, in order.
    pub handshakes: Vec<Handshake>,
    /// Handshakes of TLS that failed.
    pub refused: usize,
    /// Every request whose head was read (and whose body was, unless the mode does not read it), in order.
    pub requests: Vec<Arc<Received>>,
    /// Connections accepted.
    pub connections: usize,
    /// Connections open now.
    pub open: usize,
    /// Connections that the client closed while an answer was owed.
    pub aborted: usize,
}

/// A handshake as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The name that was asked for.
    pub name: Option<String>,
    /// The protocol that was agreed on (ALPN).
    pub protocol: Option<String>,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// Whether the client showed a certificate.
    pub shown: bool,
}

#[derive(Debug)]
struct Shared {
    name: String,
    tls: watch::Sender<Option<Arc<ServerConfig>>>,
    gate: Gate,
    mode: watch::Sender<Mode>,
    record: watch::Sender<Record>,
    /// Bumped to cut connections.
    cut: watch::Sender<Cut>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cut {
    idle: u64,
    all: u64,
}

/// Where an upstream listens, and does again after it refused.
#[derive(Debug)]
enum Place {
    Tcp(Port),
    Unix(PathBuf),
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Received {
    /// The method.
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    /// The request target as sent.
    pub fn target(&self) -> &str {
        self.head.word(1)
    }

    /// The first value of header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.first(name)
    }
}

impl Upstream {
    /// Listens on a free port of 127.0.0.1. Answers carry `name`.
    pub async fn start(name: &str) -> Self {
        Self::at(name, Address::Tcp((Ipv4Addr::LOCALHOST, 0).into())).await
    }

    /// Listens on a unix socket.
    pub async fn unix(name: &str, path: impl Into<PathBuf>) -> Self {
        Self::at(name, Address::Unix(path.into())).await
    }

    /// Listens on a chosen address; port 0 takes a free one.
    pub async fn at(name: &str, address: Address) -> Self {
        Self::with_gate(name, address, Gate::default()).await
    }

    /// Listens on a chosen address and shares `gate` with other upstreams.
    ///
    /// # Panics
    /// When it cannot listen there.
    pub async fn with_gate(name: &str, address: Address, gate: Gate) -> Self {
        let place = match address {
            Address::Tcp(address) => Place::Tcp(Port::at(address).expect("an address to listen on")),
            Address::Unix(path) => Place::Unix(path),
        };
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            tls: watch::Sender::new(None),
            gate,
            mode: watch::Sender::new(Mode::Ok),
            record: watch::Sender::default(),
            cut: watch::Sender::default(),
        });
        let upstream = Self { shared, address: place.address(), place, acceptor: Mutex::new(None) };
        upstream.set(Mode::Ok).await;
        upstream
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What its answers call it.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Behaves as `mode` says from now on. When this returns, a refusing upstream refuses and any other listens.
    /// Connections that are open stay open; see [`Upstream::close_connections`].
    ///
    /// # Panics
    /// When it cannot listen again.
    pub async fn set(&self, mode: Mode) {
        let refuse = matches!(mode, Mode::Refuse);
        self.shared.mode.send_replace(mode);
        let mut acceptor = self.acceptor.lock().await;
        match acceptor.take() {
            Some(task) if refuse => {
                task.abort();
                // Cancelled, as just asked; the listener is closed once the task is gone.
                let _ = task.await;
            }
            None if !refuse => {
                let listener = self.place.listen().expect("its own address can be listened on");
                *acceptor = Some(tokio::spawn(serve::accept(listener, self.shared.clone())));
            }
            unchanged => *acceptor = unchanged,
        }
    }

    /// Speaks TLS on connections that are accepted from now on.
    pub fn secure(&self, tls: Option<Arc<ServerConfig>>) {
        self.shared.tls.send_replace(tls);
    }

    /// Closes every open connection, whatever it is doing.
    pub fn close_connections(&self) {
        self.shared.cut.send_modify(|cut| cut.all += 1);
    }

    /// Closes every open connection once no request is being answered on it, as a server does that is asked to stop.
    pub fn close_idle(&self) {
        self.shared.cut.send_modify(|cut| cut.idle += 1);
    }

    /// The gate at which its held requests wait.
    pub fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// Everything seen so far.
    pub fn record(&self) -> Record {
        self.shared.record.borrow().clone()
    }

    /// The requests seen so far.
    pub fn requests(&self) -> Vec<Arc<Received>> {
        self.record().requests
    }

    /// Waits until the record satisfies `condition` and returns it.
    pub async fn wait_for(&self, what: &str, condition: impl FnMut(&Record) -> bool) -> Record {
        let mut record = self.shared.record.subscribe();
        let waiting = async { record.wait_for(condition).await.map(|record| record.clone()) };
        let what = format!("upstream {}: {what}", self.shared.name);
        // The sender lives in `self`, so the channel cannot close.
        patiently(&what, waiting).await.unwrap_or_default()
    }

    /// Waits for the `count`th request and returns it.
    pub async fn request(&self, count: usize) -> Arc<Received> {
        let record = self.wait_for(&format!("request {count}"), |record| record.requests.len() >= count).await;
        record.requests[count - 1].clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(task) = self.acceptor.get_mut().take() {
            task.abort();
        }
        self.close_connections();
        if let Address::Unix(path) = &self.address {
            // Best effort: the directory may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Place {
    fn address(&self) -> Address {
        match self {
            Self::Tcp(port) => Address::Tcp(port.address()),
            Self::Unix(path) => Address::Unix(path.clone()),
        }
    }

    fn listen(&self) -> io::Result<Listener> {
        match self {
            Self::Tcp(port) => port.listen().map(Listener::Tcp),
            Self::Unix(path) => {
                if path.exists() {
                    std::fs::remove_file(path)?;
                }
                UnixListener::bind(path).map(Listener::Unix)
            }
        }
    }
}

impl Drop for Listener {
    /// Refuses at once, as [`Stream::close`] closes at once.
    fn drop(&mut self) {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(&*listener),
            Self::Unix(listener) => SockRef::from(&*listener),
        };
        // A listener always takes this.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}
