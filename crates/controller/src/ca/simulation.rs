//! Years of rotation in virtual time: replicas whose clocks differ, proxies that read the bundle late, races for the Secret.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::plan::{Outline, Span, Step, step};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A CA of the model: its number and its validity.
type Ca = (usize, Span);

#[derive(Clone, Debug, Default)]
struct Secret {
    version: u64,
    current: Option<Ca>,
    next: Option<Ca>,
    previous: Vec<Ca>,
}

impl Secret {
    fn bundle(&self) -> Vec<usize> {
        self.current.iter().chain(&self.next).chain(&self.previous).map(|(number, _)| *number).collect()
    }
}

#[derive(Debug)]
struct Replica {
    skew: SignedDuration,
    /// What it read and has not yet acted on: another may write in between.
    read: Secret,
    signs_with: Option<usize>,
}

#[derive(Debug, Default)]
struct World {
    secret: Secret,
    published: Vec<usize>,
    cas: usize,
    steps: Vec<Step>,
}

impl World {
    /// A replica acts on what it read, if nobody wrote meanwhile.
    fn act(&mut self, replica: &mut Replica, now: Timestamp) {
        let now = now + replica.skew;
        let mut secret = replica.read.clone();
        let is_current = secret.version == self.secret.version;
        if is_current && secret.current.is_some() {
            self.published = secret.bundle();
        }
        let outline = secret.current.map(|(_, current)| Outline { current, next: secret.next.map(|(_, next)| next) });
        let step = step(outline, now);
        if step == Step::Rest {
            replica.signs_with = secret.current.map(|(number, _)| number);
            return;
        }
        if !is_current {
            return;
        }
        self.cas += 1;
        let made = (self.cas, Span::of_ca(now));
        match step {
            Step::Make => secret = Secret { current: Some(made), ..Secret::default() },
            Step::Announce => secret.next = Some(made),
            Step::Promote => {
                secret.previous.retain(|(_, span)| !span.is_over(now));
                secret.previous.extend(secret.current);
                secret.current = secret.next.take();
            }
            Step::Rest => {}
        }
        secret.version = self.secret.version + 1;
        self.secret = secret;
        self.steps.push(step);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the clocks (two days apart), the order of looks and the age of the bundles (a day), every proxy trusts what
    /// every replica signs with, and a CA is made anew only when there is none.
    #[test]
    fn every_proxy_trusts_every_replica(
        skews in prop::collection::vec(-24_i64..=24, 1..4),
        order in prop::collection::vec((0_usize..4, any::<bool>()), 64),
        lag in 0_usize..24,
    ) {
        let mut now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let mut world = World::default();
        let mut replicas: Vec<Replica> = skews
            .iter()
            .map(|skew| Replica { skew: HOUR * i32::try_from(*skew).unwrap(), read: Secret::default(), signs_with: None })
            .collect();
        let mut bundles: Vec<Vec<usize>> = Vec::new();
        for hour in 0..3 * 365 * 24 {
            now += HOUR;
            // A look now and then of each replica; between reading and writing others may come.
            let (who, and_reads) = order[hour % order.len()];
            let count = replicas.len();
            let replica = &mut replicas[who % count];
            if and_reads {
                replica.read = world.secret.clone();
            }
            world.act(replica, now);
            bundles.push(world.published.clone());
            let Some(known) = hour.checked_sub(lag).map(|at| &bundles[at]) else { continue };
            // Before the first bundle has spread there is nothing to trust.
            if hour > 200 && !known.is_empty() {
                for signer in replicas.iter().filter_map(|replica| replica.signs_with) {
                    prop_assert!(known.contains(&signer), "hour {hour}: {signer} is not in {known:?}");
                }
            }
        }
        let count = |wanted: Step| world.steps.iter().filter(|step| **step == wanted).count();
        prop_assert_eq!(count(Step::Make), 1, "{:?}", world.steps);
        prop_assert!((3..=4).contains(&count(Step::Promote)), "{:?}", world.steps);
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_table_of_a_year() {
    let current = Span { from: at("2030-01-01T00:00:00Z"), until: at("2031-01-01T00:00:00Z") };
    let next = Span { from: at("2030-10-03T00:00:00Z"), until: at("2031-10-03T00:00:00Z") };
    let dead = Span { from: at("2029-01-01T00:00:00Z"), until: at("2029-06-01T00:00:00Z") };
    for (next, now, wanted) in [
        (None, "2030-10-02T23:59:59Z", Step::Rest),
        (None, "2030-10-03T00:00:00Z", Step::Announce),
        (None, "2030-12-31T23:59:59Z", Step::Announce),
        (None, "2031-01-01T00:00:00Z", Step::Make),
        (Some(next), "2030-10-09T23:59:59Z", Step::Rest),
        (Some(next), "2030-10-10T00:00:00Z", Step::Promote),
        (Some(next), "2031-05-01T00:00:00Z", Step::Promote),
        (Some(next), "2032-05-01T00:00:00Z", Step::Make),
        (Some(dead), "2030-02-01T00:00:00Z", Step::Rest),
        (Some(dead), "2030-11-01T00:00:00Z", Step::Announce),
        // A clock that is far behind changes nothing.
        (None, "2020-01-01T00:00:00Z", Step::Rest),
        (Some(next), "2020-01-01T00:00:00Z", Step::Rest),
    ] {
        assert_eq!(step(Some(Outline { current, next }), at(now)), wanted, "{next:?} at {now}");
    }
    assert_eq!(step(None, at("2030-01-01T00:00:00Z")), Step::Make);
}

#[test]
fn a_short_life_is_rotated_in_time() {
    // Somebody's own CA of eight days: the successor is announced two days before the end, and signs a day later.
    let current = Span { from: at("2030-01-01T00:00:00Z"), until: at("2030-01-09T00:00:00Z") };
    let look = |next, now| step(Some(Outline { current, next }), at(now));
    assert_eq!(look(None, "2030-01-06T23:00:00Z"), Step::Rest);
    assert_eq!(look(None, "2030-01-07T00:00:00Z"), Step::Announce);
    let next = Span { from: at("2030-01-07T00:00:00Z"), until: at("2031-01-07T00:00:00Z") };
    assert_eq!(look(Some(next), "2030-01-07T23:00:00Z"), Step::Rest);
    assert_eq!(look(Some(next), "2030-01-08T00:00:00Z"), Step::Promote);
}

#[test]
fn a_leaf_never_outlives_its_ca_and_is_renewed_in_time() {
    let now = at("2030-01-01T00:00:00Z");
    let leaf = Span::of_leaf(now, Span::of_ca(now));
    assert_eq!(leaf, Span { from: at("2029-12-31T23:00:00Z"), until: at("2030-01-02T00:00:00Z") });
    assert_eq!(leaf.renewal(), at("2030-01-01T15:40:00Z"));
    let ending = Span { from: at("2029-01-01T00:00:00Z"), until: at("2030-01-01T06:00:00Z") };
    assert_eq!(Span::of_leaf(now, ending).until, ending.until);
}
