//! A connection to a server, with nginx's send timeout and the bytes counted.
//!
//! `proxy_send_timeout` bounds the time between two successful writes, of HTTP and of what follows an upgrade, so it lives
//! below both: a write that stays pending for too long fails with [`std::io::ErrorKind::TimedOut`]. What is counted and timed
//! is what HTTP sends, not what TLS makes of it, as in nginx (`c->sent`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::alarm::Timeout;

/// What reaches a server.
pub(super) type Socket = Either<TcpStream, UnixStream>;

/// A stream to a server, in the clear or not.
pub(super) type Stream = Either<Socket, Box<TlsStream<Socket>>>;

/// A stream whose writes are timed and whose bytes are counted.
#[derive(Debug)]
pub(crate) struct UpstreamIo {
    stream: Stream,
    sent: u64,
    received: u64,
    /// `None` before the first request.
    send_timeout: Option<Timeout>,
}

impl UpstreamIo {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, sent: 0, received: 0, send_timeout: None }
    }

    /// Counts from zero, for another request, whose task waits by `send_timeout`.
    pub(super) fn begin(&mut self, send_timeout: Timeout) {
        (self.sent, self.received, self.send_timeout) = (0, 0, Some(send_timeout));
    }

    /// Bytes sent and received since then.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    /// Goes on in another task than the one that began.
    pub(crate) fn moves(&mut self, send_timeout: Timeout) {
        self.send_timeout = Some(send_timeout);
    }

    /// Settles a write: counts it, or lets the time run while it is pending.
    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.sent += bytes as u64;
                if let Some(timeout) = &mut self.send_timeout {
                    timeout.restart();
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let Some(timeout) = &mut self.send_timeout else { return Poll::Pending };
                ready!(timeout.poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Drop for UpstreamIo {
    /// TLS says that it ends, if the socket takes it, and waits for no answer (nginx `ngx_ssl_shutdown`).
    fn drop(&mut self) {
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
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket has nothing to flush; TLS has what the socket did not take at once, which is a write that is pending.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(cx, result.map_ok(|()| 0)).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
