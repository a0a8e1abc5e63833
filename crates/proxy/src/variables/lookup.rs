//! Values inside headers and queries, found as nginx finds them.

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, NO_PAD};
use base64::{Engine as _, alphabet};
use http::header::{self, GetAll, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::Presence;

/// The value of an argument, not decoded: what stands behind the first `NAME=` at the beginning of the query or behind `&`,
/// name without regard to case (`ngx_http_arg`).
pub fn argument<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The value of a cookie of the request, if it is text.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    std::str::from_utf8(cookie_value(headers, name)?).ok()
}

/// The value of a cookie of the request: the first of that name, without regard to case, up to the next semicolon
/// (`ngx_http_parse_multi_header_lines`, which begins a new cookie behind a comma too).
pub fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    headers.get_all(header::COOKIE).iter().find_map(|line| {
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            if let Some(value) = value_of(rest, name) {
                return Some(value);
            }
            let end = rest.iter().position(|byte| matches!(byte, b';' | b','))?;
            rest = skip_spaces(&rest[end + 1..]);
        }
        None
    })
}

/// The value of a cookie that a response sets (`ngx_http_parse_set_cookie_lines`).
pub(super) fn set_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    headers.get_all(header::SET_COOKIE).iter().find_map(|line| value_of(line.as_bytes(), name))
}

/// The user of Basic authentication (RFC 7617): the decoded credentials up to the colon; none without a colon.
pub(super) fn basic_user(headers: &HeaderMap) -> Option<Vec<u8>> {
    let credentials = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = credentials.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = decode_base64(skip_spaces(rest))?;
    user.truncate(user.iter().position(|byte| *byte == b':')?);
    Some(user)
}

/// Appends every line of a header, joined as its grammar allows: cookies with `; `, all others with `, `.
pub(crate) fn push_header(headers: &HeaderMap, name: &HeaderName, out: &mut Vec<u8>) -> Presence {
    push_lines(headers.get_all(name), name.as_str(), out)
}

/// As [`push_header`], by a name as templates hold it.
pub(super) fn push_named_header(headers: Option<&HeaderMap>, name: &str, out: &mut Vec<u8>) -> Presence {
    headers.map_or(Presence::Missing, |headers| push_lines(headers.get_all(name), name, out))
}

fn push_lines(lines: GetAll<'_, HeaderValue>, name: &str, out: &mut Vec<u8>) -> Presence {
    let separator: &[u8] = if name == "cookie" { b"; " } else { b", " };
    let mut found = Presence::Missing;
    for value in lines {
        if found == Presence::Found {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(value.as_bytes());
        found = Presence::Found;
    }
    found
}

/// What stands behind `NAME =` at the beginning of a text, up to a semicolon.
fn value_of<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (key, rest) = text.split_at_checked(name.len())?;
    if !key.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    let value = skip_spaces(skip_spaces(rest).strip_prefix(b"=")?);
    Some(value.split(|byte| *byte == b';').next().unwrap_or_default())
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

/// RFC 4648 section 4, up to a `=`; `None` for what is none (`ngx_decode_base64`).
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);
    let digits = text.split(|byte| *byte == b'=').next().unwrap_or_default();
    GeneralPurpose::new(&alphabet::STANDARD, CONFIG).decode(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn arguments() {
        for (query, value) in [
            ("q=1&Q=2", Some("1")),
            ("xq=1&Q=2", Some("2")),
            ("q", None),
            ("q=", Some("")),
            ("a=b&q=c=d%20", Some("c=d%20")),
        ] {
            assert_eq!(argument(query, "q"), value, "{query}");
        }
    }

    #[test]
    fn cookies() {
        let jar = |lines: &[&'static str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
            let mut jar = HeaderMap::new();
            for (name, value) in lines {
                jar.append(name, HeaderValue::from_static(value));
            }
            jar
        };
        for (lines, value) in [
            (&["sid=1"][..], Some("1")),
            (&["a=b; SID = 2;c=d"], Some("2")),
            (&["xsid=0; sid2=1; sid=3"], Some("3")),
            (&["a=b", "sid=4"], Some("4")),
            (&["a=b, sid=5"], Some("5")),
            (&["sid"], None),
            (&["sid=a=b c"], Some("a=b c")),
            (&[""], None),
        ] {
            assert_eq!(cookie(&jar(lines), "sid"), value, "{lines:?}");
        }
    }

    #[test]
    fn cookies_of_a_response() {
        let response = headers(&[("set-cookie", "other=1; sid=2"), ("x", "sid=0")]);
        assert_eq!(set_cookie(&response, "sid"), None);
        assert_eq!(set_cookie(&response, "other"), Some(&b"1"[..]));
    }

    #[test]
    fn users() {
        for (credentials, user) in [
            ("Basic dXNlcjpwYXNz", Some("user")),
            ("basic  dXNlcjo=", Some("user")),
            // Without padding, with bits that stand for nothing; a digit alone is no byte.
            ("Basic dTpw", Some("u")),
            ("Basic dXI6cA", Some("ur")),
            ("Basic dXI6cB", Some("ur")),
            ("Basic dXI6c", None),
            ("Basic dXNlcg==", None),
            ("Basic !!!!", None),
            ("Bearer abc", None),
            ("B", None),
        ] {
            let found = basic_user(&headers(&[("authorization", credentials)]));
            assert_eq!(found.as_deref(), user.map(str::as_bytes), "{credentials}");
        }
    }
}
