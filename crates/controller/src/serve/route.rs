//! What is at which path, and for whom.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::answer::{Outgoing, Refusal};
use super::connection::Connection;
use super::counters::Happening;
use super::proof::Proof;
use super::{Server, report, subscribe};
use crate::identity::Identity;

/// Lines of frames.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// How long, and how much, a refused request may still say.
const REFUSED: Duration = Duration::from_secs(1);
const REFUSED_BYTES: usize = 64 << 10;

/// A request whose sender is known.
pub(super) struct Proven {
    pub connection: Arc<Connection>,
    pub proof: Proof,
    pub identity: Arc<Identity>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Listen,
    Converse,
    Report,
}

/// Answers one request.
pub(super) async fn answer(
    server: Arc<Server>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Outgoing> {
    let busy = connection.busy();
    let answered = match admit(&server, &connection, &request).await {
        Ok((Route::Listen, proven)) => subscribe::listen(&server, proven, busy),
        Ok((Route::Converse, proven)) => subscribe::converse(&server, proven, busy, request.into_body()),
        Ok((Route::Report, proven)) => report::take(&server, &proven, request.into_body()).await,
        Err(refusal) => {
            connection.tasks.spawn(timeout(REFUSED, drain(request.into_body())));
            Err(refusal)
        }
    };
    answered.unwrap_or_else(|refusal| {
        if let Refusal::Denied(denied) = &refusal {
            server.counters.denied(denied.reason());
        }
        tracing::info!("{} to {}: {}", refusal.status(), connection.peer, refusal.to_string().trim_end());
        refusal.into_response()
    })
}

/// What a request is for, if it is for us, and who sends it.
async fn admit(
    server: &Server,
    connection: &Arc<Connection>,
    request: &Request<Incoming>,
) -> Result<(Route, Proven), Refusal> {
    let route = match (request.uri().path(), request.method()) {
        ("/feed/v1", &Method::GET) => Route::Listen,
        ("/feed/v1", &Method::POST) => Route::Converse,
        ("/report/v1", &Method::POST) => Route::Report,
        ("/feed/v1", _) => return Err(Refusal::Method { allow: "GET, POST" }),
        ("/report/v1", _) => return Err(Refusal::Method { allow: "POST" }),
        _ => return Err(Refusal::NoSuchPath),
    };
    match route {
        Route::Listen => {}
        Route::Converse => is_of_kind(request, NDJSON)?,
        Route::Report => is_of_kind(request, "application/json")?,
    }
    let proven = prove(server, connection.clone(), request.headers()).await?;
    Ok((route, proven))
}

fn is_of_kind(request: &Request<Incoming>, wanted: &'static str) -> Result<(), Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case(wanted) { Ok(()) } else { Err(Refusal::ContentType { wanted }) }
}

/// Takes a little more of a refused request: a stream that is reset at once takes the answer with it at some clients (curl).
async fn drain(mut body: Incoming) {
    let mut left = REFUSED_BYTES;
    while left > 0
        && let Some(Ok(frame)) = body.frame().await
    {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
    }
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
