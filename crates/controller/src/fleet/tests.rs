use config::{Revision, Tier};
use feed::report::{Counters, GroupReport, ServerReport, ServerState};

use super::*;

mod model;
mod order;

const GROUP: &str = "shop/app";

fn id() -> GroupId {
    GROUP.parse().unwrap()
}

fn version(text: &str) -> Revision {
    Revision::of(text.as_bytes())
}

fn server(name: &str, state: ServerState, requests: u64) -> ServerReport {
    ServerReport {
        name: name.into(),
        address: "10.0.0.1:80".parse().unwrap(),
        state,
        effective_weight: 1,
        active: 1,
        counters: Counters { requests, ejections: requests / 2, ..Counters::default() },
        last_failure: None,
    }
}

fn report(instance: &str, (epoch, seq): (u64, u64), extent: Extent, servers: Vec<ServerReport>) -> Report {
    let group = GroupReport { version: Some(version("1")), active_tier: Tier::Primary, servers };
    Report {
        instance: instance.into(),
        epoch,
        seq,
        extent,
        revision: version("all"),
        age: Millis(0),
        scope: Scope::All,
        zone: None,
        rejected: BTreeMap::new(),
        groups: [(id(), group.into())].into(),
    }
}

fn up(instance: &str, at: (u64, u64), requests: u64) -> Report {
    report(instance, at, Extent::Full, vec![server("a", ServerState::Up, requests)])
}

fn key(name: &str) -> ServerKey {
    (name.into(), "10.0.0.1:80".parse().unwrap())
}

const fn second(n: u64) -> Millis {
    Millis::from_secs(n)
}

#[test]
fn sums_are_those_of_all_who_live() {
    let mut fleet = Fleet::default();
    fleet.absorb(up("p/1", (1, 1), 100), second(0));
    fleet.absorb(report("p/2", (1, 1), Extent::Full, vec![server("a", ServerState::Ejected, 50)]), second(20));
    let sum = fleet.view(&id()).server(&key("a"));
    assert_eq!((sum.up, sum.ejected, sum.requests, sum.active), (1, 1, 150, 2));
    fleet.take_changed();

    fleet.expire(Millis(MEMORY.0 - 1));
    assert_eq!((fleet.len(), fleet.take_changed()), (2, Changed::default()));
    fleet.expire(MEMORY);
    assert_eq!((fleet.len(), fleet.view(&id()).server(&key("a")).requests), (1, 50));
    assert!(fleet.take_changed().fleet);
    fleet.expire(second(100));
    assert!(fleet.is_empty() && fleet.groups.is_empty() && fleet.entries == 0);
}

#[test]
fn who_is_concerned_follows_from_the_scope() {
    let mut fleet = Fleet::default();
    for (name, scope) in [
        ("p/all", Scope::All),
        ("p/other", Scope::Namespaces(["pay".into()].into())),
        ("p/sidecar", Scope::Groups([id()].into())),
    ] {
        let report = Report { scope, groups: BTreeMap::new(), ..up(name, (1, 1), 0) };
        fleet.absorb(report, second(0));
    }
    fleet.absorb(up("p/all", (1, 2), 0), second(0));
    let view = fleet.view(&id());
    let told: Vec<_> = view.standings.iter().map(|one| (&**one.instance, one.version)).collect();
    assert_eq!(told, [("p/all", Some(version("1"))), ("p/sidecar", None)]);
}

#[test]
fn a_rate_survives_restarts_and_is_not_made_of_the_past() {
    let mut fleet = Fleet::default();
    let mut rate = |at: u64, report: Report| {
        fleet.absorb(report, second(at));
        fleet.view(&id()).rate()
    };
    // A leader that comes new hears of a million old requests.
    assert!(rate(0, up("p/1", (1, 7), 1_000_000)).abs() < 0.01);
    assert!((rate(10, up("p/1", (1, 8), 1_000_500)) - 50.0).abs() < 0.01);
    // A report at once after another says nothing yet of rates.
    assert!((rate(11, up("p/1", (1, 9), 1_000_600)) - 50.0).abs() < 0.01);
    assert!((rate(20, up("p/1", (1, 10), 1_001_000)) - 50.0).abs() < 0.01);
    // The data plane begins anew and counts from zero.
    assert!((rate(30, up("p/1", (2, 1), 200)) - 20.0).abs() < 0.01);
    assert!((rate(40, up("p/1", (1, 11), 9_999_999)) - 20.0).abs() < 0.01, "a late report of the former life");
}

#[test]
fn changes_are_said_and_mere_counters_are_not() {
    let mut fleet = Fleet::default();
    fleet.absorb(up("p/1", (1, 1), 1), second(0));
    fleet.take_changed();
    fleet.absorb(up("p/1", (1, 2), 9), second(10));
    assert_eq!(fleet.take_changed(), Changed::default());
    fleet.absorb(report("p/1", (1, 3), Extent::Changes, vec![server("a", ServerState::Ejected, 9)]), second(11));
    assert_eq!(fleet.take_changed(), Changed { fleet: false, groups: [id()].into() });
    let rejected = [("group/shop/app".to_owned(), Rejected { version: version("2"), problem: "no".into() })];
    fleet.absorb(Report { rejected: rejected.into(), ..up("p/1", (1, 4), 9) }, second(12));
    assert!(fleet.take_changed().fleet);
}

#[test]
fn memory_is_bounded() {
    let mut fleet = Fleet::default();
    for n in 0..INSTANCES {
        fleet.absorb(Report { groups: BTreeMap::new(), ..up(&format!("p/{n}"), (1, 1), 0) }, second(0));
    }
    assert_eq!(fleet.absorb(up("p/late", (1, 1), 0), second(0)), Absorbed::NoRoom);
    assert_eq!(fleet.len(), INSTANCES);

    let mut fleet = Fleet { entries: ENTRIES - 2, ..Fleet::default() };
    let servers = ["a", "b", "c"].map(|name| server(name, ServerState::Up, 0)).into();
    assert_eq!(fleet.absorb(report("p/1", (1, 1), Extent::Full, servers), second(0)), Absorbed::NoRoom);
    assert_eq!((fleet.view(&id()).servers().count(), fleet.entries), (1, ENTRIES));
}

#[test]
fn sidecars_leave_room_for_ingresses() {
    let scope = || Scope::Namespaces(["shop".into()].into());
    let mut fleet = Fleet::default();
    let invented = (0..=INSTANCES).map(|n| {
        let report = Report { scope: scope(), groups: BTreeMap::new(), ..up(&format!("shop/{n}"), (1, 1), 0) };
        fleet.absorb(report, second(0))
    });
    assert_eq!(invented.filter(|absorbed| *absorbed == Absorbed::NewLife).count(), INSTANCES * 3 / 4);
    assert_eq!(fleet.absorb(up("p/1", (1, 1), 0), second(0)), Absorbed::NewLife);

    let mut fleet = Fleet { entries: ENTRIES * 3 / 4, ..Fleet::default() };
    assert_eq!(fleet.absorb(Report { scope: scope(), ..up("shop/1", (1, 1), 0) }, second(0)), Absorbed::NoRoom);
    assert_eq!(fleet.absorb(up("p/1", (1, 1), 0), second(0)), Absorbed::NewLife);
    assert_eq!(fleet.view(&id()).server(&key("a")).up, 1);
}

#[test]
fn at_a_bound_what_is_new_has_the_room_of_what_is_gone() {
    let mut fleet = Fleet::default();
    let servers = |names: [&str; 2], requests| names.map(|name| server(name, ServerState::Up, requests)).into();
    fleet.absorb(report("p/1", (1, 1), Extent::Full, servers(["a", "b"], 100)), second(0));
    fleet.entries = ENTRIES;
    fleet.absorb(report("p/1", (1, 2), Extent::Full, servers(["b", "c"], 180)), second(10));
    let view = fleet.view(&id());
    let names: Vec<_> = view.servers().map(|((name, _), _)| &**name).collect();
    assert_eq!(names, ["b", "c"]);
    assert!((view.rate() - 26.0).abs() < 0.01, "80 of b, which stayed, and 180 of c, which is new");
    assert_eq!(fleet.entries, ENTRIES);
}

#[test]
fn implicit_groups_have_no_status_and_are_not_kept() {
    let mut fleet = Fleet::default();
    let mut report = up("p/1", (1, 1), 1);
    let group = report.groups.remove(&id()).unwrap();
    report.groups.insert(GroupId::for_service("shop", "web", "80"), group);
    fleet.absorb(report, second(0));
    assert_eq!((fleet.entries, fleet.len()), (0, 1));
}
