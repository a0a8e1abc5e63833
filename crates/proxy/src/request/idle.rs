//! When a connection of HTTP/2 is idle, and for how long it may be. hyper knows it of HTTP/1 alone.

use std::task::Context;

use crate::alarm::Timeout;

/// What is written for a client that asks for nothing and is sent nothing: of its PING and SETTINGS frames, between two looks.
const ACKNOWLEDGEMENTS: u64 = 64;

/// What shows of a connection at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// Requests that came on it.
    pub(super) requests: u64,
    /// Bytes that were written to it.
    pub(super) written: u64,
    /// Whether a stream is not over.
    pub(super) has_streams: bool,
}

/// What its idleness makes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idleness {
    /// It may stay.
    Borne,
    /// It was idle for too long: the client is to be told that it ends.
    Told,
    /// The client was told, and has not left for as long again.
    Overstayed,
}

/// Watches one connection.
#[derive(Debug)]
pub(super) struct Idle {
    patience: Timeout,
    last: Signs,
    was_busy: bool,
    is_told: bool,
}

impl Idle {
    /// It may be idle for the limit of `patience` (nginx `keepalive_timeout`).
    pub(super) fn new(patience: Timeout) -> Self {
        Self { patience, last: Signs::default(), was_busy: false, is_told: false }
    }

    /// To be asked whenever something happens on the connection; its task is woken when the answer changes by itself.
    pub(super) fn poll(&mut self, signs: Signs, cx: &mut Context<'_>) -> Idleness {
        let last = std::mem::replace(&mut self.last, signs);
        // The end of a response may be on its way for long after its stream was given it.
        let is_busy = signs.has_streams
            || signs.requests != last.requests
            || signs.written.saturating_sub(last.written) > ACKNOWLEDGEMENTS;
        // It is idle from the end of what kept it busy.
        if is_busy || self.was_busy {
            self.patience.restart();
        }
        self.was_busy = is_busy;
        if self.patience.poll(cx).is_ready() {
            if self.is_told {
                return Idleness::Overstayed;
            }
            self.is_told = true;
            self.patience.restart();
            // A new deadline cannot have passed; what matters is that it wakes this task.
            let _ = self.patience.poll(cx);
        }
        if self.is_told { Idleness::Told } else { Idleness::Borne }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::time::{Instant, advance, timeout};

    use super::*;
    use crate::alarm::Alarm;

    const LIMIT: Duration = Duration::from_mins(1);
    const MOST: Duration = Duration::from_secs(59);
    const REST: Signs = Signs { requests: 1, written: 500, has_streams: false };

    struct Connection(Idle);

    impl Connection {
        fn new() -> Self {
            Self(Idle::new(Timeout::new(Alarm::default(), LIMIT)))
        }

        /// What is answered to something that happens.
        async fn sees(&mut self, signs: Signs) -> Idleness {
            poll_fn(|cx| Poll::Ready(self.0.poll(signs, cx))).await
        }

        /// How long nothing happens until the answer is another than `now`, which the task must be woken for.
        async fn rests(&mut self, signs: Signs, now: Idleness) -> Duration {
            let begin = Instant::now();
            let other = poll_fn(|cx| if self.0.poll(signs, cx) == now { Poll::Pending } else { Poll::Ready(()) });
            timeout(3 * LIMIT, other).await.expect("woken");
            begin.elapsed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn is_idle_from_the_end_of_its_last_stream() {
        let mut connection = Connection::new();
        let busy = Signs { has_streams: true, ..REST };
        assert_eq!(connection.sees(busy).await, Idleness::Borne);
        advance(10 * LIMIT).await;
        assert_eq!(connection.sees(busy).await, Idleness::Borne, "a stream may take any time");
        advance(10 * LIMIT).await;
        assert_eq!(connection.sees(REST).await, Idleness::Borne, "it ends only now");
        assert_eq!(connection.rests(REST, Idleness::Borne).await, LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_or_a_piece_of_a_response_is_use() {
        for used in [Signs { requests: 2, ..REST }, Signs { written: 600, ..REST }] {
            let mut connection = Connection::new();
            connection.sees(REST).await;
            connection.sees(REST).await;
            advance(MOST).await;
            assert_eq!(connection.sees(used).await, Idleness::Borne);
            assert_eq!(connection.rests(used, Idleness::Borne).await, LIMIT, "{used:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_is_none() {
        let mut connection = Connection::new();
        connection.sees(REST).await;
        connection.sees(REST).await;
        let mut signs = REST;
        for _ in 0..59 {
            advance(Duration::from_secs(1)).await;
            signs.written += 17;
            assert_eq!(connection.sees(signs).await, Idleness::Borne);
        }
        assert_eq!(connection.rests(signs, Idleness::Borne).await, Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_told_and_stays_is_cut() {
        let mut connection = Connection::new();
        connection.rests(Signs::default(), Idleness::Borne).await;
        assert_eq!(connection.sees(Signs::default()).await, Idleness::Told);
        assert_eq!(connection.rests(Signs::default(), Idleness::Told).await, LIMIT);
        assert_eq!(connection.sees(Signs::default()).await, Idleness::Overstayed);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_told_and_still_asks_is_answered() {
        let mut connection = Connection::new();
        connection.rests(Signs::default(), Idleness::Borne).await;
        advance(MOST).await;
        let asking = Signs { requests: 1, has_streams: true, written: 0 };
        assert_eq!(connection.sees(asking).await, Idleness::Told);
        advance(2 * LIMIT).await;
        assert_eq!(connection.sees(asking).await, Idleness::Told);
    }
}
