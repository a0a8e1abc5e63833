//! Worker threads: one single-threaded runtime each, with listeners and idle upstream connections of its own (nginx's worker
//! model). Balancing state is shared by all (nginx's `zone`).

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::{AccessLog, LogWriter};
use crate::clock::{Clock, Moment};
use crate::options::{Listener, Options, Protocol};
use crate::request;
use crate::snapshot::{GroupView, ServerView, Snapshot};
use crate::stats::ProcessStats;
use crate::upstream::{Connection, Pool};

/// How often a worker looks for idle connections that expired; reuse itself checks exactly.
const SWEEP: Duration = Duration::from_millis(250);
/// How long a worker waits after `accept` failed for want of descriptors: retrying at once would only burn its core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    /// What all certificates have in common; `None` without a TLS listener.
    pub(crate) tls: Option<rustls::ServerConfig>,
    /// `None` until the first configuration.
    pub(crate) snapshot: ArcSwapOption<Snapshot>,
    pub(crate) stats: ProcessStats,
    pub(crate) access_log: AccessLog,
    /// Connections are accepted from now on.
    pub(crate) accepting: CancellationToken,
    /// SIGTERM was received: not ready any more.
    pub(crate) leaving: AtomicBool,
    /// No new connections; the open ones finish what they have.
    pub(crate) draining: CancellationToken,
    /// What is still open is cut.
    pub(crate) cut: CancellationToken,
}

/// One worker.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Mutex<Pool>,
    pub(crate) log: LogWriter,
    /// As `shared.draining`. Every connection waits for it and asks it with every poll: no two workers meet at its lock.
    pub(crate) draining: CancellationToken,
    tasks: TaskTracker,
}

/// A question to a worker, answered on its own thread: readiness must test what it vouches for.
pub(crate) type Ping = oneshot::Sender<WorkerReport>;

/// A worker's answer.
#[derive(Clone, Copy, Debug)]
pub struct WorkerReport {
    /// Idle upstream connections it keeps.
    pub idle_connections: usize,
    /// Client connections and streams of HTTP/2 it serves.
    pub tasks: usize,
}

impl Worker {
    /// Runs something that must be finished before the worker ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Keeps a connection whose response is complete for the next request, if its server is still wanted.
    pub(crate) fn keep(&self, group: &Arc<GroupView>, server: &ServerView, connection: Box<Connection>, now: Moment) {
        let current = self.shared.snapshot.load();
        let Some(view) = current.as_ref().and_then(|snapshot| snapshot.groups.get(&group.id)) else { return };
        let wanted = Arc::ptr_eq(view, group) || view.takes_requests(&server.address_text);
        if wanted && !self.draining.is_cancelled() {
            self.pool.lock().put(view, &server.address_text, connection, now);
        }
    }

    /// What a client that asks for `host` over TLS is answered with now.
    pub(crate) fn certificate(&self, host: Option<&str>) -> Option<Arc<rustls::ServerConfig>> {
        self.shared.snapshot.load().as_ref()?.certificates.find(host).cloned()
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, options: Arc<Listener>) {
        let mut draining = pin!(self.draining.cancelled());
        tokio::select! {
            () = self.shared.accepting.cancelled() => {}
            () = &mut draining => {}
        }
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut draining => break,
            };
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer, &options),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.shared.stats.accept_failures.inc();
                    tracing::error!(target: "forebay::worker", "accept() failed ({error})");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Who is in the queue believes to be connected: closing the listener would reset them.
        let Ok(listener) = listener.into_std() else { return };
        loop {
            match listener.accept() {
                Ok((stream, peer)) => {
                    if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                        self.serve(stream, peer, &options);
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => break,
            }
        }
    }

    /// Serves a connection in a task of its own. What is cut ends with the runtime: no connection has to watch for it.
    fn serve(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, listener: &Arc<Listener>) {
        let (worker, listener) = (self.clone(), listener.clone());
        match listener.protocol {
            Protocol::Http => drop(self.tasks.spawn(request::plain(worker, stream, peer, listener))),
            Protocol::Https => drop(self.tasks.spawn(request::secure(worker, stream, peer, listener))),
        }
    }

    /// Closes idle connections that expired, or whose server is gone.
    async fn maintain(self: Arc<Self>) {
        let mut applied = None;
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            self.pool.lock().expire(self.shared.clock.now());
            let current = self.shared.snapshot.load_full();
            if let Some(snapshot) = &current
                && applied != Some(snapshot.applied)
            {
                applied = Some(snapshot.applied);
                self.pool.lock().retain(snapshot);
            }
        }
    }

    async fn answer(self: Arc<Self>, mut pings: mpsc::Receiver<Ping>) {
        while let Some(ping) = pings.recv().await {
            let report = WorkerReport { idle_connections: self.pool.lock().len(), tasks: self.tasks.len() };
            let _ = ping.send(report);
        }
    }
}

/// The body of a worker thread. Returns when it was drained.
pub(crate) fn run(
    shared: &Arc<Shared>,
    listeners: Vec<(std::net::TcpListener, Listener)>,
    pings: mpsc::Receiver<Ping>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let worker = Arc::new(Worker {
        log: shared.access_log.writer(),
        pool: Mutex::default(),
        draining: shared.draining.child_token(),
        tasks: TaskTracker::new(),
        shared: shared.clone(),
    });
    runtime.block_on(async {
        let mut accepting = Vec::with_capacity(listeners.len());
        for (listener, options) in listeners {
            let options = Arc::new(Listener { address: listener.local_addr()?, ..options });
            accepting.push(tokio::spawn(worker.clone().accept(TcpListener::from_std(listener)?, options)));
        }
        tokio::spawn(worker.clone().maintain());
        tokio::spawn(worker.clone().answer(pings));
        worker.draining.cancelled().await;
        for listener in accepting {
            // They end with the drain; one that panicked has said so itself.
            let _ = listener.await;
        }
        worker.pool.lock().clear();
        worker.tasks.close();
        tokio::select! {
            () = worker.tasks.wait() => {}
            () = shared.cut.cancelled() => {}
        }
        io::Result::Ok(())
    })?;
    // Dropping the runtime drops what was cut; each request still in it is logged by its own drop.
    drop(runtime);
    Ok(())
}

/// Errors of `accept` that concern the connection that was to be accepted, not the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
