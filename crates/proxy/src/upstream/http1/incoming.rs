//! A response on its way: its header, then its body, from whatever bytes have come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{io, mem};

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::chunked::Chunked;
use super::framing::{self, ResponseFraming};
use super::{Fault, head};

/// Room for one read at first, and what an idle connection keeps.
const SMALL: usize = 8 << 10;
/// Room for one read when a server sends much: more saves no calls worth their memory.
const LARGE: usize = 128 << 10;

/// The reading half of a connection.
#[derive(Debug)]
pub struct Incoming {
    /// What was read and not taken.
    buffer: BytesMut,
    /// Room for the next read: twice as much after one that was filled, half after one that was mostly empty.
    room: usize,
    /// Of the header: bytes in which no end was found.
    searched: usize,
    /// Bytes of header that are taken.
    limit: usize,
    to_head: bool,
    body: Body,
    /// Whether the connection outlives this response.
    persists: bool,
}

/// What of the body is still to come.
#[derive(Debug)]
enum Body {
    Length(u64),
    Chunked(Chunked),
    Close,
}

impl Incoming {
    /// For a new connection, on which headers may have `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            room: SMALL,
            searched: 0,
            limit,
            to_head: false,
            body: Body::Length(0),
            persists: true,
        }
    }

    /// Expects the response to another request; `to_head` if that is HEAD.
    pub fn expect(&mut self, to_head: bool) {
        (self.to_head, self.searched) = (to_head, 0);
        (self.body, self.persists) = (Body::Length(0), false);
    }

    /// Reads more. `Ok(0)`: the server sends no more.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, io: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<usize>> {
        // Bytes that were handed out are reused once nobody holds them.
        self.buffer.reserve(self.room);
        let bytes = ready!(poll_read_buf(Pin::new(io), cx, &mut self.buffer))?;
        if bytes >= self.room {
            self.room = (self.room * 2).min(LARGE);
        } else if bytes < self.room / 4 {
            self.room = (self.room / 2).max(SMALL);
        }
        Poll::Ready(Ok(bytes))
    }

    /// The header of the response, once all of it was read. Interim responses (RFC 9110 section 15.2) are passed over.
    pub fn head(&mut self) -> Result<Option<Response<()>>, Fault> {
        loop {
            let Some(response) = head::take(&mut self.buffer, &mut self.searched, self.limit)? else { return Ok(None) };
            if response.status().is_informational() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                continue;
            }
            let framing = framing::of_response(&response, self.to_head)?;
            self.persists = framing::persists(&response, framing);
            self.body = match framing {
                ResponseFraming::Length(bytes) => Body::Length(bytes),
                ResponseFraming::Chunked => Body::Chunked(Chunked::Size),
                ResponseFraming::Close => Body::Close,
            };
            return Ok(Some(response));
        }
    }

    /// The next part of the body that was read, of at most `most` bytes; `None` if more must be read, or it
    /// [is complete](Self::is_complete).
    pub fn body(&mut self, most: usize) -> Result<Option<Frame<Bytes>>, Fault> {
        let ready = self.buffer.len().min(most);
        let length = match &mut self.body {
            Body::Length(left) => {
                let length = usize::try_from(*left).map_or(ready, |left| left.min(ready));
                *left -= length as u64;
                length
            }
            Body::Chunked(chunked) => {
                let frame = chunked.next(&mut self.buffer, most)?;
                chunked.ends(&mut self.buffer);
                return Ok(frame);
            }
            Body::Close => ready,
        };
        Ok((length > 0).then(|| Frame::data(self.buffer.split_to(length).freeze())))
    }

    /// The server sends no more: the end of a body that has no other, and the middle of any that has.
    pub fn closed(&mut self) -> Result<(), Fault> {
        self.persists = false;
        match self.body {
            Body::Close => {
                self.body = Body::Length(0);
                Ok(())
            }
            Body::Length(0) | Body::Chunked(Chunked::Done) => Ok(()),
            Body::Length(_) | Body::Chunked(_) => Err(Fault::Closed),
        }
    }

    /// Whether there is no more of the body.
    pub fn is_complete(&self) -> bool {
        matches!(self.body, Body::Length(0) | Body::Chunked(Chunked::Done))
    }

    /// Whether the response is complete, nothing came behind it, and another may follow.
    pub fn is_reusable(&self) -> bool {
        self.persists && self.is_complete() && self.buffer.is_empty()
    }

    /// How much of the body is still to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self.body {
            Body::Length(left) => SizeHint::with_exact(left),
            Body::Chunked(_) | Body::Close => SizeHint::default(),
        }
    }

    /// What was read behind the header of a response that ends HTTP here.
    pub(crate) fn take_rest(&mut self) -> Bytes {
        self.persists = false;
        mem::take(&mut self.buffer).freeze()
    }

    /// Gives back memory that only a large response needs.
    pub(crate) fn rest(&mut self) {
        if self.room > SMALL {
            self.buffer = BytesMut::new();
        }
    }
}
