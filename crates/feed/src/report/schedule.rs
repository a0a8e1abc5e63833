//! When reports are due, without a clock: told what happened and what time it is.
//!
//! One every ten seconds, give or take a fifth, so that a fleet does not report in step; every sixth is full. What a person
//! waits for is not waited for: soon after a configuration was put in force or refused, or another leader was named, one is
//! sent, and what happens meanwhile goes with it.

use config::Millis;
use feed::report::Extent;

/// Between two reports, about.
pub(super) const INTERVAL: Millis = Millis(10_000);
/// How much of it chance adds or takes.
const JITTER: Millis = Millis(2000);
/// A change is reported within this time...
pub(super) const SOON: Millis = Millis(300);
/// ...but reports are never closer than this, however fast things change.
pub(super) const CLOSEST: Millis = Millis(1000);
/// Every so many reports one is full.
const FULL_EVERY: u32 = 6;

/// When the next report is due, and of what extent.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// `None`: there is nobody to report to.
    due: Option<Millis>,
    last: Option<Millis>,
    /// Reports since the last full one; `None` before the first.
    since_full: Option<u32>,
}

impl Schedule {
    /// Reports go to another controller, which knows nothing, or to nobody.
    pub fn leader(&mut self, is_known: bool, now: Millis, chance: u64) {
        self.since_full = None;
        self.due = None;
        if is_known {
            self.due = Some(self.soon(now, chance));
        }
    }

    /// A configuration was put in force, or a resource refused.
    pub fn changed(&mut self, now: Millis, chance: u64) {
        let soon = self.soon(now, chance);
        self.due = self.due.map(|due| due.min(soon));
    }

    /// When to [`take`](Self::take) the next.
    pub fn due(&self) -> Option<Millis> {
        self.due
    }

    /// The report that is due now, if one is; the next is due an interval later.
    pub fn take(&mut self, now: Millis, chance: u64) -> Option<Extent> {
        self.due.filter(|due| *due <= now)?;
        self.last = Some(now);
        self.due = Some(Millis(now.0 + INTERVAL.0 - JITTER.0 + below(2 * JITTER.0, chance)));
        let full = self.since_full.is_none_or(|since| since + 1 >= FULL_EVERY);
        self.since_full = Some(if full { 0 } else { self.since_full.unwrap_or(0) + 1 });
        Some(if full { Extent::Full } else { Extent::Changes })
    }

    /// The report taken last was not delivered: a full one is still due if it was one.
    pub fn failed(&mut self, extent: Extent) {
        if extent == Extent::Full {
            self.since_full = None;
        }
    }

    fn soon(&self, now: Millis, chance: u64) -> Millis {
        let earliest = self.last.map_or(0, |last| last.0 + CLOSEST.0);
        Millis((now.0 + below(SOON.0, chance)).max(earliest))
    }
}

/// Uniform in `0..=bound`.
fn below(bound: u64, chance: u64) -> u64 {
    let scaled = u128::from(chance) * (u128::from(bound) + 1);
    // The high half of a product with a 64-bit number fits into 64 bits.
    u64::try_from(scaled >> 64).unwrap_or(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = u64::MAX;

    /// Reports taken in `period`, with the times between them.
    fn run(schedule: &mut Schedule, from: u64, period: u64, chance: u64) -> Vec<(u64, Extent)> {
        let mut taken = Vec::new();
        while let Some(due) = schedule.due().filter(|due| due.0 <= from + period) {
            if let Some(extent) = schedule.take(due, chance) {
                taken.push((due.0 - from, extent));
            }
        }
        taken
    }

    #[test]
    fn nothing_is_due_before_a_leader_is_known() {
        let mut schedule = Schedule::default();
        schedule.changed(Millis(5), 0);
        assert_eq!((schedule.due(), schedule.take(Millis(1_000_000), 0)), (None, None));
        schedule.leader(true, Millis(100), MOST);
        assert_eq!(schedule.due(), Some(Millis(400)));
        schedule.leader(false, Millis(100), MOST);
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn every_ten_seconds_give_or_take_a_fifth_and_every_sixth_is_full() {
        for (chance, interval) in [(0, 8000), (MOST / 2, 10_000), (MOST, 12_000)] {
            let mut schedule = Schedule::default();
            schedule.leader(true, Millis(0), 0);
            let taken = run(&mut schedule, 0, 13 * 12_000, chance);
            assert!(taken.windows(2).all(|two| two[1].0 - two[0].0 == interval), "{taken:?}");
            let full: Vec<_> =
                taken.iter().enumerate().filter(|(_, (_, extent))| *extent == Extent::Full).map(|(n, _)| n).collect();
            assert_eq!(full[..3], [0, 6, 12]);
        }
    }

    #[test]
    fn a_change_is_reported_soon_and_a_storm_of_them_once_a_second() {
        let mut schedule = Schedule::default();
        schedule.leader(true, Millis(0), 0);
        schedule.take(Millis(0), 0);
        schedule.changed(Millis(5000), MOST);
        schedule.changed(Millis(5200), MOST);
        assert_eq!(schedule.due(), Some(Millis(5300)), "the first change decides");
        assert_eq!(schedule.take(Millis(5299), 0), None);
        assert_eq!(schedule.take(Millis(5300), 0), Some(Extent::Changes));
        let mut taken = Vec::new();
        for now in (5300..15_300).step_by(10) {
            schedule.changed(Millis(now), MOST);
            if schedule.take(Millis(now), MOST).is_some() {
                taken.push(now);
            }
        }
        assert_eq!(taken.len(), 9, "{taken:?}");
    }

    #[test]
    fn a_full_report_that_was_lost_is_still_due() {
        let mut schedule = Schedule::default();
        schedule.leader(true, Millis(0), 0);
        assert_eq!(schedule.take(Millis(0), 0), Some(Extent::Full));
        schedule.failed(Extent::Full);
        assert_eq!(schedule.take(Millis(8000), 0), Some(Extent::Full));
        assert_eq!(schedule.take(Millis(16_000), 0), Some(Extent::Changes));
        schedule.failed(Extent::Changes);
        assert_eq!(schedule.take(Millis(24_000), 0), Some(Extent::Changes));
    }
}
