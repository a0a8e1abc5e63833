//! HTTP/1 messages as they lie on the wire, for both ends. Lenient on purpose: a test wants to see what came, not to have it refused.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Stream;

/// Header lines in the order received, names as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

/// A start line and its header lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Every byte up to and including the empty line.
    pub raw: Vec<u8>,
    /// The request line or status line, without its line end.
    pub start_line: String,
    /// The header lines.
    pub headers: Headers,
}

/// The body of a message and what came with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The content, chunk framing removed.
    pub content: Vec<u8>,
    /// The sizes of the chunks, when it was chunked, without the last empty one.
    pub chunks: Vec<usize>,
    /// Trailer lines.
    pub trailers: Headers,
}

/// A stream with what was read from it too early.
#[derive(Debug)]
pub(crate) struct Wire {
    pub stream: Stream,
    pub buffer: Vec<u8>,
}

impl Headers {
    /// The first value of `name`, compared without regard to case.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values of `name`, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether the comma separated list `name` has `token`.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).iter().flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    /// `Content-Length`, when there is a readable one.
    pub fn content_length(&self) -> Option<usize> {
        self.first("content-length")?.trim().parse().ok()
    }

    /// Whether the last transfer coding is `chunked`.
    pub fn is_chunked(&self) -> bool {
        self.has_token("transfer-encoding", "chunked")
    }

    fn parse(lines: &str) -> Self {
        let line = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim().to_owned())
        };
        Self(lines.lines().filter(|l| !l.is_empty()).map(line).collect())
    }
}

impl Head {
    /// Splits a head. `raw` need not be valid in any way.
    pub fn parse(raw: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let (start_line, lines) = text.split_once('\n').unwrap_or((&text, ""));
        Self { start_line: start_line.trim_end_matches('\r').to_owned(), headers: Headers::parse(lines), raw }
    }

    /// The `n`th word of the start line, or nothing.
    pub fn word(&self, n: usize) -> &str {
        self.start_line.splitn(3, ' ').nth(n).unwrap_or("")
    }
}

impl Wire {
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Reads some more bytes; 0 is the end.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.buffer).await
    }

    /// The next head, or `None` when the peer closed before its first byte.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(Head::parse(self.take(end + 4))));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut("a head", &self.buffer)) };
            }
        }
    }

    pub async fn exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if self.fill().await? == 0 {
                return Err(cut(&format!("a body of {count} bytes"), &self.buffer));
            }
        }
        Ok(self.take(count))
    }

    pub async fn chunked(&mut self) -> io::Result<Body> {
        let mut body = Body::default();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or("").trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| bad(&format!("chunk size line {line:?}")))?;
            if size == 0 {
                break;
            }
            body.content.extend(self.exact(size).await?);
            body.chunks.push(size);
            if self.exact(2).await? != b"\r\n" {
                return Err(bad("no line end after a chunk"));
            }
        }
        let mut trailers = String::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                body.trailers = Headers::parse(&trailers);
                return Ok(body);
            }
            trailers += &line;
            trailers.push('\n');
        }
    }

    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill().await? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = self.take(end + 2);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.fill().await? == 0 {
                return Err(cut("a line", &self.buffer));
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn cut(what: &str, seen: &[u8]) -> io::Error {
    let seen = String::from_utf8_lossy(&seen[..seen.len().min(200)]).into_owned();
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed within {what}; before that came {seen:?}"))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
