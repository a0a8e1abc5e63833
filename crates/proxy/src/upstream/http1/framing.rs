//! Where a message ends (RFC 9112 section 6).

use http::{HeaderMap, Response, StatusCode, Version, header};

use super::Fault;

/// How the end of a request is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RequestFraming {
    /// There is no body, and nothing is said of it.
    #[default]
    None,
    /// `Content-Length`, and so many bytes still to come.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// How the end of a response is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseFraming {
    /// By `Content-Length`, or there is no body.
    Length(u64),
    Chunked,
    /// By the end of the connection.
    Close,
}

/// How a response to a request ends; `to_head` if the request was HEAD.
///
/// Framing that two readers could understand differently is refused, as nginx does since 1.23: both lengths, or one of them
/// twice (`ngx_http_upstream_process_content_length`), a coding other than `chunked`, a coding in HTTP/1.0 (RFC 9112 section 6.1).
pub(super) fn of_response(response: &Response<()>, to_head: bool) -> Result<ResponseFraming, Fault> {
    let headers = response.headers();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let (length, coding) = (lengths.next(), codings.next());
    if lengths.next().is_some() || codings.next().is_some() || length.is_some() && coding.is_some() {
        return Err(Fault::Invalid("more than one Content-Length or Transfer-Encoding"));
    }
    if has_no_body(response.status(), to_head) {
        return Ok(ResponseFraming::Length(0));
    }
    if let Some(coding) = coding {
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::Invalid("unknown Transfer-Encoding"));
        }
        if response.version() == Version::HTTP_10 {
            return Err(Fault::Invalid("Transfer-Encoding in HTTP/1.0"));
        }
        return Ok(ResponseFraming::Chunked);
    }
    match length {
        Some(length) => number(length.as_bytes()).map(ResponseFraming::Length),
        None => Ok(ResponseFraming::Close),
    }
}

/// Whether the connection may carry another request after this response (RFC 9112 section 9.3). A server of HTTP/1.0 that
/// keeps it open is not believed.
pub(super) fn persists(response: &Response<()>, framing: ResponseFraming) -> bool {
    response.version() == Version::HTTP_11 && framing != ResponseFraming::Close && !says_close(response.headers())
}

fn has_no_body(status: StatusCode, to_head: bool) -> bool {
    to_head || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn says_close(headers: &HeaderMap) -> bool {
    // What servers say most often is not taken apart.
    let lines = headers.get_all(header::CONNECTION).iter().filter(|line| line.as_bytes() != b"keep-alive");
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// A `Content-Length`: digits alone, where Rust would take a sign.
fn number(text: &[u8]) -> Result<u64, Fault> {
    let invalid = Fault::Invalid("Content-Length is not a number");
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(invalid);
    }
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(invalid)
}
