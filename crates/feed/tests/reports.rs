//! Reports put together: in whatever order, however often, whatever is lost, the last word on each server counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{GroupId, Millis, Revision, Tier};
use feed::report::{Absorbed, Counters, Extent, GroupReport, Groups, History, Report, ServerReport, ServerState};
use feed::{Scope, limits};
use proptest::prelude::*;

/// A life told report by report: what exists is listed in full ones, what changed in the others.
fn life(epoch: u64) -> impl Strategy<Value = Vec<Report>> {
    let server = (0..3u8, 0..4u8, 0..50u64);
    let one = (any::<bool>(), prop::collection::vec(server, 0..6));
    prop::collection::vec(one, 1..8).prop_map(move |told| {
        let numbered = told.into_iter().zip(1..);
        numbered.map(|((full, servers), seq)| report(epoch, seq, full, &servers)).collect()
    })
}

fn report(epoch: u64, seq: u64, full: bool, servers: &[(u8, u8, u64)]) -> Report {
    let mut groups = Groups::new();
    for (group, number, requests) in servers {
        let none = || GroupReport { version: None, active_tier: Tier::Primary, servers: Vec::new() };
        let group = groups.entry(GroupId::new("shop", &format!("g{group}"))).or_insert_with(|| none().into());
        let group = Arc::make_mut(group);
        let address = format!("10.0.0.{}:80", number + 1).parse().unwrap();
        if group.servers.iter().all(|server| server.address != address) {
            group.servers.push(ServerReport {
                name: "line".into(),
                address,
                state: ServerState::Up,
                effective_weight: 1,
                active: 0,
                counters: Counters { requests: seq * 100 + requests, ..Counters::default() },
                last_failure: None,
            });
        }
    }
    let extent = if full { Extent::Full } else { Extent::Changes };
    let revision = Revision::of(&seq.to_be_bytes());
    Report {
        instance: "proxy-1".into(),
        epoch,
        seq,
        extent,
        revision,
        age: Millis(seq),
        scope: Scope::All,
        zone: None,
        rejected: BTreeMap::new(),
        groups,
    }
}

fn absorbed(reports: &[Report]) -> History {
    let mut history = History::default();
    for report in reports {
        history.absorb(report.clone());
    }
    history
}

fn requests(history: &History) -> Vec<(String, u64)> {
    let groups: Vec<_> = history.groups().map(|(id, ..)| id.clone()).collect();
    let servers = groups.iter().flat_map(|id| history.servers(id).map(move |server| (id, server)));
    servers.map(|(id, server)| (format!("{id} {}", server.address), server.counters.requests)).collect()
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(
        (told, shuffled) in (life(7), life(8)).prop_flat_map(|(first, second)| {
            let all: Vec<_> = first.into_iter().chain(second).collect();
            let twice: Vec<_> = all.iter().chain(&all).cloned().collect();
            (Just(all), Just(twice).prop_shuffle())
        })
    ) {
        let told = absorbed(&told);
        let mut shuffled_history = absorbed(&shuffled);
        prop_assert_eq!(&told, &shuffled_history);
        for report in shuffled {
            prop_assert_eq!(shuffled_history.absorb(report), Absorbed::Nothing);
        }
        prop_assert_eq!(&told, &shuffled_history);
    }

    #[test]
    fn a_full_report_makes_good_what_was_lost(told in life(7), lost in any::<u64>(), last in 100..200u64) {
        let full = report(7, last, true, &[(0, 0, 1), (1, 1, 2)]);
        let heard = told.iter().enumerate().filter(|(at, _)| lost >> at & 1 == 0).map(|(_, report)| report.clone());
        let heard: Vec<_> = heard.chain([full.clone()]).collect();
        let all: Vec<_> = told.into_iter().chain([full.clone()]).collect();
        prop_assert_eq!(requests(&absorbed(&heard)), requests(&absorbed(&all)));
        prop_assert_eq!(requests(&absorbed(&heard)), requests(&absorbed(&[full])));
    }
}

#[test]
fn at_the_bound_what_is_new_has_the_room_of_what_is_gone() {
    let full = |seq: u64, net: u8| {
        let mut report = report(7, seq, true, &[(0, 0, 0)]);
        let group = Arc::make_mut(report.groups.values_mut().next().unwrap());
        let server = group.servers.pop().unwrap();
        let servers = (0..limits::REPORTED_SERVERS).map(|n| {
            let address = format!("10.{net}.{}.{}:{}", n >> 16, n >> 8 & 255, (n & 255) + 1).parse().unwrap();
            ServerReport { address, ..server.clone() }
        });
        group.servers = servers.collect();
        report
    };
    let mut history = History::default();
    history.absorb(full(1, 1));
    history.absorb(full(2, 2));
    let (id, _, _) = history.groups().next().unwrap();
    assert_eq!(history.servers(id).count(), limits::REPORTED_SERVERS);
    assert!(history.servers(id).all(|server| server.address.to_string().starts_with("10.2.")));
}

#[test]
fn a_new_life_begins_anew_and_the_old_one_is_not_heard_again() {
    let mut history = History::default();
    assert_eq!(history.absorb(report(7, 1, true, &[(0, 0, 5)])), Absorbed::NewLife);
    assert_eq!(history.absorb(report(7, 2, false, &[(0, 1, 5)])), Absorbed::News);
    assert_eq!(history.absorb(report(8, 1, false, &[(0, 2, 5)])), Absorbed::NewLife);
    assert!(!history.is_complete(), "a missing server means nothing yet");
    assert_eq!(history.absorb(report(7, 3, true, &[(0, 0, 9)])), Absorbed::Nothing);
    assert_eq!(requests(&history), [("shop/g0 10.0.0.3:80".to_owned(), 105)]);
    assert_eq!((history.epoch(), history.age()), (8, Millis(1)));
    assert_eq!(history.revision(), Some(Revision::of(&1u64.to_be_bytes())));
}
