//! A controller that does what a test tells it: it serves a feed by the machines of `feed` over TLS 1.3 and HTTP/2, as the
//! real one does, and can be killed, started again, cut off, and made to lie, to refuse or to say nothing. While it is dead its
//! port stays its own ([`Port`]).

mod authority;
mod serve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, Millis};
use feed::frames::Leader;
use feed::{Published, ServerOptions};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::tls::Authority;
use crate::{Port, patiently};

pub use authority::Flaw;

/// A running controller. Dropping it closes everything.
#[derive(Debug)]
pub struct Controller {
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What it does with a data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// What a controller does.
    Serve,
    /// Accepts connections and never speaks.
    Mute,
    /// Accepts streams and reports, and never says a word.
    Silent,
    /// Accepts streams and says a byte at a time, without end.
    Trickle,
    /// Accepts streams, says this, and then nothing.
    Say(Vec<u8>),
    /// Refuses every request with a status and a text.
    Refuse(u16, &'static str),
}

/// What it saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// TCP connections so far.
    pub connections: usize,
    /// Streams so far.
    pub streams: usize,
    /// Values of `Authorization`.
    pub authorizations: Vec<String>,
    /// Every line of every data plane, parsed.
    pub lines: Vec<Value>,
    /// Every report, parsed.
    pub reports: Vec<Value>,
    /// Lines sent, by kind: `put`, `del`, `commit`, ...
    pub sent: Vec<String>,
}

#[derive(Debug)]
struct Shared {
    port: Port,
    name: Arc<str>,
    tls: Mutex<Arc<rustls::ServerConfig>>,
    manner: Mutex<Manner>,
    published: Mutex<Published>,
    bye: watch::Sender<Option<(String, Millis)>>,
    /// Rung after each publication.
    bell: watch::Sender<()>,
    frozen: watch::Sender<bool>,
    seen: watch::Sender<Seen>,
    options: Arc<ServerOptions>,
    start: Instant,
}

impl Controller {
    /// One that knows nothing of a cluster yet, on a port of its own choice.
    ///
    /// # Panics
    /// When there is no port.
    #[expect(clippy::unused_async, reason = "it spawns, so whoever calls it is in a runtime")]
    pub async fn start(name: &str, authority: &Authority) -> Self {
        let port = Port::free().expect("a port");
        let listener = port.listen().expect("its own port can be listened on");
        let options = ServerOptions { server: name.into(), ..ServerOptions::default() };
        let shared = Arc::new(Shared {
            port,
            name: name.into(),
            tls: Mutex::new(authority::server(authority, Flaw::None)),
            manner: Mutex::new(Manner::Serve),
            published: Mutex::new(Published::default()),
            bye: watch::Sender::new(None),
            bell: watch::Sender::new(()),
            frozen: watch::Sender::new(false),
            seen: watch::Sender::new(Seen::default()),
            options: Arc::new(options),
            start: Instant::now(),
        });
        let accepting = Some(tokio::spawn(accept(shared.clone(), listener)));
        Self { shared, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.port.address()
    }

    /// What `--controller` is given.
    pub fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    /// Says what there is from now on.
    pub fn publish(&self, config: &Config) {
        let publication = self.shared.published.lock().replace(config);
        assert!(publication.refused.is_empty(), "{:?}", publication.refused);
        self.shared.bell.send_replace(());
    }

    /// Names the controller that takes reports.
    pub fn lead(&self, leader: &Self) {
        let (identity, address) = (leader.shared.name.clone(), leader.address().to_string());
        self.shared.published.lock().lead(Some(Leader { identity, address: Some(address.into()) }));
        self.shared.bell.send_replace(());
    }

    /// What it does with those who come from now on.
    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock() = manner;
    }

    /// Shows another certificate to those who come from now on.
    pub fn certify(&self, authority: &Authority, flaw: Flaw) {
        *self.shared.tls.lock() = authority::server(authority, flaw);
    }

    /// Says goodbye to all who are connected.
    pub fn say_bye(&self, reason: &str, within: Duration) {
        let within = Millis::from(within);
        self.shared.bye.send_replace(Some((reason.to_owned(), within)));
    }

    /// Cuts it off: connections stay open, and nothing is carried any more.
    pub fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    /// Ends that.
    pub fn thaw(&self) {
        self.shared.frozen.send_replace(false);
    }

    /// Kills it: every connection is closed, and its port refuses.
    pub async fn kill(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // It was told to end.
            let _ = accepting.await;
        }
    }

    /// Starts it again on its port, with what it had published.
    ///
    /// # Panics
    /// When its port cannot be listened on again.
    pub async fn restart(&mut self) {
        self.kill().await;
        let listener = self.shared.port.listen().expect("its own port can be listened on");
        self.accepting = Some(tokio::spawn(accept(self.shared.clone(), listener)));
    }

    /// What it saw so far.
    pub fn seen(&self) -> Seen {
        self.shared.seen.borrow().clone()
    }

    /// Waits until what it saw fits.
    ///
    /// # Panics
    /// When that does not come.
    pub async fn wait_for(&self, what: &str, mut condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.shared.seen.subscribe();
        let what = format!("{} to see {what}", self.shared.name);
        patiently(&what, seen.wait_for(|seen| condition(seen))).await.expect("the sender lives in self").clone()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }
}

impl Shared {
    fn now(&self) -> Millis {
        self.start.elapsed().into()
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(note);
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    // Dropped with this task: every connection ends with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.note(|seen| seen.connections += 1);
        if *shared.manner.lock() == Manner::Mute {
            connections.spawn(async move {
                let _held = stream;
                std::future::pending::<()>().await;
            });
            continue;
        }
        let (shared, acceptor) = (shared.clone(), TlsAcceptor::from(shared.tls.lock().clone()));
        connections.spawn(async move {
            // A client that does not like the certificate leaves here.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve::connection(&shared, stream).await;
            }
        });
    }
}
