//! The streams of one HTTP/2 connection: tasks that the worker waits for when it leaves, counted so that an idle connection is
//! known, and ended when their client takes nothing.
//!
//! hyper asks for the next part of a body only when the client has room for it, so a stream that is not over waits for its client
//! unless it asked for something of ours that was not there. On a connection that others share nothing else shows it.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::alarm::{Alarm, Timeout};
use crate::worker::Worker;

thread_local! {
    /// What the stream that is being polled on this thread asked for last.
    static ASKED: Cell<Asked> = const { Cell::new(Asked::Nothing) };
}

/// What came of asking for something of ours.
#[derive(Clone, Copy)]
enum Asked {
    Nothing,
    /// It was there: the client takes what it is sent.
    There,
    /// It is waited for.
    Awaited,
}

/// Spawns streams. Clones count together.
#[derive(Clone)]
pub(crate) struct Streams {
    worker: Arc<Worker>,
    open: Arc<AtomicUsize>,
    send_timeout: Duration,
}

pin_project! {
    /// What drives one stream.
    struct Task<F> {
        #[pin]
        stream: F,
        patience: Timeout,
        open: Open,
    }
}

pin_project! {
    /// Work of ours for a stream.
    pub(crate) struct Ours<F> {
        #[pin]
        work: F,
    }
}

/// One stream that is open.
struct Open(Arc<AtomicUsize>);

impl Streams {
    /// None yet. A client may take nothing of one for `send_timeout` (nginx `send_timeout`).
    pub(crate) fn new(worker: Arc<Worker>, send_timeout: Duration) -> Self {
        Self { worker, open: Arc::default(), send_timeout }
    }

    /// Whether a request is in progress: its response not handed over yet.
    pub(crate) fn are_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }
}

/// To be told by what is ours whenever a stream asks for it, and whether it is there.
pub(crate) fn asked<T>(answer: Poll<T>) -> Poll<T> {
    ASKED.set(if answer.is_ready() { Asked::There } else { Asked::Awaited });
    answer
}

/// Work of ours for a stream.
pub(crate) fn ours<F: Future>(work: F) -> Ours<F> {
    Ours { work }
}

/// Ready when the stream is over, or its client has taken nothing for too long: dropped, it is reset.
fn poll(stream: Pin<&mut impl Future<Output = ()>>, patience: &mut Timeout, cx: &mut Context<'_>) -> Poll<()> {
    ASKED.set(Asked::Nothing);
    if stream.poll(cx).is_ready() {
        return Poll::Ready(());
    }
    match ASKED.get() {
        Asked::Nothing => {}
        Asked::There => patience.restart(),
        Asked::Awaited => {
            patience.restart();
            return Poll::Pending;
        }
    }
    patience.poll(cx)
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let patience = Timeout::new(Alarm::default(), self.send_timeout);
        self.worker.spawn(Task { stream, patience, open: Open(self.open.clone()) });
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        poll(this.stream, this.patience, cx)
    }
}

impl<F: Future> Future for Ours<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        asked(self.project().work.poll(cx))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    /// Whether a stream ends by itself that asks once, is answered so, and is woken by nobody.
    async fn is_given_up(answer: Poll<()>) -> bool {
        let mut answers = Some(answer);
        let mut stream = pin!(poll_fn(|_| {
            let _ = answers.take().map(asked);
            Poll::Pending
        }));
        let mut patience = Timeout::new(Alarm::default(), PATIENCE);
        let ended = poll_fn(|cx| poll(stream.as_mut(), &mut patience, cx));
        tokio::time::timeout(2 * PATIENCE, ended).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_sent_something_has_its_time_to_take_it_and_who_waits_for_us_has_any() {
        assert!(is_given_up(Poll::Ready(())).await);
        assert!(!is_given_up(Poll::Pending).await);
    }
}
