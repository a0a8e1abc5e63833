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

/// The elements of a list in a header, of all its lines (RFC 9110 section 5.6.1).
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).into_iter().flat_map(elements_of)
}

/// The elements of one line.
fn elements_of(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = line.as_bytes().split(|byte| *byte == b',');
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The fields that the `Connection` header names: they are for this hop only (RFC 9110 section 7.6.1).
pub(crate) struct HopFields<'a>(SmallVec<[&'a [u8]; 4]>);

impl<'a> HopFields<'a> {
    /// Names beyond these do not count, and nobody needs as many: each is compared with every field, and clients write them.
    const MOST: usize = 32;

    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let options = [b"keep-alive".as_slice(), b"close", b"upgrade"];
        let is_option = |element: &[u8]| options.iter().any(|option| element.eq_ignore_ascii_case(option));
        let mut hop = SmallVec::new();
        for line in headers.get_all(header::CONNECTION) {
            // It is most often one option, which is not taken apart.
            if !is_option(line.as_bytes()) {
                let named = elements_of(line).filter(|element| !is_option(element));
                hop.extend(named.take(Self::MOST - hop.len()));
            }
        }
        Self(hop)
    }

    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|named| named.eq_ignore_ascii_case(name.as_str().as_bytes()))
    }
}

/// Whether a request asks to leave HTTP on this connection (RFC 9110 section 7.8). Whoever offers `h2c` does not: requests in
/// a tunnel to HTTP/2 would be neither routed nor counted nor rid of what they say of themselves, and RFC 9113 section 3.1 has
/// given that upgrade up.
pub(crate) fn asks_for_upgrade(version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_11
        && headers.contains_key(header::UPGRADE)
        && elements(headers, &header::CONNECTION).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
        && !elements(headers, &header::UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case(b"h2c"))
}

/// The header sent to the client, made from the server's in place.
pub(crate) fn for_client(headers: &mut HeaderMap) {
    let consumed: SmallVec<[HeaderName; 4]> = {
        let hop = HopFields::of(headers);
        headers.keys().filter(|name| !passes_down(name) || hop.contains(name)).cloned().collect()
    };
    remove(headers, consumed);
    headers.insert(header::SERVER, SERVER_NAME);
}

/// The trailers sent to the client, made from the server's in place. What would end the connection or another hop's has no place
/// there (RFC 9110 section 6.5.1), and HTTP/2 would break off for it (RFC 9113 section 8.2.2).
pub(crate) fn trailers_for_client(trailers: &mut HeaderMap) {
    let passes =
        |name: &HeaderName| passes_down(name) && !["upgrade", "proxy-connection", "te"].contains(&name.as_str());
    let consumed: SmallVec<[HeaderName; 4]> = trailers.keys().filter(|name| !passes(name)).cloned().collect();
    remove(trailers, consumed);
}

fn remove(headers: &mut HeaderMap, names: impl IntoIterator<Item = HeaderName>) {
    for name in names {
        headers.remove(name);
    }
}

/// The header of a response of our own.
pub(crate) fn our_own(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(header::SERVER, SERVER_NAME);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
}

/// POST, LOCK and PATCH: nginx's non-idempotent methods (`ngx_http_upstream_next`).
pub fn is_non_idempotent(method: &Method) -> bool {
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

/// Says what becomes of the connection behind a response, in its header and to hyper: behind one of the version that this
/// returns. `limit` is of requests on a connection (nginx `keepalive_requests`), `is_last` says that this is to be the last anyhow,
/// `has_end` that its body ends by itself for a client without chunks. In HTTP/2 the connection says it.
pub(crate) fn persist(record: &Record, limit: u64, is_last: bool, has_end: bool, headers: &mut HeaderMap) -> Version {
    let is_old = record.version == Version::HTTP_10;
    let is_last = is_last
        || (limit > 0 && record.downstream.requests.load(Ordering::Relaxed) >= limit)
        || (is_old && !(has_end && asks_to_persist(&record.headers)));
    if is_last && record.version != Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    // Of HTTP/1.1 hyper would say `keep-alive` to whoever has asked for it.
    if is_last && is_old { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// Whether a client of HTTP/1.0 wants to go on (RFC 9112 section 9.3).
fn asks_to_persist(headers: &HeaderMap) -> bool {
    elements(headers, &header::CONNECTION).any(|option| option.eq_ignore_ascii_case(b"keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_bytes(value.as_bytes()).unwrap())])
    }

    #[test]
    fn fields_of_a_hop_are_named_and_bounded() {
        for (value, count) in [
            ("keep-alive", 0),
            ("Upgrade, close", 0),
            (&",".repeat(30_000), 0),
            (&"a,".repeat(15_000), HopFields::MOST),
            ("close, \u{e9}, X-Hop", 2),
        ] {
            assert_eq!(HopFields::of(&connection(value)).0.len(), count, "{value:.20}");
        }
        let headers = connection("close, \u{e9},\tX-Hop ");
        assert!(HopFields::of(&headers).contains(&HeaderName::from_static("x-hop")));
        assert!(!HopFields::of(&headers).contains(&HeaderName::from_static("x-ho")));
    }
}
