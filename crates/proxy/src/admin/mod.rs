//! The admin interface: health, readiness, metrics and the live picture as JSON, over HTTP/1.1.
//!
//! It runs on the control runtime, so a scrape never delays a request; readiness alone asks the workers, because it must test
//! what it vouches for. It only reads. It has no authentication: bind it where only those may connect who may know.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::Registry;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::config_status::ConfigStatus;
use crate::metrics::Metrics;
use crate::observed::Observed;

mod groups;
mod guests;
mod pages;
mod routes;

use guests::Guests;
use pages::Pages;

/// How long a client may take to send a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long `accept` rests after it failed, most often for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Response = http::Response<Full<Bytes>>;

/// Serves the admin interface for as long as it is polled. What is in `registry` is shown with the metrics of the data plane.
pub async fn serve<S: Observed>(listener: TcpListener, source: Arc<S>, status: Arc<ConfigStatus>, registry: Registry) {
    let metrics = match Metrics::new(registry, source.clone(), status.clone()) {
        Ok(metrics) => metrics,
        // Two metrics of one name: the tests exclude it.
        Err(error) => return tracing::error!(target: "forebay::admin", "no admin interface: {error}"),
    };
    let pages = Arc::new(Pages { source, status, metrics });
    let mut guests = Guests::<AbortHandle>::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(target: "forebay::admin", "accept() failed ({error})");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        limit_writes(&stream);
        let pages = pages.clone();
        let guest = tokio::spawn(async move {
            let service = service_fn(move |request| {
                let pages = pages.clone();
                async move { Ok::<_, std::convert::Infallible>(pages.answer(&request).await) }
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // A client that breaks off here harms only itself.
            let _ = serving.await;
        });
        guests.forget(AbortHandle::is_finished);
        if let Some(closed) = guests.enter(peer.ip(), guest.abort_handle()) {
            closed.abort();
        }
    }
}

/// Has the kernel close a connection whose client takes nothing for [`WRITE_TIMEOUT`]: it would keep its seat and its answer.
fn limit_writes(stream: &TcpStream) {
    // Without it everything works but this.
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(WRITE_TIMEOUT));
}

#[cfg(test)]
mod tests;
