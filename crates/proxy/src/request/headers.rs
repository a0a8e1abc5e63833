//! The header on its way up and on its way down (RFC 9110 section 7.6; nginx `ngx_http_proxy_create_request`).

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use config::StickyCookie;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use smallvec::SmallVec;

use crate::record::{Record, RequestId, Scheme};
use crate::snapshot::GroupView;
use crate::variables::{self, View};

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_NAME: HeaderValue = HeaderValue::from_static("forebay");

/// The header sent to a server.
pub(crate) fn for_upstream(record: &Record, group: &GroupView, upgrade: bool, chunked: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(record.headers.len() + 8);
    // RFC 9112 section 3.2: Host comes first.
    if let Some(host) = host_asked(record).or_else(|| text_value(group.id.name())) {
        headers.insert(header::HOST, host);
    }
    let connection = ConnectionTokens(&record.headers);
    let names_fields = record.headers.contains_key(header::CONNECTION);
    for (name, value) in &record.headers {
        if passes_up(name) && !(names_fields && connection.contains(name.as_str())) {
            headers.append(name.clone(), value.clone());
        }
    }
    if upgrade && let Some(protocol) = record.headers.get(header::UPGRADE) {
        headers.insert(header::UPGRADE, protocol.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if chunked {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    forward(record, &mut headers);
    let changes = &group.config.request_headers;
    for name in &changes.remove {
        headers.remove(name);
    }
    let view = View { record, upstream_headers: None, sent_headers: None };
    for set in &changes.set {
        let mut value = Vec::new();
        variables::render(&set.value, &view, &mut value);
        match value_of(value) {
            Some(value) if !value.is_empty() => drop(headers.insert(set.name.clone(), value)),
            // An empty value removes the header, as in nginx; one with a line break in it cannot be sent.
            Some(_) | None => drop(headers.remove(&set.name)),
        }
    }
    headers
}

/// The host the client asked for, as it wrote it: of an absolute target, else the Host header (RFC 9112 section 3.2.2).
fn host_asked(record: &Record) -> Option<HeaderValue> {
    let host = match record.uri.authority() {
        Some(authority) => text_value(authority.as_str()),
        None => record.headers.get(header::HOST).cloned(),
    };
    host.filter(|host| !host.is_empty())
}

/// Who asked, in the words that nginx guides teach (`proxy_set_header X-Real-IP ...`). What a client that is not a trusted
/// proxy says of itself is replaced.
fn forward(record: &Record, headers: &mut HeaderMap) {
    let address = ip_value(record.client);
    let mut set = |name: HeaderName, value: Option<HeaderValue>| {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    };
    let given = |name: &HeaderName| record.trusted.then(|| record.headers.get(name).cloned()).flatten();
    let forwarded_for = if record.trusted && record.headers.contains_key(&X_FORWARDED_FOR) {
        let mut chain = Vec::new();
        for line in record.headers.get_all(&X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()) {
            chain.extend_from_slice(line.as_bytes());
            chain.extend_from_slice(b", ");
        }
        variables::push_ip(&mut chain, record.downstream.peer.ip());
        value_of(chain)
    } else {
        address.clone()
    };
    set(X_REAL_IP, address);
    set(X_FORWARDED_FOR, forwarded_for);
    let scheme = HeaderValue::from_static(match record.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    });
    set(X_FORWARDED_PROTO, Some(scheme));
    set(X_FORWARDED_HOST, given(&X_FORWARDED_HOST).or_else(|| host_asked(record)));
    set(X_FORWARDED_PORT, given(&X_FORWARDED_PORT).or_else(|| Some(record.downstream.local.port().into())));
    set(
        X_REQUEST_ID,
        match &record.request_id {
            RequestId::Given(_) => record.headers.get(&X_REQUEST_ID).cloned(),
            RequestId::Random(bits) => {
                let mut text = Vec::with_capacity(32);
                variables::push_hex(&mut text, *bits);
                value_of(text)
            }
        },
    );
}

fn ip_value(address: IpAddr) -> Option<HeaderValue> {
    let mut text = Vec::with_capacity(15);
    variables::push_ip(&mut text, address);
    value_of(text)
}

/// A value without a copy of its bytes.
fn value_of(bytes: Vec<u8>) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).ok()
}

fn text_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

/// `$request_id`: what a trusted proxy sent, if it is a sane token, else random.
pub(crate) fn request_id(headers: &HeaderMap, trusted: bool) -> RequestId {
    let given = trusted.then(|| headers.get(&X_REQUEST_ID)).flatten().and_then(|value| value.to_str().ok());
    match given.filter(|id| !id.is_empty() && id.len() <= 128) {
        Some(id) => RequestId::Given(id.into()),
        None => RequestId::Random(rand::random()),
    }
}

/// Whether a client's header goes to a server: hop-by-hop fields end here, ours are set anew, and names with an underscore
/// never get in, because a server that maps `-` to `_` could not tell them apart (nginx `underscores_in_headers off`).
fn passes_up(name: &HeaderName) -> bool {
    match name.as_str() {
        "host" | "connection" | "keep-alive" | "proxy-connection" | "te" | "expect" | "upgrade"
        | "transfer-encoding" | "x-real-ip" | "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host"
        | "x-forwarded-port" | "x-request-id" => false,
        other => !other.contains('_'),
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
struct ConnectionTokens<'a>(&'a HeaderMap);

impl ConnectionTokens<'_> {
    fn contains(&self, token: &str) -> bool {
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

/// Whether a response's framing is one that nginx refuses since 1.23.0: both lengths, or one of them repeated.
pub(crate) fn is_framed_twice(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let codings = headers.get_all(header::TRANSFER_ENCODING).iter().count();
    lengths + codings > 1
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
