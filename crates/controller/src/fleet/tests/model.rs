//! What the reports of one instance come to, by a second implementation: report by report as [`feed::report`] says it, with
//! no thought of room.

use feed::report::LastFailure;
use proptest::prelude::*;

use super::*;

const STATES: [ServerState; 3] = [ServerState::Up, ServerState::Ejected, ServerState::Busy];

/// An instance in its present life.
#[derive(Default)]
struct Model {
    epoch: u64,
    /// The last full report.
    full: u64,
    /// The last report of all.
    last: u64,
    groups: BTreeMap<GroupId, Known>,
}

#[derive(Default)]
struct Known {
    /// The version in force, as of a report.
    state: Option<(u64, Option<Revision>)>,
    servers: BTreeMap<ServerKey, (u64, ServerReport)>,
}

impl Model {
    fn absorb(&mut self, report: Report) -> Absorbed {
        if report.epoch < self.epoch {
            return Absorbed::Nothing;
        }
        let new_life = report.epoch > self.epoch;
        if new_life {
            *self = Self { epoch: report.epoch, ..Self::default() };
        }
        let mut news = report.seq > self.last;
        self.last = self.last.max(report.seq);
        if report.seq >= self.full {
            if report.extent == Extent::Full && report.seq > self.full {
                self.forget_before(report.seq);
                (self.full, news) = (report.seq, true);
            }
            for (id, told) in report.groups {
                let group = self.groups.entry(id).or_default();
                if group.state.is_none_or(|(seq, _)| seq < report.seq) {
                    group.state = Some((report.seq, told.version));
                    news = true;
                }
                for server in &told.servers {
                    let known = group.servers.entry((server.name.clone(), server.address.clone()));
                    let known = known.or_insert_with(|| (0, server.clone()));
                    if known.0 < report.seq {
                        *known = (report.seq, server.clone());
                        news = true;
                    }
                }
            }
        }
        match (new_life, news) {
            (true, _) => Absorbed::NewLife,
            (false, true) => Absorbed::News,
            (false, false) => Absorbed::Nothing,
        }
    }

    /// Forgets what was said before the full report of number `full`: it says itself what there is.
    fn forget_before(&mut self, full: u64) {
        self.groups.retain(|_, group| {
            group.servers.retain(|_, (seq, _)| *seq >= full);
            group.state = group.state.filter(|(seq, _)| *seq >= full);
            group.state.is_some() || !group.servers.is_empty()
        });
    }

    /// Whether a full report was heard: before it, a missing server means nothing.
    fn is_complete(&self) -> bool {
        self.full > 0
    }

    fn version(&self, id: &GroupId) -> Option<Revision> {
        self.groups.get(id)?.state?.1
    }

    fn servers(&self, id: &GroupId) -> impl Iterator<Item = &ServerReport> {
        self.groups.get(id).into_iter().flat_map(|group| group.servers.values().map(|(_, server)| server))
    }
}

fn reports() -> impl Strategy<Value = Vec<Report>> {
    let servers = prop::collection::vec((0..3_u8, 0..3_usize, 0..50_u64), 0..3);
    let one = (1..3_u64, 1..9_u64, any::<bool>(), 0..3_u8, any::<bool>(), servers);
    let one = one.prop_map(|(epoch, seq, full, content, names_group, servers)| {
        let extent = if full { Extent::Full } else { Extent::Changes };
        let mut seen = BTreeSet::new();
        let servers = servers.into_iter().filter(|(name, ..)| seen.insert(*name)).map(|(name, state, requests)| {
            let at = epoch * 100 + seq;
            let last_failure = (requests > 25).then(|| LastFailure { reason: "reset".into(), at });
            ServerReport { last_failure, ..server(&format!("s{name}"), STATES[state], requests) }
        });
        let mut report = report("p/1", (epoch, seq), extent, servers.collect());
        let group = report.groups.values_mut().next().unwrap();
        Arc::make_mut(group).version = Some(version(&content.to_string()));
        if !names_group {
            report.groups.clear();
        }
        report
    });
    prop::collection::vec(one, 0..24)
}

proptest! {
    /// Whatever arrives in whatever order.
    #[test]
    fn one_instance_is_as_the_model_says(reports in reports()) {
        let (mut fleet, mut model) = (Fleet::default(), Model::default());
        for (n, report) in reports.into_iter().enumerate() {
            let absorbed = fleet.absorb(report.clone(), Millis(n as u64 * 1000));
            prop_assert_eq!(absorbed, model.absorb(report));
            let view = fleet.view(&id());
            prop_assert_eq!(view.standings[0].version, model.version(&id()));
            prop_assert_eq!(view.complete, model.is_complete());
            let mine: Vec<_> = view
                .servers()
                .map(|(key, sum)| (key.0.clone(), sum.requests, sum.ejected, sum.last_failure.map(|(_, at)| at)))
                .collect();
            let theirs: Vec<_> = model
                .servers(&id())
                .map(|one| {
                    let ejected = u32::from(one.state == ServerState::Ejected);
                    (one.name.clone(), one.counters.requests, ejected, one.last_failure.as_ref().map(|last| last.at / 1000 * 1000))
                })
                .collect();
            prop_assert_eq!(&mine, &theirs);
            let members = fleet.groups.values().filter(|group| group.standing(1).is_some()).count();
            prop_assert!(fleet.entries >= mine.len() + members && fleet.entries <= mine.len() + 1);
        }
        fleet.expire(Millis(u64::MAX));
        prop_assert_eq!(fleet.entries, 0);
    }
}
