//! The last failure of a server in one atomic word, so that a reader never sees the reason of one with the time of another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Moment;
use crate::record::FailureReason;

/// When a server last failed, and why.
#[derive(Debug, Default)]
pub struct LastFailure(AtomicU64);

/// Bits of the reason; the rest holds milliseconds since the epoch, enough for 8900 years.
const REASON_BITS: u32 = 16;

/// Statuses are below 1000, so the other reasons begin there.
const FIRST_PLAIN: u64 = 1000;

impl LastFailure {
    /// Remembers a failure, unless a later one is known: workers come here in any order.
    pub fn set(&self, reason: FailureReason, at: Moment) {
        let code = reason.status().map_or(FIRST_PLAIN + reason.index() as u64, |status| u64::from(status.min(999)));
        self.0.fetch_max((at.micros() / 1000) << REASON_BITS | code, Relaxed);
    }

    /// The last failure; `None` when there was none.
    pub fn load(&self) -> Option<(FailureReason, Moment)> {
        let word = self.0.load(Relaxed);
        let (millis, code) = (word >> REASON_BITS, word & ((1 << REASON_BITS) - 1));
        let reason = match code.checked_sub(FIRST_PLAIN) {
            Some(place) => *FailureReason::ALL.get(usize::try_from(place).ok()?)?,
            None => FailureReason::Status(u16::try_from(code).ok()?),
        };
        (word != 0).then_some((reason, Moment::from(millis * 1000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_was_told() {
        let last = LastFailure::default();
        assert_eq!(last.load(), None);
        for (reason, second) in FailureReason::ALL.into_iter().chain([FailureReason::Status(503)]).zip(1_795_341_600..)
        {
            let at = Moment::from(second * 1_000_000 + 123_000);
            last.set(reason, at);
            assert_eq!(last.load(), Some((reason, at)));
        }
    }

    #[test]
    fn an_earlier_failure_replaces_no_later_one() {
        let last = LastFailure::default();
        let [early, late] = [1_000_000, 2_000_000].map(Moment::from);
        last.set(FailureReason::Connect, late);
        last.set(FailureReason::Closed, early);
        assert_eq!(last.load(), Some((FailureReason::Connect, late)));
    }
}
