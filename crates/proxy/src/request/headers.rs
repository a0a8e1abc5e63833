//! What a header says of its message, and the header on its way down (RFC 9110 section 7.6).

use std::sync::atomic::Ordering;

use config::StickyCookie;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use smallvec::SmallVec;

use crate::record::{Record, RequestId};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_NAME: HeaderValue = HeaderValue::from_static("forebay");

/// `$request_id`: what a trusted proxy sent, if it is a sane token, else random.
pub(crate) fn request_id(headers: &HeaderMap, trusted: bool) -> RequestId {
    let given = trusted.then(|| headers.get(&X_REQUEST_ID)).flatten().and_then(|value| value.to_str().ok());
    match given.filter(|id| !id.is_empty() && id.len() <= 128) {
        Some(id) => RequestId::Given(id.into()),
        None => RequestId::Random(rand::random()),
    }
}

/// Whether a server's header goes to the client: hop-by-hop fields end here, our own `Date` is put in, and nginx consumes some
/// itself (`ngx_http_upstream_hide_headers`).
fn passes_down(name: &HeaderName) -> bool {
    match name.as_str() {
        "connection" | "keep-alive" | "transfer-encoding" | "date" | "x-pad" => false,
        other => !other.starts_with("x-accel-"),
    }
}

/// The tokens of the `Connection` header: fields for this hop only (RFC 9110 section 7.6.1).
pub(crate) struct ConnectionTokens<'a>(pub(crate) &'a HeaderMap);

impl ConnectionTokens<'_> {
    /// Whether it names `token`.
    pub(crate) fn contains(&self, token: &str) -> bool {
        self.0
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(','))
            .any(|named| named.trim().eq_ignore_ascii_case(token))
    }
}

/// Whether a request asks to leave HTTP on this connection (RFC 9110 section 7.8).
pub(crate) fn asks_for_upgrade(version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_11
        && headers.contains_key(header::UPGRADE)
        && ConnectionTokens(headers).contains("upgrade")
}

/// The header sent to the client, made from the server's in place.
pub(crate) fn for_client(headers: &mut HeaderMap) {
    let consumed: SmallVec<[HeaderName; 4]> = headers.keys().filter(|name| !passes_down(name)).cloned().collect();
    for name in consumed {
        headers.remove(name);
    }
    headers.insert(header::SERVER, SERVER_NAME);
}

/// The header of a response of our own.
pub(crate) fn our_own(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(header::SERVER, SERVER_NAME);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
}

/// POST, LOCK and PATCH: nginx's non-idempotent methods (`ngx_http_upstream_next`).
pub(crate) fn is_non_idempotent(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PATCH || method.as_str() == "LOCK"
}

/// Bytes a header takes on the wire, its last empty line included.
pub(crate) fn wire_size(headers: &HeaderMap) -> u64 {
    let lines: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    lines as u64 + 2
}

/// Places the sticky cookie before the server's own cookies (nginx `ngx_http_upstream_sticky_module.c`).
pub(crate) fn set_sticky_cookie(headers: &mut HeaderMap, cookie: &StickyCookie, sid: &str, unix_secs: u64) {
    let Ok(value) = HeaderValue::from_str(&crate::request::cookie::sticky(cookie, sid, unix_secs)) else { return };
    let theirs: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    headers.insert(header::SET_COOKIE, value);
    for cookie in theirs {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Marks the response as the last of its connection when the client has had its share (nginx `keepalive_requests`); in HTTP/2
/// the connection says so itself.
pub(crate) fn close_when_worn_out(record: &Record, limit: u64, headers: &mut HeaderMap) {
    if limit > 0 && record.version != Version::HTTP_2 && record.downstream.requests.load(Ordering::Relaxed) >= limit {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
