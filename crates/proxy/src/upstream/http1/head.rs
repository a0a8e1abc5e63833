//! A response header, from bytes.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use super::Fault;

/// Lines of a header. nginx bounds its bytes alone; hyper takes a hundred.
const MAX_LINES: usize = 256;

/// Takes a response header from the front of `buffer`; `None` while it is not complete. `searched` is how many bytes were
/// found to have no end in them, to be kept between calls.
pub(super) fn take(buffer: &mut BytesMut, searched: &mut usize, limit: usize) -> Result<Option<Response<()>>, Fault> {
    // Who speaks another protocol may wait for us: it is not waited for.
    if !buffer.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected) {
        return Err(Fault::Invalid("it does not begin with HTTP/1."));
    }
    let Some(end) = end_of_lines(buffer, searched) else {
        return if buffer.len() < limit { Ok(None) } else { Err(Fault::TooLarge) };
    };
    if end > limit {
        return Err(Fault::TooLarge);
    }
    // The fields are slices of these bytes, and so is the body behind them of the same buffer: nothing is copied.
    parse(&buffer.split_to(end).freeze()).map(Some)
}

/// The end of the first empty line of `buffer`, wherever it is.
pub(super) fn end_of_lines(buffer: &[u8], searched: &mut usize) -> Option<usize> {
    let from = *searched;
    for at in memchr::memchr_iter(b'\n', &buffer[from..]) {
        let next = from + at + 1;
        match buffer[next..] {
            [b'\n', ..] => {
                *searched = 0;
                return Some(next + 1);
            }
            [b'\r', b'\n', ..] => {
                *searched = 0;
                return Some(next + 2);
            }
            // What follows is not there yet: this line's end is looked at again.
            [] | [b'\r'] => {
                *searched = next - 1;
                return None;
            }
            _ => {}
        }
    }
    *searched = buffer.len();
    None
}

fn parse(bytes: &Bytes) -> Result<Response<()>, Fault> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut parsed = httparse::Response::new(&mut []);
    match ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut lines) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(Fault::Invalid("no complete status line")),
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::TooLarge),
        Err(error) => return Err(error.into()),
    }
    let mut response = Response::new(());
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    *response.status_mut() = status.ok_or(Fault::Invalid("invalid status code"))?;
    *response.version_mut() = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    if let Some(reason) = parsed.reason
        && status.and_then(|status| status.canonical_reason()) != Some(reason)
        && let Ok(reason) = ReasonPhrase::try_from(bytes.slice_ref(reason.as_bytes()))
    {
        response.extensions_mut().insert(reason);
    }
    // Ours are put in later.
    response.headers_mut().reserve(parsed.headers.len() + 2);
    append(response.headers_mut(), bytes, parsed.headers)?;
    Ok(response)
}

/// Adds fields that were parsed of `bytes`, without a copy of their values.
pub(super) fn append(headers: &mut HeaderMap, bytes: &Bytes, lines: &[httparse::Header<'_>]) -> Result<(), Fault> {
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value));
        headers.append(name, value.map_err(|_| httparse::Error::HeaderValue)?);
    }
    Ok(())
}
