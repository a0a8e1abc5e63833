//! The last failure of a server in one atomic word, so that a reader never sees the reason of one with the time of another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::class::failure_index;
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
    /// Remembers a failure.
    pub fn set(&self, reason: FailureReason, at: Moment) {
        let code = match reason {
            FailureReason::Status(status) => u64::from(status.min(999)),
            FailureReason::Connect
            | FailureReason::ConnectTimeout
            | FailureReason::Tls
            | FailureReason::SendTimeout
            | FailureReason::ReadTimeout
            | FailureReason::Reset
            | FailureReason::Closed
            | FailureReason::InvalidHeader
            | FailureReason::HeaderTooLarge => FIRST_PLAIN + failure_index(reason) as u64,
        };
        self.0.store((at.micros() / 1000) << REASON_BITS | code, Relaxed);
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
        let at = Moment::from(1_795_341_600_123_000);
        for reason in FailureReason::ALL.into_iter().chain([FailureReason::Status(503)]) {
            last.set(reason, at);
            assert_eq!(last.load(), Some((reason, at)));
        }
    }
}
