//! The present, and the only place of the controller that reads the wall clock: it is for people, for the validity of
//! certificates and tokens, and for telling lives of a data plane apart. All else is decided by the monotonic one, which is given
//! to whatever is pure as milliseconds; only what waits or is measured where it happens asks tokio's.

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
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn wall(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
