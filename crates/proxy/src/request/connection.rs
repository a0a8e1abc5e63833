//! A client connection from accept to close: TLS if the listener asks for it, then HTTP/1 or HTTP/2 as hyper speaks them. Both
//! bring their requests to the one [`accept`]; here is only what ends a connection.
//!
//! A plain connection is a task of its own type, so that what TLS and HTTP/2 hold costs it nothing.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::alarm::{Alarm, Timeout};
use crate::error_log;
use crate::options::Listener;
use crate::record::{Downstream, Transport};
use crate::request::client_io::ClientIo;
use crate::request::idle::{Idle, Idleness, Signs};
use crate::request::serve::{accept, answer};
use crate::request::streams::{self, Streams};
use crate::request::unread;
use crate::request::wire::Wire;
use crate::stats::{Counted, Handshake};
use crate::timed::Timed;
use crate::tls::{self, Opened, Refusal};
use crate::worker::Worker;

/// How long a drain waits for the first request of a connection that was accepted shortly before.
const FIRST_REQUEST: Duration = Duration::from_millis(250);
/// What a stream of HTTP/2 may send before its server takes it (nginx `http2_body_preread_size`). All streams of a connection
/// may do so at once, lest those whose servers take nothing stop the others: it is bounded by their number alone.
const STREAM_WINDOW: u32 = 64 << 10;
/// RFC 9113 section 6.9.1.
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// What a stream may hold of a response that its client does not take, before it is given one piece more.
const SEND_BUFFER: usize = 64 << 10;
/// hyper's own bound on header lines. Room for a bound that it is told is made entry by entry for each request, a thousand
/// instructions; room for its own costs none.
const HYPERS_HEADERS: usize = 100;
/// Streams that the client reset before they were looked at; more end the connection (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Streams that we reset for the client's faults; more end the connection (CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 1024;

/// What the kind of connection wants of its life, asked whenever something happens.
enum Wish {
    /// Nothing.
    Go,
    /// That the request which has begun is heard.
    Hear,
    /// That it ends once what is in flight is answered.
    Finish,
    /// That it ends now.
    Cut,
}

/// A connection of hyper's, of either kind.
trait Serving: Future<Output = hyper::Result<()>> {
    /// Lets it finish what it has: `Connection: close`, or GOAWAY.
    fn finish(self: Pin<&mut Self>);
}

/// Serves a connection without TLS.
pub(crate) async fn plain(worker: Arc<Worker>, stream: TcpStream, peer: SocketAddr, listener: Arc<Listener>) {
    let Some(downstream) = accepted(&worker, &stream, peer, &listener) else { return };
    let _open = Counted::new(&worker.shared.stats.connections_active);
    let (stream, alarm) = timed(&worker, stream);
    speak_http1(&worker, Arc::new(downstream), &listener, stream, alarm).await;
}

/// Serves a connection of a TLS listener.
pub(crate) async fn secure(worker: Arc<Worker>, stream: TcpStream, peer: SocketAddr, listener: Arc<Listener>) {
    let Some(mut downstream) = accepted(&worker, &stream, peer, &listener) else { return };
    let _open = Counted::new(&worker.shared.stats.connections_active);
    let stats = &worker.shared.stats;
    let (stream, alarm) = timed(&worker, stream);
    let opened = tokio::select! {
        // Boxed, so that the connection does not keep the room of its handshake.
        opened = Box::pin(tls::open(stream, |host| worker.certificate(host))) => opened,
        () = hesitation(&worker) => Err(Refusal::TimedOut),
    };
    match opened {
        Ok(Opened::Tls(stream)) => {
            let session = tls::Session::of(stream.get_ref().1);
            stats.handshake(if session.reused { Handshake::Resumed } else { Handshake::Full }).inc();
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(tls::H2);
            downstream.transport = Transport::Tls(Box::new(session));
            let downstream = Arc::new(downstream);
            if is_http2 {
                speak_http2(&worker, downstream, &listener, stream, alarm).await;
            } else {
                speak_http1(&worker, downstream, &listener, stream, alarm).await;
            }
        }
        Ok(Opened::Plain(stream)) => {
            downstream.transport = Transport::PlainToTls;
            speak_http1(&worker, Arc::new(downstream), &listener, stream, alarm).await;
        }
        Err(refusal) => {
            stats.handshake(Handshake::Failed).inc();
            error_log::handshake(&refusal, &downstream);
        }
    }
}

fn accepted(worker: &Worker, stream: &TcpStream, peer: SocketAddr, listener: &Listener) -> Option<Downstream> {
    // Only a listener on all addresses does not know which of them this is.
    let local = if listener.address.ip().is_unspecified() { stream.local_addr().ok()? } else { listener.address };
    let serial = worker.shared.stats.connections_accepted.next();
    Some(Downstream { serial, peer, local, requests: AtomicU64::new(0), transport: Transport::Plain })
}

/// The client takes what is written within nginx's `send_timeout`, by the alarm of its connection's task.
fn timed(worker: &Worker, stream: TcpStream) -> (Timed<TcpStream>, Alarm) {
    let alarm = Alarm::default();
    let timeout = Timeout::new(alarm.clone(), worker.shared.options.limits.send_timeout);
    (Timed::new(stream, Some(timeout)), alarm)
}

/// How long a handshake may take (nginx `client_header_timeout`), less while the worker drains.
async fn hesitation(worker: &Worker) {
    tokio::select! {
        () = tokio::time::sleep(worker.shared.options.limits.header_timeout) => {}
        () = async {
            worker.draining.cancelled().await;
            tokio::time::sleep(FIRST_REQUEST).await;
        } => {}
    }
}

async fn speak_http1<I>(worker: &Arc<Worker>, downstream: Arc<Downstream>, listener: &Listener, io: I, alarm: Alarm)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = &worker.shared.options.limits;
    let wire = Arc::new(Wire::default());
    // What the connection goes on as when it leaves HTTP.
    let tunnel = Mutex::new(None);
    let service = service_fn(|request| {
        let accepted = accept(worker, &downstream, Some(&wire), listener.group.as_ref(), alarm.clone(), request);
        let tunnel = &tunnel;
        async move {
            let mut response = answer(accepted).await;
            if let Some(taken) = response.body_mut().tunnel() {
                *tunnel.lock() = Some(taken);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let io = ClientIo::new(io, wire.clone(), downstream.transport.says_goodbye(), alarm.clone());
    let mut connection = {
        let mut builder = http1::Builder::new();
        builder.timer(alarm.clone()).header_read_timeout(limits.header_timeout).max_header_size(limits.header_bytes);
        if limits.headers != HYPERS_HEADERS {
            builder.max_headers(limits.headers);
        }
        builder.serve_connection(TokioIo::new(io), service)
    };
    // hyper ends it itself: when it is idle for too long, and after a response that says `Connection: close`.
    let wish = |_: &mut Context<'_>| if wire.has_begun() { Wish::Hear } else { Wish::Go };
    let result = drive(Pin::new(&mut connection), worker, &downstream, &alarm, wish).await;
    let leaves_http = tunnel.lock().take();
    match (result, leaves_http) {
        (Ok(()), Some(tunnel)) => {
            let parts = connection.into_parts();
            let _open = Counted::new(&worker.shared.stats.tunnels_active);
            Box::pin(tunnel.run(parts.io.into_inner(), parts.read_buf)).await;
        }
        // Once a request had an `Upgrade` header, hyper is through when nothing is left to be said, with what is not sent yet
        // and the goodbye left to us; asked again, it sends and says them. Where they are said this does nothing.
        (Ok(()), None) => drop((&mut connection).await),
        // A request in progress has a line of its own.
        (Err(error), None) if wire.is_idle() => {
            let rest = connection.into_parts().read_buf;
            unread::log(&error, &rest, worker, downstream, alarm);
        }
        (Err(_), _) => {}
    }
}

async fn speak_http2<I>(worker: &Arc<Worker>, downstream: Arc<Downstream>, listener: &Listener, io: I, alarm: Alarm)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = &worker.shared.options.limits;
    let wire = Arc::new(Wire::default());
    let io = ClientIo::new(io, wire.clone(), downstream.transport.says_goodbye(), alarm.clone());
    let streams = Streams::new(worker.clone(), limits.send_timeout);
    // Each stream is a task, and an alarm belongs to one.
    let service = service_fn(|request| {
        let accepted = accept(worker, &downstream, None, listener.group.as_ref(), Alarm::default(), request);
        streams::ours(async { Ok::<_, Infallible>(answer(accepted).await) })
    });
    let connection_window = STREAM_WINDOW.saturating_mul(limits.concurrent_streams).clamp(STREAM_WINDOW, MAX_WINDOW);
    let connection = http2::Builder::new(streams.clone())
        .max_concurrent_streams(limits.concurrent_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(connection_window)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .serve_connection(TokioIo::new(io), service);
    let connection = pin!(connection);
    let mut idle = Idle::new(Timeout::new(alarm.clone(), limits.header_timeout));
    let wish = |cx: &mut Context<'_>| {
        let requests = downstream.requests.load(Ordering::Relaxed);
        let is_worn_out = limits.keepalive_requests > 0 && requests >= limits.keepalive_requests;
        match idle.poll(Signs { requests, written: wire.written(), has_streams: streams.are_open() }, cx) {
            Idleness::Overstayed => Wish::Cut,
            Idleness::Told => Wish::Finish,
            Idleness::Borne if is_worn_out => Wish::Finish,
            Idleness::Borne => Wish::Go,
        }
    };
    // What hyper makes no request of it answers stream by stream, and tells nobody.
    let _ = drive(connection, worker, &downstream, &alarm, wish).await;
}

/// Drives a connection until it closes, its kind wants it closed, or the drain ends it; reports how it broke, if it did.
async fn drive<C: Serving>(
    mut connection: Pin<&mut C>,
    worker: &Worker,
    downstream: &Downstream,
    alarm: &Alarm,
    mut wish: impl FnMut(&mut Context<'_>) -> Wish,
) -> hyper::Result<()> {
    let draining = &worker.draining;
    let mut drain = pin!(draining.cancelled());
    let mut is_watched = false;
    let mut is_told = false;
    let mut first_request = Timeout::new(alarm.clone(), FIRST_REQUEST);
    let result = poll_fn(|cx| {
        // Polled once, the drain wakes this task; from then on to ask whether it has begun is much cheaper.
        let is_draining = if is_watched { draining.is_cancelled() } else { drain.as_mut().poll(cx).is_ready() };
        is_watched = true;
        loop {
            // What has come is read before it is decided on: a request among it is answered, and its answer says that it is the
            // last.
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            let has_asked = downstream.requests.load(Ordering::Relaxed) > 0;
            let is_last = match wish(cx) {
                Wish::Go => is_draining && (has_asked || first_request.poll(cx).is_ready()),
                // It has the time that any header has (nginx `client_header_timeout`).
                Wish::Hear => false,
                Wish::Finish => true,
                Wish::Cut => return Poll::Ready(Ok(())),
            };
            if is_told || !is_last {
                return Poll::Pending;
            }
            is_told = true;
            connection.as_mut().finish();
        }
    })
    .await;
    if let Err(error) = &result {
        error_log::connection(error, downstream);
    }
    result
}

impl<I, S> Serving for http1::Connection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<hyper::body::Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: http_body::Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E> Serving for http2::Connection<I, S, E>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<hyper::body::Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: http_body::Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
