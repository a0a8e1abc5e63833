//! The chunked coding, read (RFC 9112 section 7.1). Strict where a lenient reader could find another end than the next one.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

use super::{Fault, head};

/// Bytes of the line before a chunk, extensions included, and of all trailers.
const MAX_LINES: usize = 16 << 10;
/// Trailer fields.
const MAX_TRAILERS: usize = 64;

/// How far a chunked body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// The line that says how long the next chunk is.
    Size,
    /// So many bytes of a chunk are to come.
    Data(u64),
    /// The line end behind a chunk.
    DataEnd,
    /// What is behind the last chunk.
    Trailers,
    Done,
}

impl Chunked {
    /// The next frame in `buffer`, of at most `most` bytes of data; `None` if it holds none, or there are no more.
    pub(super) fn next(&mut self, buffer: &mut BytesMut, most: usize) -> Result<Option<Frame<Bytes>>, Fault> {
        loop {
            match *self {
                Self::Size => match size(buffer)? {
                    Some(0) => *self = Self::Trailers,
                    Some(bytes) => *self = Self::Data(bytes),
                    None => return Ok(None),
                },
                Self::Data(_) if buffer.is_empty() => return Ok(None),
                Self::Data(bytes) => {
                    let ready = buffer.len().min(most);
                    let length = usize::try_from(bytes).map_or(ready, |bytes| bytes.min(ready));
                    let left = bytes - length as u64;
                    *self = if left > 0 { Self::Data(left) } else { Self::DataEnd };
                    return Ok(Some(Frame::data(buffer.split_to(length).freeze())));
                }
                Self::DataEnd => match buffer[..] {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        *self = Self::Size;
                    }
                    [] | [b'\r'] => return Ok(None),
                    _ => return Err(Fault::Invalid("a chunk is longer than its size")),
                },
                Self::Trailers => {
                    let Some(trailers) = trailers(buffer)? else { return Ok(None) };
                    *self = Self::Done;
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
                Self::Done => return Ok(None),
            }
        }
    }

    /// Whether all that is left is the end, and the end is in `buffer`: then nobody has to ask again to know. It is taken.
    pub(super) fn ends(&mut self, buffer: &mut BytesMut) -> bool {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        if *self == Self::DataEnd && buffer.starts_with(END) {
            buffer.advance(END.len());
            *self = Self::Done;
        }
        *self == Self::Done
    }
}

/// Takes the line before a chunk; `None` while it is not complete. Extensions are skipped.
fn size(buffer: &mut BytesMut) -> Result<Option<u64>, Fault> {
    let invalid = Fault::Invalid("invalid size of a chunk");
    let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
        return if buffer.len() < MAX_LINES { Ok(None) } else { Err(invalid) };
    };
    let Some((line, b"\r")) = buffer[..end].split_last_chunk::<1>() else { return Err(invalid) };
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(digits);
    // Sixteen digits are the most that fit; a bare CR in an extension is one reader's line end and not the other's.
    let is_extension = matches!(rest.trim_ascii_start().first(), None | Some(b';')) && !rest.contains(&b'\r');
    if digits.is_empty() || digits.len() > 16 || !is_extension || end >= MAX_LINES {
        return Err(invalid);
    }
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let size = size.ok_or(invalid)?;
    buffer.advance(end + 1);
    Ok(Some(size))
}

/// Takes the trailers and the empty line behind them; `None` while they are not complete.
fn trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, Fault> {
    match buffer[..] {
        [b'\r', b'\n', ..] => {
            buffer.advance(2);
            return Ok(Some(HeaderMap::new()));
        }
        [] | [b'\r'] => return Ok(None),
        _ => {}
    }
    let Some(end) = head::end_of_lines(buffer, &mut 0) else {
        return if buffer.len() < MAX_LINES { Ok(None) } else { Err(Fault::TooLarge) };
    };
    let bytes = buffer.split_to(end).freeze();
    if bytes.split_inclusive(|byte| *byte == b'\n').any(|line| !line.ends_with(b"\r\n")) {
        return Err(Fault::Invalid("a trailer ends without CR"));
    }
    let mut lines = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let httparse::Status::Complete((_, lines)) = httparse::parse_headers(&bytes, &mut lines)? else {
        return Err(Fault::Invalid("invalid trailers"));
    };
    let mut trailers = HeaderMap::with_capacity(lines.len());
    head::append(&mut trailers, &bytes, lines)?;
    Ok(Some(trailers))
}
