//! A running data plane, as its owner holds it: start, apply, drain.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use config::{Config, Revision};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::access_log::{self, AccessLog};
use crate::apply::{self, ApplyError};
use crate::clock::Clock;
use crate::error_log;
use crate::listen::{ListenError, listen};
use crate::options::{Early, Listener, Options, Protocol};
use crate::snapshot::Snapshot;
use crate::stats::ProcessStats;
use crate::tls::{self, Certificates};
use crate::worker::{self, Ping, Shared, WorkerReport};

/// How long a worker may take to answer before it counts as stuck.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the last log lines may take to be written at exit.
const LOG_DEADLINE: Duration = Duration::from_secs(2);

/// A running data plane. Dropping it does not stop it: [`Proxy::drain`] does.
pub struct Proxy {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    pings: Vec<mpsc::Sender<Ping>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Serialises updates: each is built on the one before.
    applying: Mutex<()>,
    ended: watch::Receiver<usize>,
}

/// Why a data plane did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The access log could not be opened.
    #[error(transparent)]
    AccessLog(#[from] access_log::OpenError),
    /// The TLS library has no randomness for its keys.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A thread could not be started.
    #[error("cannot start a worker: {0}")]
    Thread(#[from] io::Error),
}

impl Proxy {
    /// Opens the listeners and starts the workers. Until the first [`Proxy::apply`] clients are treated as `options.early` says.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let count = options.workers.max(1);
        let mut listeners = Vec::new();
        let mut per_worker: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        for listener in &options.listeners {
            let sockets = listen(listener.address, count)?;
            let bound = sockets.first().map(std::net::TcpListener::local_addr);
            let listener = Listener { address: bound.transpose()?.unwrap_or(listener.address), ..listener.clone() };
            for (worker, socket) in per_worker.iter_mut().zip(sockets) {
                worker.push((socket, listener.clone()));
            }
            listeners.push(listener);
        }
        let has_tls = listeners.iter().any(|listener| listener.protocol == Protocol::Https);
        let shared = Arc::new(Shared {
            tls: has_tls.then(tls::base).transpose()?,
            access_log: AccessLog::open(&options.access_log)?,
            options,
            clock: Clock::start(),
            snapshot: ArcSwapOption::empty(),
            stats: ProcessStats::default(),
            leaving: AtomicBool::new(false),
            accepting: CancellationToken::new(),
            draining: CancellationToken::new(),
            cut: CancellationToken::new(),
        });
        match shared.options.early {
            Early::Refused => shared.accepting.cancel(),
            Early::Waiting => {}
        }
        let (ended_sender, ended) = watch::channel(0);
        let mut pings = Vec::new();
        let mut threads = Vec::new();
        for (index, sockets) in per_worker.into_iter().enumerate() {
            let (sender, receiver) = mpsc::channel(8);
            pings.push(sender);
            let (shared, ended) = (shared.clone(), ended_sender.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            threads.push(thread.spawn(move || {
                let _ended = EndGuard(ended);
                if let Err(error) = worker::run(&shared, sockets, receiver) {
                    tracing::error!(target: "forebay::worker", "worker {index} failed: {error}");
                }
            })?);
        }
        Ok(Self { shared, listeners, pings, threads: Mutex::new(threads), applying: Mutex::new(()), ended })
    }

    /// The listeners in use, in the order of the options', with the ports they were given.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Puts a configuration in force, whole or not at all. Requests in progress finish with what they began with; no
    /// connection is touched.
    pub fn apply(&self, config: &Config, source: &str) -> Result<Revision, ApplyError> {
        self.apply_revision(config, config.revision(), source).map(|snapshot| snapshot.revision)
    }

    /// The same with the version that a controller gave it, and what came of it.
    pub fn apply_revision(
        &self,
        config: &Config,
        revision: Revision,
        source: &str,
    ) -> Result<Arc<Snapshot>, ApplyError> {
        let _one_at_a_time = self.applying.lock();
        let last = self.shared.snapshot.load_full();
        let certificates = self.certificates(last.as_deref(), config);
        let now = self.shared.clock.now();
        let of = apply::Of { config, revision, source: source.into(), zone: self.zone() };
        let next = apply::next_snapshot(last.as_deref(), of, certificates, now)?;
        let next = Arc::new(next);
        self.shared.snapshot.store(Some(next.clone()));
        self.shared.accepting.cancel();
        if self.shared.tls.is_some() && next.certificates.is_empty() {
            tracing::warn!(target: error_log::TARGET, "there is no certificate: every TLS handshake is refused");
        }
        Ok(next)
    }

    /// What TLS listeners present from now on. One that cannot be served is said, and harms no other.
    fn certificates(&self, last: Option<&Snapshot>, config: &Config) -> Certificates {
        let Some(base) = &self.shared.tls else { return Certificates::default() };
        let none = Certificates::default();
        let last = last.map_or(&none, |last| &last.certificates);
        let (certificates, refused) = Certificates::next(last, &config.certificates, base);
        for (id, error) in refused {
            tracing::error!(target: error_log::TARGET, "certificate {id}: {error}; its hosts keep what they had");
        }
        certificates
    }

    /// What is in force, if anything is yet.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.shared.snapshot.load_full()
    }

    /// The process's counters.
    pub fn stats(&self) -> &ProcessStats {
        &self.shared.stats
    }

    /// The zone it runs in, if that is known.
    pub fn zone(&self) -> Option<&str> {
        self.shared.options.zone.as_deref()
    }

    /// The access log, to reopen it.
    pub fn access_log(&self) -> &AccessLog {
        &self.shared.access_log
    }

    /// The clock that every moment of this data plane was read from.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// Whether it has been told to leave.
    pub fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::Relaxed)
    }

    /// Asks every worker, on its own thread, how it is; `None` for one that does not answer in time.
    pub async fn ping_workers(&self) -> Vec<Option<WorkerReport>> {
        let mut reports = Vec::with_capacity(self.pings.len());
        for worker in &self.pings {
            let (sender, receiver) = oneshot::channel();
            let asked = tokio::time::timeout(PING_TIMEOUT, async {
                worker.send(sender).await.ok()?;
                receiver.await.ok()
            });
            reports.push(asked.await.ok().flatten());
        }
        reports
    }

    /// Returns when a worker has ended although nobody asked it to: the process must not go on with fewer.
    pub async fn worker_lost(&self) {
        let mut ended = self.ended.clone();
        let _ = ended.wait_for(|ended| *ended > 0 && !self.shared.draining.is_cancelled()).await;
    }

    /// Leaves in the order of `ARCHITECTURE.md`, "Leaving": not ready at once; new connections for the drain delay; then the open
    /// ones finish what they have, up to the drain timeout; then the rest is cut. `hurry` ends the waiting at once.
    pub async fn drain(&self, hurry: CancellationToken) {
        self.shared.leaving.store(true, Ordering::Relaxed);
        within(self.shared.options.drain_delay, &hurry, std::future::pending()).await;
        self.shared.draining.cancel();
        let mut ended = self.ended.clone();
        let all = async {
            let _ = ended.wait_for(|ended| *ended == self.pings.len()).await;
        };
        within(self.shared.options.drain_timeout, &hurry, all).await;
        let cut = self.shared.stats.requests_active.value();
        if cut > 0 {
            let why = if hurry.is_cancelled() { "told to leave at once" } else { "the drain timeout is over" };
            tracing::warn!("{cut} request(s) are cut: {why}");
        }
        self.shared.cut.cancel();
        let threads = std::mem::take(&mut *self.threads.lock());
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A worker that panicked has said so itself.
                let _ = thread.join();
            }
        });
        let _ = joined.await;
        self.shared.access_log.close(LOG_DEADLINE);
    }
}

async fn within(limit: Duration, hurry: &CancellationToken, done: impl Future<Output = ()>) {
    tokio::select! {
        () = done => {}
        () = tokio::time::sleep(limit) => {}
        () = hurry.cancelled() => {}
    }
}

/// Counts a worker thread that ends, by return or by panic.
struct EndGuard(watch::Sender<usize>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.send_modify(|ended| *ended += 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::options::Limits;

    fn start(early: Early) -> Proxy {
        let address = "127.0.0.1:0".parse().unwrap();
        Proxy::start(Options {
            listeners: vec![Listener { address, group: None, protocol: Protocol::Http }],
            workers: 1,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            zone: None,
            early,
            access_log: access_log::Options { target: access_log::Target::Off, format: access_log::Format::Combined },
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::ZERO,
        })
        .unwrap()
    }

    async fn ask(proxy: &Proxy) -> TcpStream {
        let mut client = TcpStream::connect(proxy.listeners()[0].address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await.unwrap();
        client
    }

    async fn status(mut client: TcpStream) -> String {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn who_comes_before_a_configuration_that_is_known_waits_for_it() {
        let proxy = start(Early::Waiting);
        let client = ask(&proxy).await;
        for _ in 0..10 {
            assert!(proxy.ping_workers().await[0].is_some(), "the worker goes on");
        }
        assert_eq!(proxy.stats().connections_accepted.value(), 0);
        proxy.apply(&Config::default(), "test").unwrap();
        assert_eq!(status(client).await, "404");
        proxy.drain(CancellationToken::new()).await;
    }

    #[tokio::test]
    async fn who_comes_before_any_other_is_refused() {
        let proxy = start(Early::Refused);
        assert_eq!(status(ask(&proxy).await).await, "503");
        proxy.drain(CancellationToken::new()).await;
    }

    #[tokio::test]
    async fn it_leaves_without_ever_having_had_one() {
        start(Early::Waiting).drain(CancellationToken::new()).await;
    }
}
