//! What is at which path, and for whom.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;

use super::answer::{Outgoing, Refusal};
use super::connection::Connection;
use super::counters::Happening;
use super::proof::Proof;
use super::{Server, report, subscribe};
use crate::identity::Identity;

/// Lines of frames.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// A request whose sender is known.
pub(super) struct Proven {
    pub connection: Arc<Connection>,
    pub proof: Proof,
    pub identity: Arc<Identity>,
}

/// Answers one request.
pub(super) async fn answer(
    server: Arc<Server>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Outgoing> {
    let busy = connection.busy();
    let peer = connection.peer;
    let method = request.method().clone();
    let answered = match request.uri().path() {
        "/feed/v1" if method == Method::GET => match prove(&server, connection, request.headers()).await {
            Ok(proven) => subscribe::listen(&server, proven, busy),
            Err(refusal) => Err(refusal),
        },
        "/feed/v1" if method == Method::POST => match accept(&server, connection, &request, NDJSON).await {
            Ok(proven) => subscribe::converse(&server, proven, busy, request.into_body()),
            Err(refusal) => Err(refusal),
        },
        "/report/v1" if method == Method::POST => {
            match accept(&server, connection, &request, "application/json").await {
                Ok(proven) => report::take(&server, &proven, request.into_body()).await,
                Err(refusal) => Err(refusal),
            }
        }
        "/feed/v1" => Err(Refusal::Method { allow: "GET, POST" }),
        "/report/v1" => Err(Refusal::Method { allow: "POST" }),
        _ => Err(Refusal::NoSuchPath),
    };
    answered.unwrap_or_else(|refusal| {
        if let Refusal::Denied(denied) = &refusal {
            server.counters.denied(denied.reason());
        }
        tracing::info!("{} to {peer}: {}", refusal.status(), refusal.to_string().trim_end());
        refusal.into_response()
    })
}

/// The sender of a request with a body.
async fn accept(
    server: &Server,
    connection: Arc<Connection>,
    request: &Request<Incoming>,
    wanted: &'static str,
) -> Result<Proven, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(wanted) {
        return Err(Refusal::ContentType { wanted });
    }
    prove(server, connection, request.headers()).await
}

async fn prove(server: &Server, connection: Arc<Connection>, headers: &HeaderMap) -> Result<Proven, Refusal> {
    let certificates = connection.certificates.as_ref();
    let proof = Proof::of_request(server, headers, certificates, connection.peer.ip()).await;
    let (proof, identity) = proof.map_err(Refusal::Denied)?;
    connection.prove(server, &identity)?;
    Ok(Proven { connection, proof, identity })
}

/// Counts what a report came to.
pub(super) fn count_report(server: &Server, refusal: &Refusal) {
    server.counters.count(match refusal {
        Refusal::NotLeader(_) => Happening::ReportMisdirected,
        _ => Happening::ReportRefused,
    });
}
