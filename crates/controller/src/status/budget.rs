//! How often objects may be written. Pure: time is a parameter, objects are names.
//!
//! A change of state goes at once, but never more often than every other second per object; counters wait for the interval.
//! All objects share a bucket of tokens, spent on state first, each lane in the order in which objects became dirty. Counters
//! that waited ten intervals are served as state is, so nothing starves: whatever is dirty is written.

use std::collections::BTreeMap;

use config::Millis;

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Between two writes of one object.
    pub urgent_every: Millis,
    /// Between two writes of one object that only change counters.
    pub lazy_every: Millis,
    /// Writes per second over all objects.
    pub per_second: u32,
    /// Writes that may come at once after a pause.
    pub burst: u32,
}

/// How urgent a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Something a person waits for.
    Urgent,
    /// Counters.
    Lazy,
}

/// Objects that are dirty, and what may be spent on them.
#[derive(Debug)]
pub struct Budget<K> {
    limits: Limits,
    /// Thousandths of writes.
    tokens: u64,
    counted_at: Millis,
    /// The API server asked for silence until then.
    held_until: Millis,
    objects: BTreeMap<K, Object>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Object {
    dirty: Option<(Lane, Millis)>,
    written: Option<Millis>,
    not_before: Millis,
    /// Failures in a row.
    failures: u32,
}

const TOKEN: u64 = 1000;

/// Between two attempts at an object that cannot be written, first and at last.
const RETRY: Millis = Millis::from_secs(5);
const RETRY_MAX: Millis = Millis::from_secs(30);

/// Lazy intervals after which counters are served as state is.
const PATIENCE: u64 = 10;

impl Limits {
    /// 5 writes a second, 20 at once; an object every 2 s, its counters every 30 s.
    pub const DEFAULT: Self =
        Self { urgent_every: Millis::from_secs(2), lazy_every: Millis::from_secs(30), per_second: 5, burst: 20 };
}

impl<K: Ord + Clone> Budget<K> {
    /// A full bucket.
    pub fn new(limits: Limits, now: Millis) -> Self {
        let tokens = u64::from(limits.burst) * TOKEN;
        Self { limits, tokens, counted_at: now, held_until: now, objects: BTreeMap::new() }
    }

    /// The object is dirty. It keeps its place; a lazy one may become urgent, not the other way round.
    pub fn mark(&mut self, key: K, lane: Lane, now: Millis) {
        let object = self.objects.entry(key).or_default();
        object.dirty = Some(match object.dirty {
            Some((before, since)) if before <= lane => (before, since),
            Some(_) | None => (lane, now),
        });
    }

    /// The object is as it should be.
    pub fn clean(&mut self, key: &K) {
        if let Some(object) = self.objects.get_mut(key) {
            object.dirty = None;
        }
    }

    /// The object is gone.
    pub fn forget(&mut self, key: &K) {
        self.objects.remove(key);
    }

    /// The object to write now, and why; say [`Self::spend`] when it is attempted.
    pub fn next(&mut self, now: Millis) -> Option<(K, Lane)> {
        self.refill(now);
        if self.tokens < TOKEN || now < self.held_until {
            return None;
        }
        let due = self.objects.iter().filter(|(_, object)| self.due(object).is_some_and(|due| due <= now));
        let (key, object) = due.min_by_key(|(_, object)| self.rank(object, now))?;
        Some((key.clone(), object.dirty?.0))
    }

    /// The object is written, or was attempted to be: either costs the API server the same.
    pub fn spend(&mut self, key: &K, now: Millis) {
        self.refill(now);
        self.tokens = self.tokens.saturating_sub(TOKEN);
        if let Some(object) = self.objects.get_mut(key) {
            (object.dirty, object.written) = (None, Some(now));
        }
    }

    /// The object was written.
    pub fn succeed(&mut self, key: &K) {
        if let Some(object) = self.objects.get_mut(key) {
            object.failures = 0;
        }
    }

    /// The object could not be written: it stays dirty, and is tried again after 5 s, 10 s, 20 s, at last every 30 s.
    pub fn fail(&mut self, key: &K, now: Millis) {
        self.mark(key.clone(), Lane::Urgent, now);
        if let Some(object) = self.objects.get_mut(key) {
            let pause = Millis(RETRY.0 << object.failures.min(8)).min(RETRY_MAX);
            (object.not_before, object.failures) = (pause.after(now), object.failures.saturating_add(1));
        }
    }

    /// The API server wants no writes before `until`.
    pub fn hold(&mut self, until: Millis) {
        self.held_until = self.held_until.max(until);
    }

    /// Dirty objects.
    pub fn depth(&self) -> usize {
        self.objects.values().filter(|object| object.dirty.is_some()).count()
    }

    /// Forgets all objects; what was spent stays spent.
    pub fn clear(&mut self) {
        self.objects.clear();
    }

    fn refill(&mut self, now: Millis) {
        let elapsed = now.since(self.counted_at).0;
        let full = u64::from(self.limits.burst) * TOKEN;
        self.tokens = elapsed.saturating_mul(self.limits.per_second.into()).saturating_add(self.tokens).min(full);
        self.counted_at = self.counted_at.max(now);
    }

    fn due(&self, object: &Object) -> Option<Millis> {
        let (lane, since) = object.dirty?;
        let every = match lane {
            Lane::Urgent => self.limits.urgent_every,
            Lane::Lazy => self.limits.lazy_every,
        };
        let spaced = object.written.map_or(Millis(0), |written| every.after(written));
        Some(since.max(spaced).max(object.not_before))
    }

    fn rank(&self, object: &Object, now: Millis) -> (Lane, Millis) {
        match object.dirty {
            Some((Lane::Lazy, since)) if now >= Millis(self.limits.lazy_every.0 * PATIENCE).after(since) => {
                (Lane::Urgent, since)
            }
            Some(dirty) => dirty,
            None => (Lane::Lazy, Millis(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { urgent_every: Millis(2_000), lazy_every: Millis(30_000), per_second: 5, burst: 20 };

    #[test]
    fn state_goes_before_counters_and_who_waits_longer_first() {
        let mut budget = Budget::new(LIMITS, Millis(0));
        budget.mark('a', Lane::Lazy, Millis(0));
        budget.mark('c', Lane::Urgent, Millis(1));
        budget.mark('b', Lane::Urgent, Millis(2));
        let order: Vec<_> = std::iter::from_fn(|| {
            let (key, _) = budget.next(Millis(5))?;
            budget.spend(&key, Millis(5));
            Some(key)
        })
        .collect();
        assert_eq!(order, ['c', 'b', 'a']);
    }

    #[test]
    fn each_lane_has_its_interval() {
        let mut budget = Budget::new(LIMITS, Millis(0));
        budget.spend(&'a', Millis(0));
        budget.mark('a', Lane::Lazy, Millis(0));
        budget.spend(&'a', Millis(0));
        budget.mark('a', Lane::Lazy, Millis(10));
        assert_eq!((budget.next(Millis(29_999)), budget.next(Millis(30_000))), (None, Some(('a', Lane::Lazy))));
        budget.mark('a', Lane::Urgent, Millis(20));
        assert_eq!((budget.next(Millis(1_999)), budget.next(Millis(2_000))), (None, Some(('a', Lane::Urgent))));
        budget.clean(&'a');
        assert_eq!((budget.next(Millis(60_000)), budget.depth()), (None, 0));
    }

    #[test]
    fn the_api_server_may_ask_for_silence() {
        let mut budget = Budget::new(LIMITS, Millis(0));
        budget.mark('a', Lane::Urgent, Millis(0));
        budget.hold(Millis(7_000));
        assert_eq!((budget.next(Millis(6_999)), budget.next(Millis(7_000))), (None, Some(('a', Lane::Urgent))));
        budget.spend(&'a', Millis(7_000));
        let mut tried = 7_000;
        for pause in [5_000, 10_000, 20_000, 30_000, 30_000] {
            budget.fail(&'a', Millis(tried));
            assert_eq!(budget.next(Millis(tried + pause - 1)), None);
            tried += pause;
            assert_eq!(budget.next(Millis(tried)), Some(('a', Lane::Urgent)));
            budget.spend(&'a', Millis(tried));
        }
        budget.succeed(&'a');
        budget.fail(&'a', Millis(tried));
        assert_eq!(budget.next(Millis(tried + 5_000)), Some(('a', Lane::Urgent)));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Mark(u8, bool),
        Wait(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let mark = (0..40_u8, any::<bool>()).prop_map(|(key, urgent)| Step::Mark(key, urgent));
        let wait = (0..3_000_u16).prop_map(Step::Wait);
        prop::collection::vec(prop_oneof![3 => mark, 1 => wait], 0..400)
    }

    proptest! {
        /// Whatever becomes dirty when: the bucket, and the spacing of each object, hold over every span of time; and
        /// everything dirty is written within the time that its lane and the objects before it take.
        #[test]
        fn the_bounds_hold(steps in steps()) {
            let mut budget = Budget::new(LIMITS, Millis(0));
            let (mut now, mut writes) = (0_u64, Vec::<(u64, u8, bool)>::new());
            let mut dirty = BTreeMap::<u8, (u64, bool)>::new();
            let mut steps = steps.into_iter();
            loop {
                let wait = match steps.next() {
                    Some(Step::Mark(key, urgent)) => {
                        budget.mark(key, if urgent { Lane::Urgent } else { Lane::Lazy }, Millis(now));
                        let (_, was) = *dirty.entry(key).or_insert((now, urgent));
                        if urgent && !was {
                            dirty.insert(key, (now, true));
                        }
                        continue;
                    }
                    Some(Step::Wait(wait)) => u64::from(wait),
                    None if dirty.is_empty() => break,
                    None => 1_000,
                };
                for at in (now..now + wait).step_by(100) {
                    while let Some((key, _)) = budget.next(Millis(at)) {
                        budget.spend(&key, Millis(at));
                        let (since, urgent) = dirty.remove(&key).expect("only what is dirty is written");
                        let longest = if urgent { 2_000 } else { 30_000 } + 40 * 200 + 200 + wait;
                        prop_assert!(!urgent || at - since <= longest, "{key} waited {}", at - since);
                        writes.push((at, key, urgent));
                    }
                }
                now += wait;
                prop_assert!(now < 3_600_000, "what is dirty is written: {dirty:?}");
            }
            for (n, (from, key, _)) in writes.iter().enumerate() {
                for (m, (to, other, urgent)) in writes.iter().enumerate().skip(n + 1) {
                    let count = (m - n + 1) as u64;
                    prop_assert!(count <= 20 + (to - from) * 5 / 1000 + 1, "{count} writes in {} ms", to - from);
                    let spacing = if *urgent { 2_000 } else { 30_000 };
                    prop_assert!(key != other || to - from >= spacing, "{key} after {} ms", to - from);
                }
            }
        }
    }
}
