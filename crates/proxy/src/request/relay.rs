//! Passing a response on: its header changed for the client, its body streamed, or the connection joined as a tunnel.

use std::sync::Arc;

use config::Sticky;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};

use crate::request::body::{Relay, ResponseBody};
use crate::request::exchange::{Exchange, Relaying};
use crate::request::headers;
use crate::request::lease::Lease;
use crate::request::session::Session;
use crate::request::tunnel::Tunnel;
use crate::snapshot::GroupView;
use crate::upstream::Connection;

/// Passes the response on. The server is released with its last byte. Who is notified of headers is so now, of those that are
/// relayed alone (nginx `ngx_http_upstream_process_header`).
pub(crate) fn relay(
    mut exchange: Box<Exchange>,
    group: Arc<GroupView>,
    mut lease: Lease,
    session: Option<Vec<u8>>,
    response: Response<()>,
    connection: Box<Connection>,
    upgrade: bool,
) -> Response<ResponseBody> {
    let status = response.status();
    if let Some(after) = exchange.record.attempts.last().and_then(|attempt| attempt.header) {
        lease.header_arrived(after);
    }
    let mut session = Session::of(&group, &exchange.record, session, response.headers());
    if Session::begins_with_header(&group) {
        session.tie(&group, lease.position(), exchange.now());
    }
    if exchange.worker.shared.access_log.wants_upstream_headers() {
        exchange.record.upstream_headers = Some(response.headers().clone());
    }
    let is_tunnel = upgrade && status == StatusCode::SWITCHING_PROTOCOLS;
    let (mut parts, ()) = response.into_parts();
    headers::for_client(&mut parts.headers);
    stick(&exchange, &group, &mut parts.headers);
    if is_tunnel {
        parts.version = Version::HTTP_11;
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        let limit = exchange.worker.shared.options.limits.keepalive_requests;
        let has_end = connection.size_hint().exact().is_some();
        parts.version = headers::persist(&exchange.record, limit, false, has_end, &mut parts.headers);
    }
    exchange.record.status = status.as_u16();
    exchange.record.header_bytes_sent = headers::wire_size(&parts.headers);
    if exchange.worker.shared.access_log.wants_sent_headers() {
        exchange.record.sent_headers = Some(parts.headers.clone());
    }

    let timeouts = group.config.timeouts;
    let read_timeout = exchange.timeout(timeouts.read.as_duration());
    let version = exchange.record.version;
    let relaying = Relaying::new(exchange, group, lease, connection, session);
    let body = if is_tunnel {
        ResponseBody::Tunnel(Some(Tunnel::new(relaying, timeouts.tunnel.as_duration())))
    } else {
        Relay::body(relaying, version, read_timeout)
    };
    Response::from_parts(parts, body)
}

/// `sticky cookie`: every response that follows a pick names the server in a cookie, our own pages too.
pub(crate) fn stick(exchange: &Exchange, group: &GroupView, fields: &mut HeaderMap) {
    if let Some(Sticky::Cookie(cookie)) = &group.config.sticky
        && let Some(server) = exchange.record.attempts.iter().rev().find_map(|attempt| attempt.server.as_ref())
    {
        let unix_secs = exchange.now().micros() / 1_000_000;
        headers::set_sticky_cookie(fields, cookie, &server.sid, unix_secs);
    }
}
