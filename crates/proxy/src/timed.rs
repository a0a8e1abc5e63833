//! A socket whose writes are timed: nginx's `send_timeout` towards clients, `proxy_send_timeout` towards servers.
//!
//! Both bound the time between two successful writes, of HTTP and of what follows an upgrade, so they live below both, and below
//! TLS, whose own writes and flushes stay pending while the peer takes what they hold bit by bit. A write that stays pending for
//! too long fails with [`io::ErrorKind::TimedOut`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alarm::Timeout;

/// A socket whose writes are timed; it has nothing to flush.
#[derive(Debug)]
pub(crate) struct Timed<S> {
    stream: S,
    /// `None`: for now, writes may take any time.
    timeout: Option<Timeout>,
}

impl<S> Timed<S> {
    /// Writes to `stream` may be pending for `timeout`.
    pub(crate) fn new(stream: S, timeout: Option<Timeout>) -> Self {
        Self { stream, timeout }
    }

    /// From now on they may be pending for this; whoever writes waits by its alarm.
    pub(crate) fn set_timeout(&mut self, timeout: Timeout) {
        self.timeout = Some(timeout);
    }

    /// The socket itself.
    pub(crate) fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// What came of a write: starts the time anew, or lets it run.
    fn settle<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match (result, &mut self.timeout) {
            (Poll::Ready(Ok(written)), Some(timeout)) => {
                timeout.restart();
                Poll::Ready(Ok(written))
            }
            (Poll::Pending, Some(timeout)) => {
                ready!(timeout.poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            (result @ Poll::Ready(Err(_)), Some(_)) | (result, None) => result,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.settle(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.settle(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
