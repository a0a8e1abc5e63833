//! When a burst of changes is over: files are written in pieces, and a cut at the border of two documents is a valid, smaller
//! set.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing may happen, and no file may have changed.
const QUIET: Duration = Duration::from_millis(250);
/// A burst that does not end is read in its midst after this long.
const AT_MOST: Duration = Duration::from_secs(5);

/// Changes that follow each other. `S` is what the files look like from outside: not every write is an event that is ours.
#[derive(Debug)]
pub(super) struct Burst<S> {
    quiet_at: Instant,
    latest: Instant,
    stamps: S,
}

impl<S: PartialEq> Burst<S> {
    /// Begins with the first change.
    pub(super) fn begin(now: Instant, stamps: S) -> Self {
        Self { quiet_at: now + QUIET, latest: now + AT_MOST, stamps }
    }

    /// When it may be over.
    pub(super) fn look_at(&self) -> Instant {
        self.quiet_at.min(self.latest)
    }

    /// Another change.
    pub(super) fn noticed(&mut self, now: Instant) {
        self.quiet_at = now + QUIET;
    }

    /// Whether it is over at [`Self::look_at`], when the files look like `stamps`; else it is to be looked at again.
    pub(super) fn is_over(&mut self, now: Instant, stamps: S) -> bool {
        let is_over = self.stamps == stamps || now >= self.latest;
        self.quiet_at = now + QUIET;
        self.stamps = stamps;
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Duration = Duration::from_millis(125);

    #[test]
    fn it_is_over_when_nothing_happened_for_a_while() {
        let start = Instant::now();
        let mut burst = Burst::begin(start, 0);
        burst.noticed(start + HALF);
        assert_eq!(burst.look_at(), start + HALF + QUIET);
        assert!(burst.is_over(burst.look_at(), 0));
    }

    #[test]
    fn a_file_that_is_still_written_is_waited_for() {
        let start = Instant::now();
        let mut burst = Burst::begin(start, 0);
        let first = burst.look_at();
        assert!(!burst.is_over(first, 1), "nothing was noticed, and a file has grown");
        assert_eq!(burst.look_at(), first + QUIET);
        assert!(burst.is_over(burst.look_at(), 1));
    }

    #[test]
    fn a_burst_without_end_is_read_in_its_midst() {
        let start = Instant::now();
        let mut burst = Burst::begin(start, 0);
        let mut stamp = 0;
        loop {
            let now = burst.look_at();
            stamp += 1;
            burst.noticed(now);
            if burst.is_over(now, stamp) {
                assert_eq!(now, start + AT_MOST);
                break;
            }
        }
    }
}
