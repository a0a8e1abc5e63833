//! A client's connection below HTTP: what [HTTP/1](crate::request::http1) wants to know of it, and nginx's lingering close.
//!
//! Who is answered before having sent everything still sends. Were its connection closed with that unread, the kernel would reset
//! it, and throw away the answer that is on its way; so what comes is read and thrown away for a while
//! (nginx `ngx_http_set_lingering_close`).

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alarm::{Alarm, Timeout};
use crate::record::Downstream;
use crate::request::body::{LINGERS, PAUSE};

/// Bytes thrown away at a time.
const BUFFER: usize = 4 << 10;

/// What reaches a client.
pub(crate) struct ClientIo<S> {
    stream: S,
    downstream: Arc<Downstream>,
    alarm: Alarm,
    closing: Closing,
}

/// How far its close is.
enum Closing {
    /// We may write.
    No,
    /// We have said that we write no more.
    Lingering {
        whole: Timeout,
        pause: Timeout,
    },
    Done,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientIo<S> {
    /// A client served by the task of this alarm.
    pub(crate) fn new(stream: S, downstream: Arc<Downstream>, alarm: Alarm) -> Self {
        Self { stream, downstream, alarm, closing: Closing::No }
    }

    /// Reads until the client has ended, or has had its time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Closing::Lingering { whole, pause } = &mut self.closing else { return Poll::Ready(()) };
        loop {
            if whole.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut space = [const { MaybeUninit::uninit() }; BUFFER];
            let mut buffer = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => pause.restart(),
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => return pause.poll(cx),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.downstream.http1.received();
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.downstream.http1.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.downstream.http1.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.downstream.http1.flushed(&result);
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if matches!(this.closing, Closing::No) {
            let owes_body = this.downstream.http1.owes_body();
            // Nobody reads on: what ends a plain connection is its close, which follows.
            if owes_body || this.downstream.transport.says_goodbye() {
                ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            }
            if !owes_body {
                this.closing = Closing::Done;
                return Poll::Ready(Ok(()));
            }
            let [whole, pause] = [LINGERS, PAUSE].map(|limit| Timeout::new(this.alarm.clone(), limit));
            this.closing = Closing::Lingering { whole, pause };
        }
        ready!(this.poll_linger(cx));
        this.closing = Closing::Done;
        Poll::Ready(Ok(()))
    }
}

impl<S> Drop for ClientIo<S> {
    fn drop(&mut self) {
        self.downstream.http1.gone();
    }
}
