//! Reports put together: in whatever order, however often, whatever is lost, the last word on each server counts.

use config::Address;
use feed::limits;
use feed::report::Groups;
use proptest::prelude::*;

use super::*;

/// A life told report by report: what exists is listed in full ones, what changed in the others.
fn life(epoch: u64) -> impl Strategy<Value = Vec<Report>> {
    let server = (0..3u8, 0..4u8, 0..50u64);
    let one = (any::<bool>(), prop::collection::vec(server, 0..6));
    prop::collection::vec(one, 1..8).prop_map(move |told| {
        let numbered = told.into_iter().zip(1..);
        numbered.map(|((full, servers), seq)| report(epoch, seq, full, &servers)).collect()
    })
}

fn address(net: usize, n: usize) -> Address {
    format!("10.{net}.{}.{}:{}", n >> 16, n >> 8 & 255, (n & 255) + 1).parse().unwrap()
}

fn report(epoch: u64, seq: u64, full: bool, servers: &[(u8, u8, u64)]) -> Report {
    let mut groups = Groups::new();
    for (group, number, requests) in servers {
        let none = || GroupReport { version: None, active_tier: Tier::Primary, servers: Vec::new() };
        let group = groups.entry(GroupId::new("shop", &format!("g{group}"))).or_insert_with(|| none().into());
        let group = Arc::make_mut(group);
        let address = address(0, (*number).into());
        if group.servers.iter().all(|server| server.address != address) {
            let server = server("line", ServerState::Up, seq * 100 + requests);
            group.servers.push(ServerReport { address, ..server });
        }
    }
    let extent = if full { Extent::Full } else { Extent::Changes };
    Report { groups, ..super::report("p/1", (epoch, seq), extent, Vec::new()) }
}

fn absorbed(reports: &[Report]) -> Fleet {
    let mut fleet = Fleet::default();
    for report in reports {
        fleet.absorb(report.clone(), second(0));
    }
    fleet
}

/// What a status shows of a group but rates, which are made of when reports come.
#[derive(Debug, PartialEq)]
struct Picture {
    id: GroupId,
    complete: bool,
    tier: Tier,
    version: Option<Revision>,
    servers: Vec<(ServerKey, ServerSum)>,
}

/// All groups.
fn picture(fleet: &Fleet) -> Vec<Picture> {
    let of_group = |id: &GroupId| {
        let view = fleet.view(id);
        let servers = view.servers().map(|(key, sum)| (key.clone(), sum)).collect();
        let told = &view.standings[0];
        // Without a tier it is a group of a former life, whose requests stay counted.
        let (tier, version) = (told.tier?, told.version);
        Some(Picture { id: id.clone(), complete: view.complete, tier, version, servers })
    };
    fleet.groups.keys().filter_map(of_group).collect()
}

fn requests(fleet: &Fleet) -> Vec<(String, u64)> {
    let of_group = |Picture { id, servers, .. }: Picture| {
        servers.into_iter().map(move |((_, address), sum)| (format!("{id} {address}"), sum.requests))
    };
    picture(fleet).into_iter().flat_map(of_group).collect()
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
        let told = picture(&absorbed(&told));
        let mut fleet = absorbed(&shuffled);
        prop_assert_eq!(&told, &picture(&fleet));
        for report in shuffled {
            prop_assert_eq!(fleet.absorb(report, second(0)), Absorbed::Nothing);
        }
        prop_assert_eq!(&told, &picture(&fleet));
    }

    #[test]
    fn a_full_report_makes_good_what_was_lost(told in life(7), lost in any::<u64>(), last in 100..200u64) {
        let full = report(7, last, true, &[(0, 0, 1), (1, 1, 2)]);
        let heard = told.iter().enumerate().filter(|(at, _)| lost >> at & 1 == 0).map(|(_, report)| report.clone());
        let heard: Vec<_> = heard.chain([full.clone()]).collect();
        let all: Vec<_> = told.into_iter().chain([full.clone()]).collect();
        prop_assert_eq!(picture(&absorbed(&heard)), picture(&absorbed(&all)));
        prop_assert_eq!(picture(&absorbed(&heard)), picture(&absorbed(&[full])));
    }
}

#[test]
fn at_the_bound_of_an_instance_what_is_new_has_the_room_of_what_is_gone() {
    // The group is an entry, too.
    let count = limits::REPORTED_SERVERS - 1;
    let full = |seq: u64, net: usize| {
        let servers =
            (0..count).map(|n| ServerReport { address: address(net, n), ..server("line", ServerState::Up, 0) });
        super::report("p/1", (7, seq), Extent::Full, servers.collect())
    };
    let mut fleet = Fleet::default();
    assert_eq!(fleet.absorb(full(1, 1), second(0)), Absorbed::NewLife);
    assert_eq!(fleet.absorb(full(2, 2), second(0)), Absorbed::News);
    let view = fleet.view(&id());
    assert_eq!(view.servers().count(), count);
    assert!(view.servers().all(|((_, address), _)| address.to_string().starts_with("10.2.")));
}

#[test]
fn a_new_life_begins_anew_and_the_old_one_is_not_heard_again() {
    let mut fleet = Fleet::default();
    let mut absorb = |report| fleet.absorb(report, second(0));
    assert_eq!(absorb(report(7, 1, true, &[(0, 0, 5)])), Absorbed::NewLife);
    assert_eq!(absorb(report(7, 2, false, &[(0, 1, 5)])), Absorbed::News);
    assert_eq!(absorb(report(8, 1, false, &[(0, 2, 5)])), Absorbed::NewLife);
    assert_eq!(absorb(report(7, 3, true, &[(0, 0, 9)])), Absorbed::Nothing);
    assert_eq!(requests(&fleet), [("shop/g0 10.0.0.0:3".to_owned(), 105)]);
    assert!(!fleet.view(&GroupId::new("shop", "g0")).complete, "a missing server means nothing yet");
}
