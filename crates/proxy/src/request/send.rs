//! One attempt: an idle connection or a new one, the request on it, and the response header or why there is none.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use http::{Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;

use crate::alarm::Timeout;
use crate::clock::Moment;
use crate::request::body::{ClientFault, RequestBody, Source};
use crate::request::exchange::Exchange;
use crate::request::failure::{Failure, SendError};
use crate::request::headers;
use crate::snapshot::{GroupView, ServerView};
use crate::upstream::{ConnectError, Connection, dial, ready};

/// What came of one attempt.
pub(crate) enum Answer {
    /// A complete response header, and the connection its body comes on.
    Header(Response<Incoming>, Connection),
    /// None; the server is to blame.
    Failed(Failure),
    /// None; the client is to blame.
    ClientFault(ClientFault),
}

/// Why the wait for a header ended without one.
enum NoHeader {
    TimedOut,
    Send(Box<SendError>),
}

impl NoHeader {
    fn send(error: SendError) -> Self {
        Self::Send(Box::new(error))
    }
}

/// Tries `server`, picked at `now`, up to its response header.
pub(crate) async fn send(
    exchange: &mut Exchange,
    group: &GroupView,
    server: &ServerView,
    now: Moment,
    upgrade: bool,
) -> Answer {
    let body = exchange.body.clone();
    loop {
        let mut connection = match connect(exchange, group, server, now).await {
            Ok(connection) => connection,
            Err(error) => return Answer::Failed(Failure::connecting(error)),
        };
        let reused = connection.is_reused();
        let connect = if reused { Duration::ZERO } else { exchange.now().since(now) };
        if let Some(attempt) = exchange.record.attempts.last_mut() {
            attempt.reused = reused;
            attempt.connect = Some(connect);
        }

        let sending = connection.sender.try_send_request(request(exchange, group, upgrade));
        let limit = exchange.timeout(group.config.timeouts.read.as_duration());
        let result = await_header(sending, body.as_ref(), limit).await;
        if let Some(attempt) = exchange.record.attempts.last_mut() {
            (attempt.bytes_sent, attempt.bytes_received) = connection.request_bytes();
        }
        let failure = match result {
            Ok(response) => match unusable(&response, upgrade) {
                None => return Answer::Header(response, connection),
                Some(why) => Failure::unusable(why, reused),
            },
            Err(NoHeader::TimedOut) => Failure::timed_out(reused),
            Err(NoHeader::Send(error)) => Failure::sending(error, reused),
        };
        if let Some(fault) = body.as_ref().and_then(|body| body.fault()) {
            return Answer::ClientFault(fault);
        }
        // nginx's event loop would have seen the close before it picked the connection: nobody is to blame, the next
        // connection is tried.
        if !failure.is_of_a_closed_idle_connection() {
            return Answer::Failed(failure);
        }
    }
}

/// An idle connection to the server, or a new one.
async fn connect(
    exchange: &Exchange,
    group: &GroupView,
    server: &ServerView,
    now: Moment,
) -> Result<Connection, ConnectError> {
    loop {
        let idle = exchange.worker.pool.lock().take(group, &server.address_text, now);
        let Some(connection) = idle else { break };
        if let Some(connection) = ready(connection).await {
            return Ok(connection);
        }
    }
    let limit = exchange.worker.shared.options.limits.upstream_header_bytes;
    dial(&server.address, &group.config.timeouts, limit, now).await
}

fn request(exchange: &Exchange, group: &GroupView, upgrade: bool) -> Request<RequestBody> {
    let record = &exchange.record;
    let body = exchange.body.as_ref();
    let chunked = body.is_some() && !record.headers.contains_key(header::CONTENT_LENGTH);
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

/// Waits for the response header; `limit` runs from the end of sending the request (nginx `proxy_read_timeout`).
async fn await_header(
    sending: impl Future<Output = Result<Response<Incoming>, SendError>>,
    body: Option<&Arc<Source>>,
    mut limit: Timeout,
) -> Result<Response<Incoming>, NoHeader> {
    let mut sending = std::pin::pin!(sending);
    if let Some(body) = body {
        tokio::select! {
            biased;
            result = &mut sending => return result.map_err(NoHeader::send),
            () = body.taken() => {}
        }
    }
    poll_fn(|cx| match sending.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result.map_err(NoHeader::send)),
        Poll::Pending => {
            ready!(limit.poll(cx));
            Poll::Ready(Err(NoHeader::TimedOut))
        }
    })
    .await
}

/// Why a response cannot be relied on, if it cannot.
fn unusable(response: &Response<Incoming>, upgrade: bool) -> Option<&'static str> {
    if headers::is_framed_twice(response.headers()) {
        return Some("more than one Content-Length or Transfer-Encoding");
    }
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    (switches && !upgrade).then_some("101 to a request that asked for no upgrade")
}
