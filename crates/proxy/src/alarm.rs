//! Deadlines of one task.
//!
//! A request sets several (its header, the server's header, each read of a body) and reaches none of them. Entering each in
//! the runtime's wheel and taking it out again costs more than all other timekeeping, so a task has one entry, an [`Alarm`]:
//! it moves when a deadline is earlier than it, and when it rings while somebody still waits for a later one.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::rt;
use parking_lot::Mutex;
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

/// The one entry of a task. Clones are the same alarm; all who wait for it must be polled by that one task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarm(Arc<Mutex<State>>);

/// A limit on a wait for something else, which starts anew whenever that something comes.
#[derive(Debug)]
pub(crate) struct Timeout {
    alarm: Alarm,
    limit: Duration,
    /// Set while waiting.
    deadline: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    /// Made by the first wait.
    sleep: Option<Pin<Box<Sleep>>>,
    /// Who is woken by it.
    waker: Option<Waker>,
}

/// A deadline that hyper set.
struct Until {
    alarm: Alarm,
    deadline: Instant,
}

impl Alarm {
    /// Ready from `deadline` on.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.0.lock().poll(cx, deadline)
    }
}

impl State {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
            self.waker = None;
        }
        loop {
            let is_set = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if is_set && !sleep.is_elapsed() {
                return Poll::Pending;
            }
            self.waker = Some(cx.waker().clone());
            // In a task that has used up its turn it would be pending without having been entered.
            ready!(pin!(coop::unconstrained(sleep.as_mut())).poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
            self.waker = None;
        }
    }
}

impl Timeout {
    pub(crate) fn new(alarm: Alarm, limit: Duration) -> Self {
        Self { alarm, limit, deadline: None }
    }

    /// To be called whenever what is waited for is not there yet; ready when it was not there for the whole limit.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.limit);
        self.alarm.poll(cx, deadline)
    }

    /// What was waited for came.
    pub(crate) fn restart(&mut self) {
        self.deadline = None;
    }
}

impl rt::Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Until { alarm: self.clone(), deadline: Instant::now() + duration })
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Until { alarm: self.clone(), deadline: Instant::from_std(deadline) })
    }
}

impl rt::Sleep for Until {}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(cx, self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LATE: Duration = Duration::from_mins(1);
    const SOON: Duration = Duration::from_secs(5);
    const SOONER: Duration = Duration::from_secs(4);

    #[tokio::test(start_paused = true)]
    async fn rings_for_each_at_its_own_time() {
        let alarm = Alarm::default();
        let begin = Instant::now();
        let mut late = Timeout::new(alarm.clone(), LATE);
        let mut soon = Timeout::new(alarm, SOON);
        poll_fn(|cx| if late.poll(cx).is_ready() { panic!("too early") } else { soon.poll(cx) }).await;
        assert_eq!(begin.elapsed(), SOON);
        poll_fn(|cx| late.poll(cx)).await;
        assert_eq!(begin.elapsed(), LATE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_time_starts_the_limit_anew() {
        let mut timeout = Timeout::new(Alarm::default(), SOON);
        for _ in 0..3 {
            let mut work = std::pin::pin!(tokio::time::sleep(SOONER));
            poll_fn(|cx| {
                assert!(timeout.poll(cx).is_pending());
                work.as_mut().poll(cx)
            })
            .await;
            timeout.restart();
        }
        let begin = Instant::now();
        poll_fn(|cx| timeout.poll(cx)).await;
        assert_eq!(begin.elapsed(), SOON);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_has_done_much_is_woken_too() {
        let begin = Instant::now();
        let mut timeout = Timeout::new(Alarm::default(), SOON);
        let mut has_done_much = false;
        poll_fn(|cx| {
            // Once: whoever finds its turn over is woken at once, so that time would never pass.
            while !has_done_much {
                match coop::poll_proceed(cx) {
                    Poll::Ready(step) => step.made_progress(),
                    Poll::Pending => has_done_much = true,
                }
            }
            timeout.poll(cx)
        })
        .await;
        assert_eq!(begin.elapsed(), SOON);
    }

    #[tokio::test(start_paused = true)]
    async fn hyper_waits_by_it_too() {
        let alarm = Alarm::default();
        let begin = Instant::now();
        let header = rt::Timer::sleep(&alarm, LATE);
        let mut soon = Timeout::new(alarm, SOON);
        let mut header = header;
        poll_fn(|cx| if header.as_mut().poll(cx).is_ready() { panic!("too early") } else { soon.poll(cx) }).await;
        header.await;
        assert_eq!(begin.elapsed(), LATE);
    }
}
