//! What is known of a request when its header was read: the same for one that came in and for one that is only thought of
//! (`forebay explain`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, Uri, header, request};
use ipnet::IpNet;

use crate::clock::Moment;
use crate::record::{Downstream, Record, Scheme, Transport};
use crate::request::{client, headers};

impl Record {
    /// A request that begins, the next of its connection. Of `trusted_proxies` it is believed who the client is.
    pub fn begin(
        parts: request::Parts,
        downstream: Arc<Downstream>,
        started: Moment,
        trusted_proxies: &[IpNet],
    ) -> Self {
        let scheme = match downstream.transport {
            Transport::Plain | Transport::PlainToTls => Scheme::Http,
            Transport::Tls(_) => Scheme::Https,
        };
        let client = client::identify(&parts.headers, downstream.peer, scheme, trusted_proxies);
        let serial = downstream.requests.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            serial,
            started,
            unread: false,
            host: host(&parts.uri, &parts.headers),
            client: client.address,
            client_port: client.port,
            trusted: client.trusted,
            scheme: client.scheme,
            request_id: headers::request_id(&parts.headers, client.trusted),
            server_name: None,
            group: None,
            attempts: smallvec::SmallVec::new(),
            request_body_bytes: 0,
            upstream_headers: None,
            sent_headers: None,
            status: 0,
            body_bytes_sent: 0,
            header_bytes_sent: 0,
            complete: false,
            finished: started,
            downstream,
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            headers: parts.headers,
        }
    }
}

/// `$host`: of the target, else of the Host header without port, lower case.
fn host(uri: &Uri, headers: &HeaderMap) -> Arc<str> {
    let given = uri.authority().map(http::uri::Authority::as_str);
    let given = given.or_else(|| headers.get(header::HOST).and_then(|host| host.to_str().ok())).unwrap_or_default();
    let end = match given.bytes().rposition(|byte| byte == b']') {
        Some(bracket) => bracket + 1,
        None => given.bytes().position(|byte| byte == b':').unwrap_or(given.len()),
    };
    let name = given[..end].trim_end_matches('.');
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_no_port_and_no_capitals() {
        let of = |uri: &'static str, header: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, http::HeaderValue::from_static(header))]);
            host(&Uri::from_static(uri), &headers)
        };
        assert_eq!(&*of("/", "Shop.Example:8080"), "shop.example");
        assert_eq!(&*of("/", "[::1]:80"), "[::1]");
        assert_eq!(&*of("/", "shop.example."), "shop.example");
        assert_eq!(&*of("http://target.example:1/x", "other"), "target.example");
    }
}
