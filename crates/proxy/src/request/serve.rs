//! A request as hyper brings it, of either protocol: its own faults are answered, the client behind trusted proxies and the
//! group are found, and the rest is the attempt loop's.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use config::{GroupId, Target};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header, request};
use http_body::Body;
use hyper::body::Incoming;

use crate::alarm::Alarm;
use crate::error_log;
use crate::record::{Downstream, Record, Transport};
use crate::request::body::{ResponseBody, Source};
use crate::request::exchange::Exchange;
use crate::request::{attempt, headers, http2, respond};
use crate::snapshot::{GroupView, Snapshot};
use crate::variables;
use crate::worker::Worker;

/// One request.
pub(crate) async fn handle(
    worker: Arc<Worker>,
    downstream: Arc<Downstream>,
    group: Option<GroupId>,
    alarm: Alarm,
    mut request: Request<Incoming>,
) -> Response<ResponseBody> {
    let upgrade =
        headers::asks_for_upgrade(request.version(), request.headers()).then(|| hyper::upgrade::on(&mut request));
    let (mut parts, incoming) = request.into_parts();
    let snapshot = worker.shared.snapshot.load_full();
    let max_headers = worker.shared.options.limits.headers;
    let folded = if parts.version == Version::HTTP_2 { http2::as_http1(&mut parts, max_headers) } else { Ok(()) };
    if parts.version != Version::HTTP_2 {
        downstream.owes_body.store(!incoming.is_end_stream(), Ordering::Relaxed);
    }
    let fault = folded.err().or_else(|| fault(&parts, &downstream.transport));
    let fault = fault.or_else(|| if incoming.is_end_stream() { None } else { coding_fault(&parts.headers) });
    let mut exchange = Exchange::begin(record(&worker, downstream, parts), worker, alarm);
    if let Some(status) = fault {
        exchange.worker.shared.stats.bad_requests.inc();
        return respond::page(exchange, status);
    }
    let group = match find_group(&mut exchange.record, snapshot.as_deref(), group.as_ref()) {
        Ok(group) => group,
        Err(status) => {
            if status == StatusCode::NOT_FOUND {
                exchange.worker.shared.stats.no_route.inc();
            } else if status == StatusCode::BAD_REQUEST {
                exchange.worker.shared.stats.bad_requests.inc();
            }
            return respond::page(exchange, status);
        }
    };
    exchange.record.group = Some(group.clone());

    let limits = &exchange.worker.shared.options.limits;
    if !incoming.is_end_stream() {
        let announced = incoming.size_hint().lower();
        if limits.body_bytes > 0 && announced > limits.body_bytes {
            error_log::body_too_large(&exchange.record, announced);
            return respond::page(exchange, StatusCode::PAYLOAD_TOO_LARGE);
        }
        let keep = group.config.replay_max_bytes;
        let (timeout, most) = (exchange.timeout(limits.body_timeout), limits.body_bytes);
        let changes = &group.config.request_headers;
        exchange.body = Some(Source::new(&exchange.record.headers, changes, incoming, timeout, most, keep));
    }
    attempt::proxy(exchange, group, upgrade).await
}

/// What is known of a request that begins.
pub(crate) fn record(worker: &Worker, downstream: Arc<Downstream>, parts: request::Parts) -> Record {
    let shared = &worker.shared;
    let (now, trusted) = (shared.clock.now(), &shared.options.trusted_proxies);
    Record::begin(parts, downstream, shared.any_server_name.clone(), now, trusted)
}

/// What is wrong with a request by itself, as a status (nginx `ngx_http_process_request_header`).
fn fault(parts: &request::Parts, transport: &Transport) -> Option<StatusCode> {
    if *transport == Transport::PlainToTls {
        return Some(StatusCode::BAD_REQUEST);
    }
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    if parts.uri.authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return Some(StatusCode::BAD_REQUEST);
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Some(StatusCode::BAD_REQUEST),
        // RFC 9112 section 3.2.
        (None, None) => (parts.version == Version::HTTP_11).then_some(StatusCode::BAD_REQUEST),
        (Some(host), None) => (!is_host(host.as_bytes())).then_some(StatusCode::BAD_REQUEST),
    }
}

/// What is wrong with how a body is coded: `chunked`, said once, is all that is known (nginx
/// `ngx_http_process_request_header`). hyper reads any list that ends in it.
fn coding_fault(headers: &HeaderMap) -> Option<StatusCode> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(_), Some(_)) => Some(StatusCode::BAD_REQUEST),
        (Some(coding), None) => {
            (!coding.as_bytes().eq_ignore_ascii_case(b"chunked")).then_some(StatusCode::NOT_IMPLEMENTED)
        }
    }
}

/// Whether these bytes can be a host and port, without a user in front; the reading of the name itself is the routes' business.
fn is_host(host: &[u8]) -> bool {
    let is_mark = |byte| {
        matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'%' | b'!' | b'$' | b'&' | b'\''..=b',' | b';' | b'='
        )
    };
    host.iter().all(|byte| byte.is_ascii_alphanumeric() || is_mark(*byte))
}

/// The group of a request: the listener's own, or by route. A target that is no path has none.
fn find_group(
    record: &mut Record,
    snapshot: Option<&Snapshot>,
    bound: Option<&GroupId>,
) -> Result<Arc<GroupView>, StatusCode> {
    let path = variables::normalise(record.uri.path()).ok_or(StatusCode::BAD_REQUEST)?;
    let snapshot = snapshot.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let id = if let Some(id) = bound {
        id
    } else {
        let matched = snapshot.routes.find(&record.host, &path).ok_or(StatusCode::NOT_FOUND)?;
        record.server_name = matched.server_name.clone();
        match matched.target {
            Target::Group(id) => id,
            Target::Unavailable { reason } => {
                error_log::no_backend(record, reason);
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
        }
    };
    snapshot.groups.get(id).cloned().ok_or_else(|| {
        error_log::no_backend(record, "the group is not configured");
        StatusCode::SERVICE_UNAVAILABLE
    })
}
