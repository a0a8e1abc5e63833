//! The admin interface of a controller: health, readiness, metrics, and what it knows as JSON, over HTTP/1.1. It only reads.
//!
//! Ready is who knows its cluster and has published it, once: neither leading nor an API server that answers is asked for,
//! since data planes are served without either.

mod guests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::Diagnostic;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder as _, Registry, TextEncoder};
use serde::Serialize;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::facts::Facts;
use crate::hub::Hub;
use crate::metrics;
use crate::publish::Readiness;
use crate::serve::Server;
use guests::Guests;

/// How long a client may take to send a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long `accept` rests after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Answer = Response<Full<Bytes>>;

/// What the interface shows.
pub struct Admin {
    /// How far the cluster is known.
    pub readiness: watch::Receiver<Readiness>,
    /// What is published.
    pub hub: Arc<Hub>,
    /// What was found.
    pub facts: Arc<Facts>,
    /// Who is served.
    pub server: Arc<Server>,
    /// What operators scrape.
    pub registry: Registry,
}

/// What is published, for people.
#[derive(Serialize)]
struct Published {
    /// Publications that changed something.
    sequence: u64,
    resources: Vec<Resource>,
    problems: Vec<Diagnostic>,
}

#[derive(Serialize)]
struct Resource {
    key: String,
    version: String,
}

/// Serves the interface for as long as it is polled.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) {
    let mut guests = Guests::<AbortHandle>::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!("accept() on the admin listener failed ({error})");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it everything works but this: who takes nothing would keep its seat and its answer.
        let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(WRITE_TIMEOUT));
        let admin = admin.clone();
        let guest = tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = admin.answer(request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
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

impl Admin {
    fn answer(&self, method: &Method, path: &str) -> Answer {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match path {
            "/healthz" | "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match &*self.readiness.borrow() {
                Readiness::Published => text(StatusCode::OK, "ok\n"),
                waiting @ (Readiness::Lists(_) | Readiness::Contents | Readiness::Names) => {
                    text(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {waiting}\n"))
                }
            },
            "/metrics" => self.metrics(),
            "/api/v1/config" => json(&self.published()),
            "/api/v1/dataplanes" => json(&self.server.roster().seen()),
            _ => text(StatusCode::NOT_FOUND, "/healthz /readyz /metrics /api/v1/config /api/v1/dataplanes\n"),
        }
    }

    fn published(&self) -> Published {
        let (sequence, resources) = self.hub.read(|published| {
            let resource = |(key, encoded): (&Arc<config::ResourceKey>, &feed::Encoded)| Resource {
                key: key.to_string(),
                version: encoded.version().to_string(),
            };
            (published.sequence(), published.resources().map(resource).collect())
        });
        let problems = self.facts.read(|board| board.problems().cloned().collect());
        Published { sequence, resources, problems }
    }

    fn metrics(&self) -> Answer {
        let encoder = TextEncoder::new();
        let mut body = Vec::new();
        let families = metrics::of_feed(&self.server).map(|feed| [self.registry.gather(), feed].concat());
        match families.and_then(|families| encoder.encode(&families, &mut body)) {
            Ok(()) => with_type(StatusCode::OK, encoder.format_type(), body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }
}

fn text(status: StatusCode, text: &str) -> Answer {
    with_type(status, "text/plain; charset=utf-8", text.to_owned().into_bytes())
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec_pretty(value) {
        Ok(body) => with_type(StatusCode::OK, "application/json", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn with_type(status: StatusCode, kind: &str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    if let Ok(kind) = header::HeaderValue::from_str(kind) {
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    answer
}
