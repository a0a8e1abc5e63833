//! What an HTTP/2 request says in another way than one of HTTP/1.1, said as HTTP/1.1 does, so that everything after this
//! knows one form: routing, variables, the log and the header for servers.
//!
//! What connects hops (`Connection`, `TE` other than `trailers`) the protocol's library refuses already (RFC 9113 section
//! 8.2.2), and so it does with a header list beyond its limit.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, Uri, header, request};

/// Turns `:authority` into `Host`, the target into its origin form, and the crumbs of `Cookie` into one line; refuses what
/// nginx refuses (`ngx_http_v2_run_request`, `ngx_http_process_host`).
pub(crate) fn as_http1(parts: &mut request::Parts, max_headers: usize) -> Result<(), StatusCode> {
    join_cookies(parts);
    let host = authority_as_host(parts);
    parts.uri = parts.uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
    host?;
    if parts.headers.len() > max_headers {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    Ok(())
}

/// RFC 9113 section 8.3.1: where both are there they must agree, and one must be.
fn authority_as_host(parts: &mut request::Parts) -> Result<(), StatusCode> {
    let host = parts.headers.get(header::HOST);
    let Some(authority) = parts.uri.authority() else {
        return if host.is_some() { Ok(()) } else { Err(StatusCode::BAD_REQUEST) };
    };
    match host {
        Some(host) if host.as_bytes() != authority.as_str().as_bytes() => Err(StatusCode::BAD_REQUEST),
        Some(_) => Ok(()),
        None => {
            let value = HeaderValue::from_str(authority.as_str()).map_err(|_| StatusCode::BAD_REQUEST)?;
            parts.headers.insert(header::HOST, value);
            Ok(())
        }
    }
}

/// RFC 9113 section 8.2.3.
fn join_cookies(parts: &mut request::Parts) {
    let mut crumbs = parts.headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = BytesMut::from(first.as_bytes());
    for crumb in [second].into_iter().chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(cookie) = HeaderValue::from_maybe_shared(Bytes::from(joined)) {
        parts.headers.insert(header::COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::*;

    fn folded(uri: &str, headers: &[(&str, &str)]) -> (Result<(), StatusCode>, request::Parts) {
        let mut request = Request::builder().version(Version::HTTP_2).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        (as_http1(&mut parts, 5), parts)
    }

    #[test]
    fn authority_becomes_host_and_crumbs_a_cookie() {
        let (result, parts) = folded("https://a.example:8443/x?y=1", &[("cookie", "a=1"), ("cookie", "b=2")]);
        assert_eq!(result, Ok(()));
        assert_eq!(parts.headers[header::HOST], "a.example:8443");
        assert_eq!(parts.headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
        assert_eq!(parts.uri, "/x?y=1");
    }

    #[test]
    fn host_and_authority_agree_and_one_is_there() {
        assert_eq!(folded("https://a.example/", &[("host", "a.example")]).0, Ok(()));
        assert_eq!(folded("https://a.example/", &[("host", "b.example")]).0, Err(StatusCode::BAD_REQUEST));
        assert_eq!(folded("/", &[("host", "a.example")]).0, Ok(()));
        assert_eq!(folded("/", &[]).0, Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn the_lines_of_a_header_are_counted() {
        let lines = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")];
        assert_eq!(folded("https://h/", &lines).0, Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        assert_eq!(folded("https://h/", &lines[..4]).0, Ok(()));
    }
}
