//! One connection: handshake, HTTP/2, and the times after which a connection that nobody proves or uses is closed.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Refusal;
use super::counters::Happening;
use super::proof::Holder;
use super::seats::Seat;
use super::{Bounds, Server, Tls, route};
use crate::identity::Identity;

/// Streams that a peer opened and reset before they were looked at; one more ends the connection (CVE-2023-44487).
const RESET_BY_PEER: usize = 20;

/// Streams that had to be reset because of what the peer sent (CVE-2025-8671).
const RESET_BY_US: usize = 64;

/// What a peer may send ahead on a stream, and on all of them: what an unproven one can make us keep.
const WINDOW: u32 = 64 << 10;

/// What the requests of one connection have in common.
#[derive(Debug)]
pub(super) struct Connection {
    pub peer: SocketAddr,
    /// The client's chain, verified by the handshake.
    pub certificates: Option<Arc<[CertificateDer<'static>]>>,
    pub tls: watch::Receiver<Option<Arc<Tls>>>,
    /// The controller leaves.
    pub leaving: CancellationToken,
    /// Ends the connection at once.
    pub cut: CancellationToken,
    /// Tasks beside streams.
    pub tasks: TaskTracker,
    charge: Mutex<Charge>,
    requests: watch::Sender<usize>,
}

/// A request in work; dropped with it.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

/// On whose account the connection is.
#[derive(Debug)]
enum Charge {
    Unproven { _seat: Seat<IpAddr> },
    Proven { _seat: Seat<Holder> },
}

#[allow(clippy::too_many_arguments, reason = "the parts of a task that is spawned in one place")]
pub(super) async fn serve(
    server: Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat<IpAddr>,
    tls: watch::Receiver<Option<Arc<Tls>>>,
    leaving: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
) {
    let Some(held) = tls.borrow().clone() else { return };
    // Lines are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let accept = timeout(server.bounds.handshake, TlsAcceptor::from(held.config.clone()).accept(stream));
    let stream = match cut.run_until_cancelled(accept).await {
        Some(Ok(Ok(stream))) => stream,
        Some(failed) => {
            let problem = failed
                .map_or_else(|slow| slow.to_string(), |done| done.err().map_or_else(String::new, |e| e.to_string()));
            tracing::info!("TLS handshake with {peer} failed: {problem}");
            server.counters.count(Happening::HandshakeFailed);
            return;
        }
        None => return,
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let certificates = certificates.map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect());
    let charge = Mutex::new(Charge::Unproven { _seat: seat });
    let requests = watch::Sender::new(0);
    let connection = Arc::new(Connection { peer, certificates, tls, leaving, cut, tasks, charge, requests });
    attend(&server, &connection, TokioIo::new(stream)).await;
    connection.cut.cancel();
}

/// Serves until the peer goes away, or has to.
async fn attend(
    server: &Arc<Server>,
    connection: &Arc<Connection>,
    io: TokioIo<tokio_rustls::server::TlsStream<TcpStream>>,
) {
    let service = service_fn(|request| {
        let (server, connection) = (server.clone(), connection.clone());
        async move { Ok::<_, Infallible>(route::answer(server, connection, request).await) }
    });
    let bounds = &server.bounds;
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams_per_connection)
        .max_header_list_size(bounds.header_bytes)
        .max_pending_accept_reset_streams(RESET_BY_PEER)
        .max_local_error_reset_streams(RESET_BY_US)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 2)
        .max_frame_size(16 << 10)
        .max_send_buf_size(WINDOW as usize)
        .keep_alive_interval(bounds.idle / 3)
        .keep_alive_timeout(bounds.idle / 3);
    let mut http = pin!(http.serve_connection(io, service));
    let mut requests = connection.requests.subscribe();
    let proof_by = Instant::now() + bounds.proof;
    let mut is_leaving = false;
    loop {
        let unused_until = match *requests.borrow_and_update() {
            0 if is_leaving => Some(Instant::now()),
            0 if connection.is_proven() => Some(Instant::now() + bounds.idle),
            0 => Some(proof_by),
            1.. => None,
        };
        tokio::select! {
            ended = http.as_mut() => {
                if let Err(error) = ended {
                    tracing::info!("connection of {} ended: {error}", connection.peer);
                }
                return;
            }
            _ = requests.changed() => {}
            () = until(unused_until), if !is_leaving => {
                if !connection.is_proven() {
                    server.counters.count(Happening::ConnectionCut);
                    return;
                }
                is_leaving = true;
                http.as_mut().graceful_shutdown();
            }
            () = connection.leaving.cancelled(), if !is_leaving => {
                is_leaving = true;
                http.as_mut().graceful_shutdown();
            }
            () = connection.cut.cancelled() => return,
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl Connection {
    /// Notes that a request is in work: the connection is not idle until it is done.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.requests.send_modify(|requests| *requests += 1);
        Busy(self.clone())
    }

    /// Charges the connection to the first who proves who it is.
    pub fn prove(&self, server: &Server, identity: &Identity) -> Result<(), Refusal> {
        let mut charge = self.charge.lock();
        if let Charge::Unproven { .. } = *charge {
            let holder = Holder::of(identity);
            let each = holder.bound(server.bounds.connections_per_pod, server.bounds.connections_per_account);
            let all = Bounds::all_for(&identity.grant, server.bounds.connections);
            let seat =
                server.connections.take(holder, each, all).ok_or(Refusal::TooMany("connections of this identity"))?;
            *charge = Charge::Proven { _seat: seat };
        }
        Ok(())
    }

    fn is_proven(&self) -> bool {
        matches!(*self.charge.lock(), Charge::Proven { .. })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.send_modify(|requests| *requests -= 1);
    }
}
