//! When a trouble is said: once for each kind of it, until all is well again. One that may be over by itself is said when it
//! lasts: an API server that has just started knows neither roles nor accounts nor kinds for a moment, a role may be bound a
//! moment after a controller starts, and one that stops breaks off what it was saying.

use std::time::Duration;

use tokio::time::Instant;

use super::Reason;

/// How long that moment may be.
pub const GRACE: Duration = Duration::from_secs(5);

/// What was said of one thing. `K` tells troubles apart.
#[derive(Debug)]
pub struct Teller<K = Reason> {
    present: Option<(K, Instant)>,
    said: Option<K>,
}

impl Reason {
    /// How long it must last before it is worth a word.
    pub const fn grace(self) -> Duration {
        match self {
            Self::Forbidden | Self::Unauthorized | Self::Missing | Self::Broken => GRACE,
            Self::Expired | Self::Refused | Self::Unreachable => Duration::ZERO,
        }
    }
}

impl Teller {
    /// There is a trouble of this class. Whether to say it.
    pub fn trouble(&mut self, reason: Reason, now: Instant) -> bool {
        self.hears(reason, reason.grace(), now)
    }
}

impl<K: Clone + PartialEq> Teller<K> {
    /// There is trouble that is worth a word after `grace`. Whether to say it.
    pub fn hears(&mut self, kind: K, grace: Duration, now: Instant) -> bool {
        if self.present.as_ref().is_none_or(|(present, _)| *present != kind) {
            self.present = Some((kind.clone(), now));
        }
        let is_due = self.lasts(now) >= grace && self.said.as_ref() != Some(&kind);
        if is_due {
            self.said = Some(kind);
        }
        is_due
    }

    /// How long it has been the present trouble.
    pub fn lasts(&self, now: Instant) -> Duration {
        self.present.as_ref().map_or(Duration::ZERO, |(_, since)| now.duration_since(*since))
    }

    /// Whether there is no trouble that this was told of.
    pub fn is_well(&self) -> bool {
        self.present.is_none()
    }

    /// All is well. What was said last before.
    pub fn well(&mut self) -> Option<K> {
        self.present = None;
        self.said.take()
    }
}

impl<K> Default for Teller<K> {
    fn default() -> Self {
        Self { present: None, said: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_said_once_and_one_that_may_be_over_when_it_lasts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut teller = Teller::default();
        assert!(teller.trouble(Reason::Unreachable, at(0)));
        assert!(!teller.trouble(Reason::Unreachable, at(1)));
        // The API server has just started.
        assert!(!teller.trouble(Reason::Forbidden, at(2)));
        assert!(!teller.trouble(Reason::Unreachable, at(3)), "that was said");
        assert_eq!(teller.well(), Some(Reason::Unreachable));
        assert_eq!(teller.well(), None);

        for (seconds, is_said) in [(10, false), (14, false), (15, true), (16, false), (60, false)] {
            assert_eq!(teller.trouble(Reason::Forbidden, at(seconds)), is_said, "{seconds}");
        }
        assert_eq!(teller.lasts(at(60)), Duration::from_secs(50));
        assert_eq!(teller.well(), Some(Reason::Forbidden));
        assert!(!teller.trouble(Reason::Forbidden, at(70)), "it may be over by itself again");
        assert_eq!(teller.well(), None);
    }
}
