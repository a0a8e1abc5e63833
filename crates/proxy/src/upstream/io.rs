//! A connection to a server, with nginx's send timeout and the bytes counted.
//!
//! What is counted is what HTTP sends, not what TLS makes of it, as in nginx (`c->sent`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::alarm::Timeout;
use crate::timed::Timed;

/// What reaches a server. Its writes are timed while it carries a request.
pub(super) type Socket = Timed<Either<TcpStream, UnixStream>>;

/// A stream to a server, in the clear or not.
pub(super) type Stream = Either<Socket, Box<TlsStream<Socket>>>;

/// A stream whose bytes are counted.
#[derive(Debug)]
pub(crate) struct UpstreamIo {
    stream: Stream,
    sent: u64,
    received: u64,
}

impl UpstreamIo {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, sent: 0, received: 0 }
    }

    /// Counts from zero, for another request, whose task waits by `send_timeout`.
    pub(super) fn begin(&mut self, send_timeout: Timeout) {
        (self.sent, self.received) = (0, 0);
        self.socket().set_timeout(Some(send_timeout));
    }

    /// Waits for nothing any more, and so knows nothing of the task that had it.
    pub(super) fn rest(&mut self) {
        self.socket().set_timeout(None);
    }

    fn socket(&mut self) -> &mut Socket {
        match &mut self.stream {
            Either::Left(socket) => socket,
            Either::Right(tls) => tls.get_mut().0,
        }
    }

    /// Bytes sent and received since then.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    fn written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = result {
            self.sent += bytes as u64;
        }
        result
    }
}

impl Drop for UpstreamIo {
    /// TLS says that it ends, if the socket takes it, and waits for no answer (nginx `ngx_ssl_shutdown`).
    fn drop(&mut self) {
        self.rest();
        if let Either::Right(tls) = &mut self.stream {
            let _ = Pin::new(tls).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.received += (buf.filled().len() - before) as u64;
        result
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
