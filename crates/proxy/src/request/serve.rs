//! A request as hyper brings it, of either protocol: its own faults are answered, the client behind trusted proxies and the
//! group are found, and the rest is the attempt loop's.

use std::sync::Arc;

use config::{GroupId, Target};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header, request};
use http_body::Body;
use hyper::body::Incoming;

use crate::alarm::Alarm;
use crate::error_log;
use crate::record::{Downstream, Record, Transport};
use crate::request::body::{ResponseBody, Source};
use crate::request::exchange::Exchange;
use crate::request::wire::Wire;
use crate::request::{attempt, headers, http2, respond};
use crate::snapshot::{GroupView, Snapshot};
use crate::variables;
use crate::worker::Worker;

/// A request that may be balanced: what the attempt loop is given.
pub(super) struct Accepted {
    exchange: Box<Exchange>,
    group: Arc<GroupView>,
    upgrade: bool,
}

/// A request that is answered by ourselves, with this status.
pub(super) struct Refused {
    exchange: Box<Exchange>,
    status: StatusCode,
}

/// The answer to one request. hyper keeps room for this future in every connection and moves it for every request, so what needs
/// no waiting is done before, by [`accept`].
pub(super) async fn answer(request: Result<Accepted, Refused>) -> Response<ResponseBody> {
    match request {
        Ok(Accepted { exchange, group, upgrade }) => attempt::proxy(exchange, group, upgrade).await,
        Err(Refused { exchange, status }) => respond::page(exchange, status),
    }
}

/// One request, as far as it goes before a server is asked; `wire` is that of a connection which it has to itself.
pub(super) fn accept(
    worker: &Arc<Worker>,
    downstream: &Arc<Downstream>,
    wire: Option<&Arc<Wire>>,
    group: Option<&GroupId>,
    alarm: Alarm,
    request: Request<Incoming>,
) -> Result<Accepted, Refused> {
    let upgrade = headers::asks_for_upgrade(request.version(), request.headers());
    let (mut parts, incoming) = request.into_parts();
    let max_headers = worker.shared.options.limits.headers;
    let folded = if parts.version == Version::HTTP_2 { http2::as_http1(&mut parts, max_headers) } else { Ok(()) };
    if let Some(wire) = wire {
        wire.set_owes_body(!incoming.is_end_stream());
    }
    let fault = folded.err().or_else(|| fault(&parts, &downstream.transport));
    let fault = fault.or_else(|| if incoming.is_end_stream() { None } else { coding_fault(&parts.headers) });
    let record = record(worker, downstream.clone(), parts);
    let mut exchange = Exchange::begin(record, worker.clone(), alarm, wire.cloned());
    if let Some(status) = fault {
        worker.shared.stats.bad_requests.inc();
        return Err(refuse(exchange, incoming, status));
    }
    let found = find_group(&mut exchange.record, worker.shared.snapshot.load().as_deref(), group);
    let group = match found {
        Ok(group) => group,
        Err(status) => {
            if status == StatusCode::NOT_FOUND {
                worker.shared.stats.no_route.inc();
            } else if status == StatusCode::BAD_REQUEST {
                worker.shared.stats.bad_requests.inc();
            }
            return Err(refuse(exchange, incoming, status));
        }
    };
    exchange.record.group = Some(group.clone());

    let limits = &worker.shared.options.limits;
    if !incoming.is_end_stream() {
        let announced = incoming.size_hint().lower();
        if limits.body_bytes > 0 && announced > limits.body_bytes {
            error_log::body_too_large(&exchange.record, announced);
            return Err(refuse(exchange, incoming, StatusCode::PAYLOAD_TOO_LARGE));
        }
        let keep = group.config.replay_max_bytes;
        let (timeout, most) = (exchange.timeout(limits.body_timeout), limits.body_bytes);
        let changes = &group.config.request_headers;
        exchange.body = Some(Source::new(&exchange.record.headers, changes, incoming, timeout, most, keep));
    }
    Ok(Accepted { exchange, group, upgrade })
}

/// Refuses a request of whose body nothing was read. That of HTTP/1 is dropped before the answer is made, so that the answer says
/// what becomes of the connection.
fn refuse(exchange: Box<Exchange>, incoming: Incoming, status: StatusCode) -> Refused {
    if exchange.record.version == Version::HTTP_2 && !incoming.is_end_stream() {
        exchange.discard(incoming);
    }
    Refused { exchange, status }
}

/// What is known of a request that begins.
pub(crate) fn record(worker: &Worker, downstream: Arc<Downstream>, parts: request::Parts) -> Record {
    let (now, trusted) = (worker.shared.clock.now(), &worker.shared.options.trusted_proxies);
    Record::begin(parts, downstream, now, trusted)
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
        record.server_name = matched.server_name.cloned();
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
