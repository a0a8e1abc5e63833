//! One attempt: an idle connection or a new one, the request on it, and the response header or why there is none.

use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

use http::{Method, Response, StatusCode, header};

use crate::clock::Moment;
use crate::request::body::ClientFault;
use crate::request::exchange::Exchange;
use crate::request::failure::Failure;
use crate::request::upstream_head;
use crate::snapshot::{GroupView, ServerView};
use crate::upstream::{ConnectError, Connection, Fault, RequestFraming, dial};

/// What came of one attempt.
pub(crate) enum Answer {
    /// A complete response header, and the connection its body comes on.
    Header(Response<()>, Box<Connection>),
    /// None; the server is to blame.
    Failed(Failure),
    /// None; the client is to blame.
    ClientFault(ClientFault),
}

/// Why the wait for a header ended without one.
enum NoHeader {
    TimedOut,
    Fault(Fault),
}

/// Tries `server`, picked at `now`, up to its response header.
pub(crate) async fn send(
    exchange: &mut Exchange,
    group: &GroupView,
    server: &ServerView,
    now: Moment,
    upgrade: bool,
) -> Answer {
    loop {
        let mut connection = match connect(exchange, group, server, now).await {
            Ok(connection) => connection,
            Err(error) => {
                let by_client = server.tls.as_ref().is_some_and(|tls| tls.is_named_by_client());
                return Answer::Failed(Failure::connecting(error, by_client));
            }
        };
        begin(exchange, group, &mut connection, upgrade);
        let reused = connection.is_reused();
        let connect = if reused { Duration::ZERO } else { exchange.now().since(now) };
        exchange.record.connected(reused, connect);

        let result = await_header(exchange, group, &mut connection).await;
        if let Err(NoHeader::Fault(Fault::Client(fault))) = result {
            return Answer::ClientFault(fault);
        }
        let failure = match result {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS && !upgrade => {
                Failure::unusable("101 to a request that asked for no upgrade", reused)
            }
            // RFC 9110 section 7.8: what is left of the request would be nobody's.
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS && !connection.is_sent() => {
                Failure::unusable("101 to a request that is not complete", reused)
            }
            Ok(response) => return Answer::Header(response, connection),
            Err(NoHeader::TimedOut) => Failure::timed_out(reused),
            Err(NoHeader::Fault(fault)) => Failure::sending(fault, reused, connection.waits_for_body()),
        };
        // nginx's event loop would have seen the close before it picked the connection: nobody is to blame, the next
        // connection is tried, unless what it took of the body was not kept.
        let was_closed = reused && connection.request_bytes() == (0, 0) && !failure.is_timeout();
        if !was_closed || !exchange.body.as_ref().is_none_or(|body| body.is_replayable()) {
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
) -> Result<Box<Connection>, ConnectError> {
    let host = &exchange.record.host;
    let tls = server.tls.as_ref().map(|tls| tls.wanted(if host.is_empty() { group.id.name() } else { host }));
    let tls = tls.transpose()?;
    let idle = exchange.worker.pool.lock().take(group, &server.address_text, tls.as_ref(), now);
    if let Some(connection) = idle {
        return Ok(connection);
    }
    let limit = exchange.worker.shared.options.limits.upstream_header_bytes;
    let timeouts = &group.config.timeouts;
    // Boxed, so that a request which finds an idle connection does not carry the room of a handshake.
    Box::pin(dial(&server.address, tls.as_ref(), timeouts, limit, now)).await
}

/// Begins the request, as this group's servers are sent it.
fn begin(exchange: &mut Exchange, group: &GroupView, connection: &mut Connection, upgrade: bool) {
    if let Some(body) = &mut exchange.body {
        body.rewind();
    }
    let send_timeout = exchange.timeout(group.config.timeouts.send.as_duration());
    let record = &exchange.record;
    let to_head = record.method == Method::HEAD;
    connection
        .begin(to_head, framing(exchange), send_timeout, |head| upstream_head::write(head, record, group, upgrade));
}

/// A length that the client announced is announced to the server, any other body is sent in chunks.
fn framing(exchange: &Exchange) -> RequestFraming {
    let length = exchange.record.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    match (&exchange.body, length.and_then(|length| length.parse().ok())) {
        (None, None) => RequestFraming::None,
        (None, Some(_)) => RequestFraming::Length(0),
        (Some(_), Some(length)) => RequestFraming::Length(length),
        (Some(_), None) => RequestFraming::Chunked,
    }
}

/// Waits for the response header; the read timeout runs from the end of sending the request (nginx `proxy_read_timeout`).
async fn await_header(
    exchange: &mut Exchange,
    group: &GroupView,
    connection: &mut Connection,
) -> Result<Response<()>, NoHeader> {
    let mut limit = exchange.timeout(group.config.timeouts.read.as_duration());
    poll_fn(|cx| {
        let header = connection.poll_head(cx, exchange.body.as_deref_mut());
        // Whoever gives up meanwhile has moved them too.
        exchange.record.moved(connection.request_bytes());
        match header {
            Poll::Ready(result) => Poll::Ready(result.map_err(NoHeader::Fault)),
            Poll::Pending if connection.is_sent() => {
                ready!(limit.poll(cx));
                Poll::Ready(Err(NoHeader::TimedOut))
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
