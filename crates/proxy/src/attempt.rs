//! The attempt loop: a request's way to a response. Read this first.
//!
//! select → idle connection or dial → send → response header → verdict → relay, or release and select again. The snapshot was
//! pinned by the caller; everything here uses that one [`GroupView`]. Balancing decisions are `balance`'s; this file moves
//! bytes and reports facts.

use std::sync::Arc;

use balance::retry::{Facts, Failure, HeaderVerdict, Tries, Verdict};
use balance::{NoLivePeers, Outcome};
use config::Sticky;
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::body::{ClientFault, Relay, RequestBody, ResponseBody, Source};
use crate::error_log::{self, Action};
use crate::exchange::{Exchange, Relaying};
use crate::inputs::{self, Asked};
use crate::lease::Lease;
use crate::record::{Attempt, AttemptEnd, FailureReason};
use crate::serve::Counted;
use crate::sessions::Sessions;
use crate::snapshot::GroupView;
use crate::upstream::{ConnectError, Connection, dial, ready};
use crate::{headers, respond, tunnel};

/// What came of one attempt.
enum Answer {
    /// A complete response header.
    Header(Response<Incoming>, Connection),
    /// None; the server is to blame.
    Failed { reason: FailureReason, action: Action, facts: Facts },
    /// None; the client is to blame.
    ClientFault(ClientFault),
}

/// Proxies one request to `group`.
pub(crate) async fn proxy(
    mut exchange: Box<Exchange>,
    group: Arc<GroupView>,
    upgrade: Option<OnUpgrade>,
) -> Response<ResponseBody> {
    let clock = exchange.worker.shared.clock;
    let body = exchange.body.clone();
    let Asked { mut request, session } = inputs::ask(&exchange.record, &group, clock.now().now());
    let mut tries = Tries::new(&group.plan, &group.policy, clock.now().now());
    loop {
        let lease = match Lease::select(&group, &mut request, clock) {
            Ok(lease) => lease,
            Err(NoLivePeers) => return no_live_peers(exchange, &group),
        };
        let started = clock.now();
        exchange.record.attempts.push(Attempt::begin(lease.position(), started));

        match attempt(&mut exchange, &group, lease.position(), body.as_ref(), upgrade.is_some()).await {
            Answer::Header(response, connection) => {
                let now = clock.now();
                let status = response.status();
                let facts = facts(&exchange, body.as_ref(), true, connection.is_reused());
                if let Some(attempt) = exchange.record.attempts.last_mut() {
                    attempt.header = Some(now.since(attempt.started));
                    attempt.status = Some(status.as_u16());
                }
                match tries.after_header(&group.policy, status.as_u16(), facts, now.now()) {
                    HeaderVerdict::Relay => {
                        return relay(exchange, group, lease, session, response, connection, upgrade);
                    }
                    HeaderVerdict::RetryFailed => {
                        let reason = FailureReason::Status(status.as_u16());
                        let disabled = lease.finish(Outcome::Failed).disabled;
                        end_attempt(&mut exchange, AttemptEnd::Failed(reason), disabled, Some(&connection));
                        if disabled {
                            error_log::disabled(&exchange.record, Action::ReadingHeader);
                        }
                    }
                    HeaderVerdict::RetryNext => {
                        lease.finish(Outcome::Next);
                        end_attempt(&mut exchange, AttemptEnd::Next(status.as_u16()), false, Some(&connection));
                    }
                }
            }
            Answer::Failed { reason, action, facts } => {
                let disabled = lease.finish(Outcome::Failed).disabled;
                end_attempt(&mut exchange, AttemptEnd::Failed(reason), disabled, None);
                if disabled {
                    error_log::disabled(&exchange.record, action);
                }
                match tries.after_failure(&group.policy, failure(reason), facts, clock.now().now()) {
                    Verdict::Retry => set_status(&mut exchange, failure_status(reason)),
                    Verdict::Return(status) => {
                        set_status(&mut exchange, status);
                        return answer(exchange, &group, status);
                    }
                }
            }
            Answer::ClientFault(fault) => {
                lease.finish(Outcome::Abandoned);
                end_attempt(&mut exchange, AttemptEnd::Abandoned, false, None);
                return respond::page(exchange, fault_status(fault));
            }
        }
    }
}

/// One attempt at the server at `position`, up to its response header.
async fn attempt(
    exchange: &mut Exchange,
    group: &GroupView,
    position: usize,
    body: Option<&Arc<Source>>,
    upgrade: bool,
) -> Answer {
    loop {
        let mut connection = match connect(exchange, group, position).await {
            Ok(connection) => connection,
            Err(error) => {
                let reason = match &error {
                    ConnectError::Io(_) => FailureReason::Connect,
                    ConnectError::TimedOut => FailureReason::ConnectTimeout,
                };
                error_log::attempt_failed(&exchange.record, reason, Action::Connecting, &error);
                return Answer::Failed {
                    reason,
                    action: Action::Connecting,
                    facts: facts(exchange, body, false, false),
                };
            }
        };
        let reused = connection.is_reused();
        let now = exchange.now();
        if let Some(attempt) = exchange.record.attempts.last_mut() {
            attempt.reused = reused;
            attempt.connect = Some(if reused { std::time::Duration::ZERO } else { now.since(attempt.started) });
        }

        let request = upstream_request(exchange, group, body, upgrade);
        let sending = connection.sender.try_send_request(request);
        let error = match await_header(sending, body, group).await {
            Ok(response) if is_unusable(&response, upgrade) => {
                let reason = FailureReason::InvalidHeader;
                error_log::attempt_failed(&exchange.record, reason, Action::ReadingHeader, &"bad framing");
                return Answer::Failed {
                    reason,
                    action: Action::ReadingHeader,
                    facts: facts(exchange, body, true, reused),
                };
            }
            Ok(response) => return Answer::Header(response, connection),
            Err(error) => error,
        };
        if let Some(fault) = body.and_then(|body| body.fault()) {
            return Answer::ClientFault(fault);
        }
        let (reason, unsent) = match &error {
            HeaderError::TimedOut => (FailureReason::ReadTimeout, false),
            HeaderError::Send(error) => (failure_reason(error.error()), error.message().is_some()),
        };
        // The server closed an idle connection before a byte of this request was on it: nginx's event loop would have seen
        // that before it picked the connection, so nobody is to blame and the next connection is tried.
        if unsent && reused {
            continue;
        }
        let action = if reason == FailureReason::SendTimeout { Action::Sending } else { Action::ReadingHeader };
        error_log::attempt_failed(&exchange.record, reason, action, &error);
        if let Some(attempt) = exchange.record.attempts.last_mut() {
            (attempt.bytes_sent, attempt.bytes_received) = connection.request_bytes();
        }
        return Answer::Failed { reason, action, facts: facts(exchange, body, true, reused) };
    }
}

/// An idle connection to the server, or a new one.
async fn connect(exchange: &Exchange, group: &GroupView, position: usize) -> Result<Connection, ConnectError> {
    let server = &group.servers[position];
    loop {
        let idle = exchange.worker.pool.lock().take(&group.id, &server.address_text, exchange.now());
        match idle {
            None => break,
            Some(connection) => {
                if let Some(connection) = ready(connection).await {
                    return Ok(connection);
                }
            }
        }
    }
    let limit = exchange.worker.shared.options.limits.upstream_header_bytes;
    dial(&server.address, &group.config.timeouts, limit, exchange.now()).await
}

fn upstream_request(
    exchange: &Exchange,
    group: &GroupView,
    body: Option<&Arc<Source>>,
    upgrade: bool,
) -> Request<RequestBody> {
    let record = &exchange.record;
    let chunked = body.is_some() && !record.headers.contains_key(http::header::CONTENT_LENGTH);
    let mut request = Request::new(body.map_or(RequestBody::Empty, Source::attempt));
    *request.method_mut() = record.method.clone();
    *request.uri_mut() = origin_form(&record.uri);
    *request.headers_mut() = headers::for_upstream(record, group, upgrade, chunked);
    request
}

/// The target without scheme and authority, byte for byte as the client sent it.
fn origin_form(uri: &Uri) -> Uri {
    if uri.authority().is_none() {
        return uri.clone();
    }
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
}

type SendError = hyper::client::conn::TrySendError<Request<RequestBody>>;

/// Why no response header came.
enum HeaderError {
    TimedOut,
    Send(Box<SendError>),
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimedOut => f.write_str("timed out"),
            Self::Send(error) => error.error().fmt(f),
        }
    }
}

impl HeaderError {
    fn send(error: SendError) -> Self {
        Self::Send(Box::new(error))
    }
}

/// Waits for the response header; `timeouts.read` runs from the end of sending the request (nginx `proxy_read_timeout`).
async fn await_header(
    sending: impl Future<Output = Result<Response<Incoming>, SendError>>,
    body: Option<&Arc<Source>>,
    group: &GroupView,
) -> Result<Response<Incoming>, HeaderError> {
    let mut sending = std::pin::pin!(sending);
    if let Some(body) = body {
        tokio::select! {
            biased;
            result = &mut sending => return result.map_err(HeaderError::send),
            () = body.taken() => {}
        }
    }
    match tokio::time::timeout(group.config.timeouts.read.as_duration(), sending).await {
        Ok(result) => result.map_err(HeaderError::send),
        Err(_) => Err(HeaderError::TimedOut),
    }
}

/// A response that nginx would refuse as an invalid header, or that changes the protocol unasked.
fn is_unusable(response: &Response<Incoming>, upgrade: bool) -> bool {
    headers::is_framed_twice(response.headers()) || (response.status() == StatusCode::SWITCHING_PROTOCOLS && !upgrade)
}

/// Passes the response on. The server is released with its last byte.
fn relay(
    mut exchange: Box<Exchange>,
    group: Arc<GroupView>,
    lease: Lease,
    session: Option<Vec<u8>>,
    mut response: Response<Incoming>,
    connection: Connection,
    upgrade: Option<OnUpgrade>,
) -> Response<ResponseBody> {
    let status = response.status();
    let shared = exchange.worker.shared.clone();
    let mut sessions = Sessions::of(&group, &exchange.record, session, response.headers());
    if Sessions::begin_with_header(&group) {
        sessions.tie(&group, lease.position(), exchange.now());
    }
    if shared.access_log.wants_upstream_headers() {
        exchange.record.upstream_headers = Some(response.headers().clone());
    }
    let server_upgrade = (status == StatusCode::SWITCHING_PROTOCOLS).then(|| hyper::upgrade::on(&mut response));
    let reusable = response.version() == Version::HTTP_11 && server_upgrade.is_none();
    let (mut parts, incoming) = response.into_parts();
    parts.version = Version::HTTP_11;
    headers::for_client(&mut parts.headers);
    stick(&exchange, &group, &mut parts.headers);
    if server_upgrade.is_some() {
        parts.headers.insert(http::header::CONNECTION, http::HeaderValue::from_static("upgrade"));
    } else {
        headers::close_when_worn_out(&exchange.record, shared.options.limits.keepalive_requests, &mut parts.headers);
    }
    exchange.record.status = status.as_u16();
    exchange.record.header_bytes_sent = headers::wire_size(&parts.headers);
    if shared.access_log.wants_sent_headers() {
        exchange.record.sent_headers = Some(parts.headers.clone());
    }

    let timeouts = group.config.timeouts;
    let worker = exchange.worker.clone();
    let relaying = Relaying::new(exchange, group, lease, connection, reusable, sessions);
    let body = match (upgrade, server_upgrade) {
        (Some(client), Some(server)) => {
            let tunnelling = worker.clone();
            worker.spawn(async move {
                let _open = Counted::new(&tunnelling.shared.stats.tunnels_active);
                tokio::select! {
                    () = tunnel::run(client, server, relaying, timeouts.tunnel.as_duration()) => {}
                    () = tunnelling.shared.cut.cancelled() => {}
                }
            });
            ResponseBody::Detached
        }
        (_, None) | (None, Some(_)) => Relay::body(incoming, relaying, timeouts.read.as_duration()),
    };
    Response::from_parts(parts, body)
}

/// `sticky cookie`: every response that follows a pick names the server in a cookie, our own pages too.
fn stick(exchange: &Exchange, group: &GroupView, fields: &mut http::HeaderMap) {
    if let Some(Sticky::Cookie(cookie)) = &group.config.sticky
        && let Some(position) = exchange.record.attempts.iter().rev().find_map(|attempt| attempt.position)
    {
        let unix_secs = exchange.now().micros() / 1_000_000;
        headers::set_sticky_cookie(fields, cookie, group.plan.sid(position), unix_secs);
    }
}

fn no_live_peers(mut exchange: Box<Exchange>, group: &GroupView) -> Response<ResponseBody> {
    let now = exchange.now();
    exchange.record.attempts.push(Attempt::no_live_peers(now));
    error_log::no_live_upstreams(&exchange.record);
    // A group without any server is "not there yet", not "all failed" (ledger: `empty-group-503`).
    let status = if group.servers.is_empty() { 503 } else { 502 };
    set_status(&mut exchange, status);
    answer(exchange, group, status)
}

/// Our own page at the end of the attempts.
fn answer(exchange: Box<Exchange>, group: &GroupView, status: u16) -> Response<ResponseBody> {
    let mut fields = http::HeaderMap::new();
    stick(&exchange, group, &mut fields);
    respond::with_headers(exchange, StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), fields)
}

fn end_attempt(exchange: &mut Exchange, end: AttemptEnd, disabled: bool, connection: Option<&Connection>) {
    let now = exchange.now();
    if let Some(attempt) = exchange.record.attempts.last_mut() {
        attempt.end = end;
        attempt.disabled = disabled;
        attempt.response = Some(now.since(attempt.started));
        if let Some(connection) = connection {
            (attempt.bytes_sent, attempt.bytes_received) = connection.request_bytes();
        }
    }
}

fn set_status(exchange: &mut Exchange, status: u16) {
    if let Some(attempt) = exchange.record.attempts.last_mut() {
        attempt.status = Some(status);
    }
}

fn facts(exchange: &Exchange, body: Option<&Arc<Source>>, begun: bool, reused: bool) -> Facts {
    Facts {
        non_idempotent: headers::is_non_idempotent(&exchange.record.method),
        begun,
        reused,
        replayable: body.is_none_or(|body| body.is_replayable()),
    }
}

fn failure(reason: FailureReason) -> Failure {
    match reason {
        FailureReason::ConnectTimeout | FailureReason::SendTimeout | FailureReason::ReadTimeout => Failure::Timeout,
        FailureReason::InvalidHeader | FailureReason::HeaderTooLarge => Failure::InvalidHeader,
        FailureReason::Connect | FailureReason::Reset | FailureReason::Closed | FailureReason::Status(_) => {
            Failure::Error
        }
    }
}

fn failure_status(reason: FailureReason) -> u16 {
    match failure(reason) {
        Failure::Timeout => 504,
        Failure::Error | Failure::InvalidHeader => 502,
    }
}

/// What hyper's error says of the server.
fn failure_reason(error: &hyper::Error) -> FailureReason {
    if error.is_parse_too_large() {
        return FailureReason::HeaderTooLarge;
    }
    if error.is_parse() {
        return FailureReason::InvalidHeader;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return FailureReason::Closed;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::TimedOut
        {
            return FailureReason::SendTimeout;
        }
        source = cause.source();
    }
    FailureReason::Reset
}

fn fault_status(fault: ClientFault) -> StatusCode {
    match fault {
        ClientFault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ClientFault::TimedOut => StatusCode::REQUEST_TIMEOUT,
        ClientFault::Broken | ClientFault::GivenUp => StatusCode::BAD_REQUEST,
    }
}
