//! A request on its way: its header, then its body as the client sends it.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::{Fault, RequestFraming};
use crate::request::body::ClientFault;
use crate::variables::push_number;

/// The writing half of a connection.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The header, the line before a chunk, or what is behind the last one; `written` bytes of it are gone. Kept for the next
    /// request.
    lead: Vec<u8>,
    written: usize,
    chunk: Bytes,
    /// What follows the chunk.
    tail: &'static [u8],
    framing: RequestFraming,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// There may be more of the body.
    Body,
    /// All there is is in the fields above.
    Last,
    #[default]
    Sent,
    /// Writing failed, or the client's body did.
    Broken,
}

impl Outgoing {
    /// Begins a request. `head` appends its request line and header but for what `framing` says and the empty line.
    pub(crate) fn begin(&mut self, framing: RequestFraming, head: impl FnOnce(&mut Vec<u8>)) {
        self.lead.clear();
        (self.written, self.framing) = (0, framing);
        (self.chunk, self.tail) = (Bytes::new(), b"");
        head(&mut self.lead);
        match framing {
            RequestFraming::None => {}
            RequestFraming::Length(bytes) => {
                self.lead.extend_from_slice(b"content-length: ");
                push_number(&mut self.lead, bytes);
                self.lead.extend_from_slice(b"\r\n");
            }
            RequestFraming::Chunked => self.lead.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        self.lead.extend_from_slice(b"\r\n");
        self.state = match framing {
            RequestFraming::None | RequestFraming::Length(0) => State::Last,
            RequestFraming::Length(_) | RequestFraming::Chunked => State::Body,
        };
    }

    /// Whether all that there is was written, and more of the body is to come.
    pub(crate) fn waits_for_body(&self) -> bool {
        self.state == State::Body && self.is_written()
    }

    /// Whether all of it was written.
    pub(crate) fn is_sent(&self) -> bool {
        self.state == State::Sent
    }

    /// Writes on; ready when all was written, or failed. After that it stays pending.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
        body: Option<&mut (impl Body<Data = Bytes, Error = ClientFault> + Unpin)>,
    ) -> Poll<Result<(), Fault>> {
        if matches!(self.state, State::Sent | State::Broken) {
            return Poll::Pending;
        }
        let result = ready!(self.poll_write(cx, io, body));
        self.state = if result.is_ok() { State::Sent } else { State::Broken };
        Poll::Ready(result)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
        mut body: Option<&mut (impl Body<Data = Bytes, Error = ClientFault> + Unpin)>,
    ) -> Poll<Result<(), Fault>> {
        loop {
            // Asked before the header is written, so that both go in one call if both are there.
            if self.state == State::Body && self.chunk.is_empty() && self.tail.is_empty() {
                match body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(cx)) {
                    Poll::Ready(frame) => self.add(frame.transpose()?)?,
                    Poll::Pending if self.is_written() => {
                        // A server may answer before it has everything, and wait until somebody read that.
                        let _ = Pin::new(&mut *io).poll_flush(cx)?;
                        return Poll::Pending;
                    }
                    Poll::Pending => {}
                }
            }
            if !self.is_written() {
                let bytes = ready!(self.poll_some(cx, io))?;
                self.advance(bytes)?;
            } else if self.state == State::Last {
                return Pin::new(io).poll_flush(cx).map_err(Fault::Io);
            }
        }
    }

    /// Takes the next frame of the body, or its end.
    fn add(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), Fault> {
        if self.written == self.lead.len() {
            self.lead.clear();
            self.written = 0;
        }
        let frame = frame.map(Frame::into_data);
        match (&mut self.framing, frame) {
            (RequestFraming::Length(left), Some(Ok(chunk))) => {
                *left = left.checked_sub(chunk.len() as u64).ok_or(ClientFault::Broken)?;
                self.chunk = chunk;
                if *left == 0 {
                    self.state = State::Last;
                }
            }
            (RequestFraming::Chunked, Some(Ok(chunk))) if chunk.is_empty() => {}
            (RequestFraming::Chunked, Some(Ok(chunk))) => {
                write!(self.lead, "{:x}\r\n", chunk.len())?;
                self.chunk = chunk;
                self.tail = b"\r\n";
            }
            (RequestFraming::Chunked, last) => {
                self.lead.extend_from_slice(b"0\r\n");
                if let Some(Err(frame)) = last
                    && let Ok(trailers) = frame.into_trailers()
                {
                    for (name, value) in &trailers {
                        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                            self.lead.extend_from_slice(part);
                        }
                    }
                }
                self.lead.extend_from_slice(b"\r\n");
                self.state = State::Last;
            }
            // hyper has ended a body that is shorter than announced with an error; it cannot be passed for a whole one.
            (RequestFraming::Length(_), None | Some(Err(_))) | (RequestFraming::None, _) => Err(ClientFault::Broken)?,
        }
        Ok(())
    }

    fn is_written(&self) -> bool {
        self.written == self.lead.len() && self.chunk.is_empty() && self.tail.is_empty()
    }

    fn poll_some(&self, cx: &mut Context<'_>, io: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<usize>> {
        let lead = &self.lead[self.written..];
        if self.chunk.is_empty() && self.tail.is_empty() {
            return Pin::new(io).poll_write(cx, lead);
        }
        Pin::new(io).poll_write_vectored(cx, &[IoSlice::new(lead), IoSlice::new(&self.chunk), IoSlice::new(self.tail)])
    }

    /// So many bytes are gone.
    fn advance(&mut self, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let lead = bytes.min(self.lead.len() - self.written);
        self.written += lead;
        let chunk = (bytes - lead).min(self.chunk.len());
        self.chunk.advance(chunk);
        self.tail = &self.tail[bytes - lead - chunk..];
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;

    use http_body_util::{BodyExt, Empty, Full, StreamBody};
    use proptest::prelude::*;

    use super::*;

    /// Takes at most so many bytes at a time, and is busy every other time.
    struct Narrow {
        taken: Vec<u8>,
        width: usize,
        busy: bool,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.busy = !self.busy;
            if self.busy {
                return Poll::Pending;
            }
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(self.width).collect();
            self.taken.extend_from_slice(&bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What is sent of a request with this body through something `width` bytes wide.
    fn sent(
        framing: RequestFraming,
        mut body: impl Body<Data = Bytes, Error = ClientFault> + Unpin,
        width: usize,
    ) -> Result<String, Fault> {
        let mut outgoing = Outgoing::default();
        outgoing.begin(framing, |head| head.extend_from_slice(b"PUT / HTTP/1.1\r\nhost: a\r\n"));
        let mut narrow = Narrow { taken: Vec::new(), width, busy: false };
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(result) = outgoing.poll(&mut cx, &mut narrow, Some(&mut body)) {
                assert_eq!(outgoing.is_sent(), result.is_ok());
                return result.map(|()| String::from_utf8(narrow.taken).unwrap());
            }
        }
    }

    fn whole(text: &'static str) -> impl Body<Data = Bytes, Error = ClientFault> + Unpin {
        Full::from(text).map_err(|never: Infallible| match never {})
    }

    proptest! {
        #[test]
        fn a_request_is_the_same_however_little_is_taken_at_a_time(width in 1..200usize) {
            const HEAD: &str = "PUT / HTTP/1.1\r\nhost: a\r\n";
            let nothing = Empty::new().map_err(|never: Infallible| match never {});
            prop_assert_eq!(sent(RequestFraming::None, nothing, width).unwrap(), format!("{HEAD}\r\n"));
            let length = sent(RequestFraming::Length(11), whole("hello world"), width).unwrap();
            prop_assert_eq!(length, format!("{HEAD}content-length: 11\r\n\r\nhello world"));
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-sum", http::HeaderValue::from_static("9"));
            let frames = ["hello world, once more", "", "x"].map(|text| Ok(Frame::data(Bytes::from(text))));
            let frames = frames.into_iter().chain([Ok(Frame::trailers(trailers))]);
            let chunks = sent(RequestFraming::Chunked, StreamBody::new(futures_util::stream::iter(frames)), width).unwrap();
            let body = "16\r\nhello world, once more\r\n1\r\nx\r\n0\r\nx-sum: 9\r\n\r\n";
            prop_assert_eq!(chunks, format!("{HEAD}transfer-encoding: chunked\r\n\r\n{body}"));
        }
    }

    #[test]
    fn a_body_that_is_not_as_announced_is_not_passed_for_one() {
        for (announced, body) in [(5, "four"), (5, "longer"), (7, "")] {
            let result = sent(RequestFraming::Length(announced), whole(body), 99);
            assert!(matches!(result, Err(Fault::Client(ClientFault::Broken))), "{announced} {body:?}: {result:?}");
        }
    }

    #[test]
    fn what_is_over_is_not_begun_again() {
        let mut outgoing = Outgoing::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut narrow = Narrow { taken: Vec::new(), width: 9, busy: true };
        assert!(outgoing.poll(&mut cx, &mut narrow, Some(&mut whole("x"))).is_pending());
        assert!(narrow.taken.is_empty());
    }
}
