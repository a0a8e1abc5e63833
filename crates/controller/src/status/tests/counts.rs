//! More servers than a status lists: nothing is miscounted, and a counter is never news.

use feed::report::LastFailure;
use proptest::prelude::*;

use super::rendering::{fleet, rendered};
use super::*;
use crate::events::EventReason;
use crate::status::render::{Difference, Publication, Rendered, difference};

/// A server's counters, and the second of its last failure.
type Counted = (u64, u64, u64, Option<u64>);

/// States and counters as one data plane reports them.
fn counted(seq: u64, states: &[ServerState], counted: &[Counted]) -> Report {
    let states: Vec<_> = states.iter().map(|state| (*state, 0)).collect();
    let mut report = report("p/1", seq, "v1", &states);
    for group in report.groups.values_mut() {
        for (server, (requests, failures, active, failed_at)) in Arc::make_mut(group).servers.iter_mut().zip(counted) {
            server.active = *active;
            server.counters.requests = *requests;
            server.counters.ejections = failures / 3;
            server.counters.failures = [("connect".into(), *failures)].into();
            server.last_failure = failed_at.map(|at| LastFailure { reason: "connect".into(), at: at * 1000 });
        }
    }
    report
}

fn message(status: &UpstreamGroupStatus, name: &str) -> String {
    status.conditions.iter().find(|one| one.type_ == name).map(|one| one.message.clone()).unwrap()
}

#[test]
fn every_server_that_is_out_is_counted() {
    let mut office = Office::new();
    office.put(facts(1, servers(200)));
    office.hear(report("p/1", 1, "v1", &[UP; 200]));
    office.seconds(3);
    office.hear(report("p/1", 2, "v1", &[OUT; 200]));
    let writes = office.seconds(3);
    let status = group(writes.last().unwrap());
    assert_eq!((status.servers.len(), status.truncated), (64, Some(136)));
    let said =
        "no server takes requests; out after failures: s0 10.0.0.0:80, s1 10.0.0.1:80, s2 10.0.0.2:80, and 197 more";
    assert_eq!(message(status, "Available"), said);

    // What is beyond the list is told, too, when it comes back and when it goes.
    office.events();
    let mut states = [OUT; 200];
    states[150] = UP;
    office.hear(report("p/1", 3, "v1", &states));
    office.seconds(3);
    let back = (EventReason::ServersRestored, "take requests again: s150 10.0.0.150:80".to_owned());
    assert!(office.events().contains(&back));
    states = [OUT; 200];
    office.hear(report("p/1", 4, "v1", &states));
    office.seconds(3);
    let out = (EventReason::ServersEjected, "out after failures: s150 10.0.0.150:80".to_owned());
    assert!(office.events().contains(&out));
}

/// A controller that takes over a group of which more servers are out than its status lists tells what happens from then on.
#[test]
fn a_new_leader_tells_what_moves_beyond_the_list() {
    let mut before = Office::new();
    before.put(facts(1, servers(100)));
    before.hear(report("p/1", 1, "v1", &[OUT; 100]));
    let writes = before.seconds(3);
    let mut office = Office::new();
    office.put(GroupFacts { status: Some(Arc::new(group(&writes[0]).clone())), ..facts(1, servers(100)) });
    office.hear(report("p/1", 2, "v1", &[OUT; 100]));
    assert_eq!(office.seconds(30), []);
    let mut states = [OUT; 100];
    states[99] = UP;
    office.hear(report("p/1", 3, "v1", &states));
    office.seconds(3);
    let reasons: Vec<_> = office.events().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, [EventReason::GroupRecovered, EventReason::ServersRestored]);
}

#[test]
fn who_failed_more_often_is_no_news() {
    let mut office = Office::new();
    office.put(facts(1, servers(2)));
    let out = [ServerState::Ejected; 2];
    office.hear(counted(1, &out, &[(9, 1, 0, Some(1)), (9, 2, 0, Some(2))]));
    let first = office.seconds(3);
    office.hear(counted(2, &out, &[(9, 5, 0, Some(3)), (9, 3, 0, Some(2))]));
    assert_eq!(office.seconds(3), [], "counters wait");
    let later = office.seconds(30);
    let said = message(group(&first[0]), "Available");
    assert!(
        !later.is_empty() && later.iter().all(|write| message(group(write), "Available") == said),
        "{}",
        later.len()
    );
}

fn cases() -> impl Strategy<Value = (Vec<ServerState>, Vec<Counted>, Vec<Counted>)> {
    let count = prop_oneof![0_usize..8, 60_usize..150];
    count.prop_flat_map(|count| {
        // Of many servers, also many that are out.
        let state = prop_oneof![
            1 => Just(ServerState::Up),
            4 => Just(ServerState::Ejected),
            1 => Just(ServerState::Busy),
            1 => Just(ServerState::Draining),
        ];
        let counted = (0..100_000_u64, 0..1_000_u64, 0..100_u64, prop::option::of(0..100_000_u64));
        let counted = prop::collection::vec(counted, count);
        (prop::collection::vec(state, count), counted.clone(), counted)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counters_alone_are_never_urgent_and_never_an_event((states, first, second) in cases()) {
        let facts = facts(1, servers(states.len()));
        let of = |report, previous: Option<&UpstreamGroupStatus>| {
            rendered(&facts, &fleet(vec![report]), Publication::Settled, previous, 1).unwrap()
        };
        let before = of(counted(1, &states, &first), None);
        let after = of(counted(2, &states, &second), Some(&before.status));
        prop_assert!(difference(Some(&before.status), &after.status) < Difference::State);

        let mut journal = Journal::new(Millis(0));
        let mut tell = |before: Option<&UpstreamGroupStatus>, Rendered { status, servers }: &Rendered| {
            journal.group(&id(), &"uid-1".into(), (before, status), servers.as_deref(), Millis(0));
            std::iter::from_fn(|| journal.next(Millis::from_secs(1_000_000))).count()
        };
        tell(None, &before);
        prop_assert_eq!(tell(Some(&before.status), &after), 0);
        // Nor does a controller tell it that knows nothing but the status.
        let mut journal = Journal::new(Millis(0));
        journal.group(&id(), &"uid-1".into(), (Some(&before.status), &after.status), after.servers.as_deref(), Millis(0));
        prop_assert_eq!(journal.next(Millis::from_secs(1)), None);
    }
}
