//! When reports are due, and how much of the picture each has, without a clock: told what happened and what time it is.
//!
//! What a person waits for is told soon and alone; what only counts goes at its own pace; and everything is told so seldom,
//! by time and not by how often there was something to tell, that a fleet whose configuration changes all the time costs its
//! leader no more full reports than one that rests. Chance keeps a fleet from reporting in step.

use config::Millis;

/// Between two reports of everything that changed, about.
pub const INTERVAL: Millis = Millis(10_000);
/// How much of it chance adds or takes.
const JITTER: Millis = Millis(2000);
/// Between two full reports, about. Nothing is lost without them (what was not delivered is still a change), so they only
/// end what is gone.
pub const FULL: Millis = Millis(60_000);
/// How much of it chance adds or takes.
const FULL_JITTER: Millis = Millis(12_000);
/// News are told within this time...
pub const SOON: Millis = Millis(300);
/// ...but reports are never closer than this, however fast things change.
pub const CLOSEST: Millis = Millis(1000);
/// A leader forgets an instance that it has not heard of for this long: three intervals, and what they are spread by.
pub const MEMORY: Millis = Millis(35_000);
/// Who was not heard for this long may be forgotten by the time that the next report arrives: it has ten seconds.
const FORGOTTEN: Millis = Millis(MEMORY.0 - 10_000);

/// How much of the picture a report has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, for a leader that knows nothing, or no longer knows what is gone.
    Everything,
    /// What differs from what the leader knows.
    Changes,
    /// Of that, what a person waits for: versions, tiers, servers and their state, but no counters.
    News,
}

/// When the next report is due, and of what.
#[derive(Debug, Default)]
pub struct Schedule {
    /// When news are; `None`: there are none, or nobody to tell.
    news: Option<Millis>,
    /// When changes are; `None`: there is nobody to tell.
    changes: Option<Millis>,
    /// From when on the next of these is full; `None`: at once, the leader knows nothing.
    full: Option<Millis>,
    last: Option<Millis>,
    /// When the leader last took a report, and whether that was the last one.
    heard: Option<Millis>,
    arrived: bool,
}

impl Schedule {
    /// Reports go to another controller, which knows nothing, or to nobody.
    pub fn leader(&mut self, is_known: bool, now: Millis, chance: u64) {
        let soon = self.soon(now, chance);
        (self.news, self.changes, self.full) = (None, is_known.then_some(soon), None);
        (self.heard, self.arrived) = (None, true);
    }

    /// The leader was named once more, by a controller that could not be reached before: what did not arrive may arrive now.
    /// Whether there is such a report.
    pub fn named_again(&mut self, now: Millis, chance: u64) -> bool {
        let is_due = self.changes.is_some() && !self.arrived;
        if is_due {
            self.changes = Some(self.soon(now, chance));
        }
        is_due
    }

    /// A configuration was put in force, or a resource refused. To a leader that knows nothing nothing is news: it is told
    /// everything first, and one that does not manage to take that is not asked more often for it.
    pub fn changed(&mut self, now: Millis, chance: u64) {
        if self.changes.is_some() && self.full.is_some() && self.news.is_none() {
            self.news = Some(self.soon(now, chance));
        }
    }

    /// When to [`take`](Self::take) the next.
    pub fn due(&self) -> Option<Millis> {
        self.changes.map(|changes| self.news.map_or(changes, |news| news.min(changes)))
    }

    /// The report that is due now, if one is.
    pub fn take(&mut self, now: Millis, chance: u64) -> Option<Part> {
        self.due().filter(|due| *due <= now)?;
        self.news = None;
        (self.last, self.arrived) = (Some(now), false);
        if self.heard.is_some_and(|heard| now.since(heard) >= FORGOTTEN) {
            (self.changes, self.full) = (Some(now), None);
        }
        if self.changes.is_some_and(|changes| changes > now) {
            return Some(Part::News);
        }
        self.changes = Some(about(now, INTERVAL, JITTER, chance));
        if self.full.is_some_and(|full| full > now) {
            return Some(Part::Changes);
        }
        // Other bits of it: who reports late must not be the one who tells everything late.
        self.full = Some(about(now, FULL, FULL_JITTER, chance.rotate_left(32)));
        Some(Part::Everything)
    }

    /// The report taken last was delivered.
    pub fn delivered(&mut self, now: Millis) {
        (self.heard, self.arrived) = (Some(now), true);
    }

    /// The report taken last was not delivered: everything is still due if it was that, and news are not news any more once
    /// the next changes go.
    pub fn failed(&mut self, part: Part) {
        if part == Part::Everything {
            (self.news, self.full) = (None, None);
        }
    }

    fn soon(&self, now: Millis, chance: u64) -> Millis {
        let earliest = self.last.map_or(0, |last| last.0 + CLOSEST.0);
        Millis((now.0 + below(SOON.0, chance)).max(earliest))
    }
}

/// A moment `time` after `now`, give or take `jitter`.
fn about(now: Millis, time: Millis, jitter: Millis, chance: u64) -> Millis {
    Millis(now.0 + time.0 - jitter.0 + below(2 * jitter.0, chance))
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
    /// Half of everything, whichever bits of it are taken.
    const HALF: u64 = 0x7fff_ffff_7fff_ffff;

    /// Reports taken until `end`, while something changes every `every` milliseconds, if it does.
    fn run(schedule: &mut Schedule, end: u64, every: Option<u64>, chance: u64) -> Vec<(u64, Part)> {
        let mut taken = Vec::new();
        for now in 0..=end {
            if every.is_some_and(|every| now % every == 0) {
                schedule.changed(Millis(now), chance);
            }
            if let Some(part) = schedule.take(Millis(now), chance) {
                schedule.delivered(Millis(now));
                taken.push((now, part));
            }
        }
        taken
    }

    fn times(taken: &[(u64, Part)], part: Part) -> Vec<u64> {
        taken.iter().filter(|(_, of)| *of == part).map(|(at, _)| *at).collect()
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
    fn changes_go_every_ten_seconds_and_everything_every_minute_give_or_take_a_fifth() {
        for (chance, interval, full) in [(0, 8000, 48_000), (HALF, 10_000, 60_000), (MOST, 12_000, 72_000)] {
            let mut schedule = Schedule::default();
            schedule.leader(true, Millis(0), 0);
            let taken = run(&mut schedule, 200_000, None, chance);
            assert!(taken.windows(2).all(|two| two[1].0 - two[0].0 == interval), "{taken:?}");
            assert_eq!(times(&taken, Part::Everything)[..3], [0, full, 2 * full]);
            assert_eq!(times(&taken, Part::News), [0; 0]);
        }
    }

    #[test]
    fn news_are_told_soon_and_leave_the_pace_of_the_rest() {
        let mut schedule = Schedule::default();
        schedule.leader(true, Millis(0), 0);
        assert_eq!(schedule.take(Millis(0), MOST), Some(Part::Everything));
        schedule.changed(Millis(5000), MOST);
        schedule.changed(Millis(5200), MOST);
        assert_eq!(schedule.due(), Some(Millis(5300)), "the first change decides");
        assert_eq!(schedule.take(Millis(5299), 0), None);
        assert_eq!(schedule.take(Millis(5300), 0), Some(Part::News));
        assert_eq!(schedule.due(), Some(Millis(12_000)));
        assert_eq!(schedule.take(Millis(12_000), 0), Some(Part::Changes));
    }

    #[test]
    fn a_leader_that_knows_nothing_is_told_everything_first() {
        let mut schedule = Schedule::default();
        schedule.leader(true, Millis(0), MOST);
        schedule.changed(Millis(0), 0);
        assert_eq!(schedule.due(), Some(Millis(300)), "not before everything is");
        assert_eq!(schedule.take(Millis(300), 0), Some(Part::Everything));
        // It is on its way when something changes, and does not arrive.
        schedule.changed(Millis(400), 0);
        schedule.failed(Part::Everything);
        schedule.changed(Millis(500), 0);
        assert_eq!(schedule.due(), Some(Millis(8300)));
        assert_eq!(schedule.take(Millis(8300), 0), Some(Part::Everything));
    }

    #[test]
    fn a_storm_costs_one_report_a_second_and_no_more_full_ones_than_rest() {
        let (mut storm, mut rest) = (Schedule::default(), Schedule::default());
        storm.leader(true, Millis(0), 0);
        rest.leader(true, Millis(0), 0);
        let taken = run(&mut storm, 300_000, Some(10), HALF);
        assert!(taken.windows(2).all(|two| two[1].0 - two[0].0 >= CLOSEST.0), "{taken:?}");
        assert!(taken.windows(2).all(|two| two[1].0 - two[0].0 <= CLOSEST.0 + SOON.0), "{taken:?}");
        let rest = run(&mut rest, 300_000, None, HALF);
        for part in [Part::Everything, Part::Changes] {
            assert_eq!(times(&taken, part).len(), times(&rest, part).len(), "{part:?}");
        }
    }

    #[test]
    fn everything_that_was_lost_is_still_due() {
        let mut schedule = Schedule::default();
        schedule.leader(true, Millis(0), 0);
        assert_eq!(schedule.take(Millis(0), 0), Some(Part::Everything));
        schedule.failed(Part::Everything);
        assert_eq!(schedule.take(Millis(8000), 0), Some(Part::Everything));
        schedule.delivered(Millis(8000));
        assert_eq!(schedule.take(Millis(16_000), 0), Some(Part::Changes));
        schedule.failed(Part::Changes);
        assert_eq!(schedule.take(Millis(24_000), 0), Some(Part::Changes));
    }

    #[test]
    fn a_leader_that_may_have_forgotten_is_told_everything() {
        let mut schedule = Schedule::default();
        schedule.leader(true, Millis(0), 0);
        assert_eq!(schedule.take(Millis(0), 0), Some(Part::Everything));
        schedule.delivered(Millis(0));
        for at in [8000, 16_000, 24_000] {
            assert_eq!(schedule.take(Millis(at), 0), Some(Part::Changes));
            schedule.failed(Part::Changes);
        }
        // Not even news go alone.
        schedule.changed(Millis(25_000), 0);
        assert_eq!(schedule.take(Millis(25_000), 0), Some(Part::Everything));
        schedule.delivered(Millis(25_000));
        assert_eq!(schedule.take(Millis(33_000), 0), Some(Part::Changes));
    }

    #[test]
    fn who_is_named_again_is_told_at_once_what_did_not_arrive() {
        let mut schedule = Schedule::default();
        assert!(!schedule.named_again(Millis(0), 0), "nobody was named");
        schedule.leader(true, Millis(0), 0);
        assert!(!schedule.named_again(Millis(0), 0), "nothing was sent");
        assert_eq!(schedule.take(Millis(0), 0), Some(Part::Everything));
        schedule.delivered(Millis(0));
        assert!(!schedule.named_again(Millis(10), 0), "everything arrived");
        assert_eq!(schedule.take(Millis(8000), 0), Some(Part::Changes));
        assert!(schedule.named_again(Millis(8500), MOST), "it is under way, or lost");
        assert_eq!((schedule.due(), schedule.take(Millis(9000), 0)), (Some(Millis(9000)), Some(Part::Changes)));
    }
}
