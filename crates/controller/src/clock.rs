//! The only place that reads clocks. Everything is decided by the monotonic one; the other is for people and for telling
//! lives of a data plane apart.

use config::Millis;
use jiff::Timestamp;
use tokio::time::Instant;

/// Monotonic time since the controller started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero. Needs no runtime, but follows the paused time of one in tests.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> Millis {
        self.start.elapsed().into()
    }

    /// The moment of the tokio clock at which [`Self::now`] will say `at`.
    pub fn instant(&self, at: Millis) -> Instant {
        self.start + at.as_duration()
    }

    /// The wall clock, to the millisecond: nobody who reads of a moment wants more.
    pub fn wall(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
