//! A request as a server is sent it: its request line, and its header without what frames the body (RFC 9110 section 7.6; nginx
//! `ngx_http_proxy_create_request`).

use config::RequestHeaders;
use http::header::{self, HeaderName, HeaderValue};

use crate::record::{Record, RequestId, Scheme};
use crate::request::headers::{HopFields, X_REQUEST_ID};
use crate::snapshot::GroupView;
use crate::variables::{self, View};

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Appends request line and header.
pub(crate) fn write(out: &mut Vec<u8>, record: &Record, group: &GroupView, upgrade: bool) {
    request_line(out, record);
    let changes = &group.config.request_headers;
    let mut lines = Lines { out, changes };
    // RFC 9112 section 3.2: Host comes first.
    let host = host_asked(record);
    lines.add(&header::HOST, host.unwrap_or(group.id.name().as_bytes()));
    let hop = HopFields::of(&record.headers);
    for (name, value) in &record.headers {
        if passes_up(name) && !hop.contains(name) {
            lines.add(name, value.as_bytes());
        }
    }
    if upgrade && let Some(protocol) = record.headers.get(header::UPGRADE) {
        lines.add(&header::UPGRADE, protocol.as_bytes());
        lines.add(&header::CONNECTION, b"upgrade");
    }
    forward(record, host, &mut lines);
    set(record, changes, out);
}

/// The target without scheme and authority, byte for byte as the client sent it.
fn request_line(out: &mut Vec<u8>, record: &Record) {
    for part in [record.method.as_str(), " ", record.uri.path()] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(query) = record.uri.query() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Lines of a header that a group may change.
struct Lines<'a> {
    out: &'a mut Vec<u8>,
    changes: &'a RequestHeaders,
}

impl Lines<'_> {
    /// Adds a line, unless the group removes it or sets its own.
    fn add(&mut self, name: &HeaderName, value: &[u8]) {
        self.add_with(name, |out| out.extend_from_slice(value));
    }

    /// The same, of a value that is written and not held.
    fn add_with(&mut self, name: &HeaderName, value: impl FnOnce(&mut Vec<u8>)) {
        if !is_changed(name, self.changes) {
            line(self.out, name, value);
        }
    }
}

/// Whether a group removes a line of this name or sets its own.
fn is_changed(name: &HeaderName, RequestHeaders { set, remove }: &RequestHeaders) -> bool {
    remove.contains(name) || set.iter().any(|set| set.name == *name)
}

fn line(out: &mut Vec<u8>, name: &HeaderName, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    value(out);
    out.extend_from_slice(b"\r\n");
}

/// What a group sets. An empty value removes the header, as in nginx; one with a line break in it cannot be sent.
fn set(record: &Record, changes: &RequestHeaders, out: &mut Vec<u8>) {
    let view = View { record, upstream_headers: None, sent_headers: None };
    let mut value = Vec::new();
    for (index, set) in changes.set.iter().enumerate() {
        let is_set_again = changes.set[index + 1..].iter().any(|later| later.name == set.name);
        if is_set_again || frames_the_body(&set.name) {
            continue;
        }
        value.clear();
        variables::render(&set.value, &view, &mut value);
        if !value.is_empty() && value.iter().all(|byte| is_of_a_value(*byte)) {
            line(out, &set.name, |out| out.extend_from_slice(&value));
        }
    }
}

/// Who asked, in the words that nginx guides teach (`proxy_set_header X-Real-IP ...`). What a client that is not a trusted
/// proxy says of itself is replaced.
fn forward(record: &Record, host: Option<&[u8]>, lines: &mut Lines<'_>) {
    let given = |name: &HeaderName| record.trusted.then(|| record.headers.get(name)).flatten();
    lines.add_with(&X_REAL_IP, |out| variables::push_ip(out, record.client));
    lines.add_with(&X_FORWARDED_FOR, |out| forwarded_for(record, out));
    let scheme = match record.scheme {
        Scheme::Http => b"http".as_slice(),
        Scheme::Https => b"https",
    };
    lines.add(&X_FORWARDED_PROTO, scheme);
    if let Some(host) = given(&X_FORWARDED_HOST).map(HeaderValue::as_bytes).or(host) {
        lines.add(&X_FORWARDED_HOST, host);
    }
    match given(&X_FORWARDED_PORT) {
        Some(port) => lines.add(&X_FORWARDED_PORT, port.as_bytes()),
        None => lines.add_with(&X_FORWARDED_PORT, |out| variables::push_number(out, record.downstream.local.port())),
    }
    lines.add_with(&X_REQUEST_ID, |out| match &record.request_id {
        RequestId::Given(id) => out.extend_from_slice(id.as_bytes()),
        RequestId::Random(bits) => variables::push_hex(out, *bits),
    });
}

/// `$proxy_add_x_forwarded_for`, if who asks may be believed; else the client alone.
fn forwarded_for(record: &Record, out: &mut Vec<u8>) {
    if !record.trusted || !record.headers.contains_key(&X_FORWARDED_FOR) {
        return variables::push_ip(out, record.client);
    }
    for line in record.headers.get_all(&X_FORWARDED_FOR) {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b", ");
    }
    variables::push_ip(out, record.downstream.peer.ip());
}

/// The host the client asked for, as it wrote it: of an absolute target, else the Host header (RFC 9112 section 3.2.2).
fn host_asked(record: &Record) -> Option<&[u8]> {
    let host = match record.uri.authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => record.headers.get(header::HOST).map(HeaderValue::as_bytes),
    };
    host.filter(|host| !host.is_empty())
}

/// Whether a client's trailer of this name goes to a group's servers: if its header would.
pub(crate) fn passes_as_trailer(name: &HeaderName, changes: &RequestHeaders) -> bool {
    passes_up(name) && !is_changed(name, changes)
}

/// Whether a client's header goes to a server: hop-by-hop fields end here, ours are set anew, and names with other bytes than
/// letters, digits and `-` never get in, because a server that maps some of them to `_` could not tell them apart (nginx
/// `underscores_in_headers off`, `ignore_invalid_headers on`).
fn passes_up(name: &HeaderName) -> bool {
    match name.as_str() {
        "host" | "connection" | "keep-alive" | "proxy-connection" | "te" | "expect" | "upgrade" | "http2-settings"
        | "content-length" | "transfer-encoding" | "x-real-ip" | "x-forwarded-for" | "x-forwarded-proto"
        | "x-forwarded-host" | "x-forwarded-port" | "x-request-id" => false,
        other => other.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
    }
}

/// What the connection says itself, from the body it sends.
fn frames_the_body(name: &HeaderName) -> bool {
    matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING)
}

/// Whether a byte may be in a field's value (RFC 9110 section 5.5).
fn is_of_a_value(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}
