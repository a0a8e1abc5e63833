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
    pub(crate) fn set_timeout(&mut self, timeout: Option<Timeout>) {
        self.timeout = timeout;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Duration, Instant, sleep};

    use super::*;
    use crate::alarm::Alarm;

    const LIMIT: Duration = Duration::from_secs(5);
    const LESS: Duration = Duration::from_secs(4);
    /// Bytes that nobody has taken yet.
    const ROOM: usize = 16;

    fn timed<S>(stream: S) -> Timed<S> {
        Timed::new(stream, Some(Timeout::new(Alarm::default(), LIMIT)))
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_the_whole_time_is_given_up() {
        let (ours, _theirs) = duplex(ROOM);
        let begin = Instant::now();
        let error = timed(ours).write_all(&[0; ROOM + 1]).await.unwrap_err();
        assert_eq!((error.kind(), begin.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_in_time_is_waited_for() {
        let (ours, mut theirs) = duplex(ROOM);
        let begin = Instant::now();
        let taken = async {
            for _ in 0..4 {
                sleep(LESS).await;
                let mut bytes = [0; ROOM];
                theirs.read_exact(&mut bytes).await.unwrap();
            }
            theirs
        };
        let mut ours = timed(ours);
        let (written, _theirs) = tokio::join!(ours.write_all(&[0; 5 * ROOM]), taken);
        written.unwrap();
        assert_eq!(begin.elapsed(), 4 * LESS);
    }

    #[tokio::test(start_paused = true)]
    async fn tls_above_it_is_not_waited_for_longer_than_its_socket() {
        // A flush of TLS stays pending while the peer takes a record bit by bit, and every bit is progress.
        let (ours, mut theirs) = duplex(ROOM);
        let mut whole = tokio::io::BufWriter::with_capacity(8 * ROOM, timed(ours));
        whole.write_all(&[0; 8 * ROOM - 1]).await.unwrap();
        let begin = Instant::now();
        let taken = async {
            for _ in 0..3 {
                sleep(LESS).await;
                let mut bytes = [0; ROOM];
                theirs.read_exact(&mut bytes).await.unwrap();
            }
            theirs
        };
        let (flushed, _theirs) = tokio::join!(whole.flush(), taken);
        assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed(), 3 * LESS + LIMIT, "from the last bit that was taken");
    }
}
