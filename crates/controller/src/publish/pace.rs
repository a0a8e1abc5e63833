//! When to publish: the first change soon, a burst at a bounded rate, the last state always.
//!
//! A single change is held for [`GATHER`], because changes seldom come alone: `kubectl apply -f` of a group and its Ingress,
//! the slices of one Service. A burst is published every [`SPACING`], counted from the end of the last publication, and never
//! more often than the last one took: in a storm half of one core is left for those who serve. What data planes were told
//! nothing of (the status this very controller wrote comes back as a change) is no reason to have the next change wait.
//!
//! The budget is 100 ms (p99) from an `EndpointSlice` stored to all data planes; `bench/README.md` has what each part of it
//! takes. A wait of half the budget in the worst case bounds the work in a storm, here and at every data plane, to twenty
//! publications a second.

use config::Millis;

/// How long the first change of a burst waits for its companions.
pub const GATHER: Millis = Millis(5);
/// The time between two publications of a burst.
pub const SPACING: Millis = Millis(50);

/// Decides when to publish. Told of time, never reading it.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    due: Option<Millis>,
    earliest: Millis,
}

impl Pace {
    /// Something changed.
    pub fn changed(&mut self, now: Millis) {
        if self.due.is_none() {
            self.due = Some(GATHER.after(now).max(self.earliest));
        }
    }

    /// When to publish next, if anything changed.
    pub const fn due(&self) -> Option<Millis> {
        self.due
    }

    /// A publication that began at `began` has ended; it held everything that had changed when it began. `told`: data planes
    /// have something to do.
    pub fn published(&mut self, began: Millis, ended: Millis, told: bool) {
        let took = ended.since(began);
        let spacing = if told { SPACING.max(took) } else { took };
        self.due = None;
        self.earliest = spacing.after(ended).max(self.earliest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_published_soon() {
        let mut pace = Pace::default();
        assert_eq!(pace.due(), None);
        pace.changed(Millis(1000));
        pace.changed(Millis(1004));
        assert_eq!(pace.due(), Some(Millis(1005)));
        pace.published(Millis(1005), Millis(1006), true);
        assert_eq!(pace.due(), None);
        pace.changed(Millis(2000));
        assert_eq!(pace.due(), Some(Millis(2005)));
    }

    #[test]
    fn a_burst_is_published_at_a_bounded_rate_and_no_change_waits_longer() {
        let mut pace = Pace::default();
        let (mut published, mut waiting) = (Vec::new(), Vec::new());
        let mut longest = 0;
        for now in (0..1000).map(Millis) {
            pace.changed(now);
            waiting.push(now.0);
            if pace.due().is_some_and(|due| due <= now) {
                longest = longest.max(waiting.drain(..).map(|since| now.0 - since).max().unwrap_or_default());
                pace.published(now, now, true);
                published.push(now.0);
            }
        }
        assert!(published.len() <= 21, "{published:?}");
        assert!(longest <= SPACING.0, "{longest}");
        assert!(pace.due().is_none() || !waiting.is_empty());
    }

    #[test]
    fn slow_publications_leave_half_the_time() {
        let mut pace = Pace::default();
        pace.changed(Millis(0));
        pace.published(Millis(5), Millis(305), true);
        pace.changed(Millis(310));
        assert_eq!(pace.due(), Some(Millis(605)));
        pace.published(Millis(605), Millis(905), false);
        pace.changed(Millis(910));
        assert_eq!(pace.due(), Some(Millis(1205)));
    }

    #[test]
    fn what_nobody_is_told_of_delays_nobody_and_ends_no_delay() {
        let mut pace = Pace::default();
        pace.changed(Millis(0));
        pace.published(Millis(5), Millis(6), false);
        pace.changed(Millis(7));
        assert_eq!(pace.due(), Some(Millis(12)));
        pace.published(Millis(12), Millis(12), true);
        pace.published(Millis(20), Millis(20), false);
        pace.changed(Millis(21));
        assert_eq!(pace.due(), Some(Millis(12 + SPACING.0)));
    }
}
