//! The time that a data plane balances, counts and logs by. Only waits have another: that of the runtime.
//!
//! Time is monotonic but in phase with the wall clock at start, because nginx's failure accounting counts whole wall-clock
//! seconds: an ejection ends when nginx's would. A step of the wall clock later on moves nothing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use balance::Now;

/// A moment: microseconds since the epoch, as known when the process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// Reads time. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    origin_micros: u64,
}

impl Moment {
    /// The moment the balancer counts with.
    pub const fn now(self) -> Now {
        Now::from_millis(self.0 / 1000)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Time since an earlier moment; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl From<u64> for Moment {
    /// A moment so many microseconds after the epoch.
    fn from(micros: u64) -> Self {
        Self(micros)
    }
}

impl Clock {
    /// A clock in phase with the wall clock of this moment.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), origin_micros: u64::try_from(wall.as_micros()).unwrap_or(0) }
    }

    /// The present.
    pub fn now(&self) -> Moment {
        let elapsed = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Moment(self.origin_micros.saturating_add(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the wall clock says by now: one that is an hour ahead of it, or behind, stays so.
    #[test]
    fn a_step_of_the_wall_clock_is_not_seen() {
        let hour = 3_600_000_000;
        let clock = Clock::start();
        for origin_micros in [clock.origin_micros - hour, clock.origin_micros + hour] {
            let stepped = Clock { origin_micros, ..clock };
            let (before, now, after) = (clock.now(), stepped.now(), clock.now());
            let since_start = |moment: Moment| moment.micros() - clock.origin_micros;
            let passed = now.micros() - origin_micros;
            assert!((since_start(before)..=since_start(after)).contains(&passed), "{passed} µs");
        }
    }
}
