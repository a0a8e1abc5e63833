//! A client's connection below HTTP: what its [requests](crate::request::wire) want to know of it, and nginx's lingering close.
//!
//! Who is answered before having sent everything still sends, and so may one who asks ahead. Were its connection closed with that
//! unread, the kernel would reset it, and throw away the answer that is on its way; so what comes is read and thrown away for a
//! while (nginx `ngx_http_finalize_connection`, `ngx_http_set_lingering_close`).

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alarm::{Alarm, Timeout};
use crate::request::body::{LINGERS, PAUSE};
use crate::request::wire::Wire;

/// Bytes thrown away at a time.
const BUFFER: usize = 4 << 10;

/// What reaches a client.
pub(crate) struct ClientIo<S> {
    stream: S,
    wire: Arc<Wire>,
    /// Whether its end is said before it is closed, as in TLS.
    says_goodbye: bool,
    alarm: Alarm,
    closing: Closing,
}

/// How far its close is.
enum Closing {
    /// We may write.
    No,
    /// We say that we write no more.
    Goodbye {
        lingers: bool,
    },
    /// We have said it.
    Lingering {
        whole: Timeout,
        pause: Timeout,
    },
    Done,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientIo<S> {
    /// A client served by the task of this alarm.
    pub(crate) fn new(stream: S, wire: Arc<Wire>, says_goodbye: bool, alarm: Alarm) -> Self {
        Self { stream, wire, says_goodbye, alarm, closing: Closing::No }
    }

    /// Whether there is something that nobody has read.
    fn is_unread(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        matches!(read, Poll::Ready(Ok(()))) && !buffer.filled().is_empty()
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
            self.wire.received();
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wire.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wire.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.wire.flushed(&result);
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match this.closing {
                Closing::No => {
                    let lingers = this.wire.owes_body() || this.is_unread(cx);
                    this.closing = Closing::Goodbye { lingers };
                }
                Closing::Goodbye { lingers } => {
                    // Where nobody reads on, what ends a plain connection is its close, which follows.
                    if lingers || this.says_goodbye {
                        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                    }
                    let [whole, pause] = [LINGERS, PAUSE].map(|limit| Timeout::new(this.alarm.clone(), limit));
                    this.closing = if lingers { Closing::Lingering { whole, pause } } else { Closing::Done };
                }
                Closing::Lingering { .. } => {
                    ready!(this.poll_linger(cx));
                    this.closing = Closing::Done;
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S> Drop for ClientIo<S> {
    fn drop(&mut self) {
        self.wire.gone();
    }
}
