//! A hundred data planes with ten thousand servers each fit into a part of the controller's 150 MiB. A process of its own, so
//! that what it takes is what the fleet takes.

use std::collections::BTreeMap;

use config::{GroupId, Millis, Revision, Tier};
use controller::fleet::Fleet;
use feed::Scope;
use feed::report::{Counters, Extent, GroupReport, LastFailure, Report, ServerReport, ServerState};

const DATA_PLANES: u64 = 100;
const GROUPS: u64 = 1_000;
const SERVERS: u64 = 10;

/// What two thirds of a million entries more or less may take besides: the allocator's slack.
const AT_MOST: u64 = 80 << 20;

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says what a process takes");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("among it the resident memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("in kB") * 1024
}

fn report(data_plane: u64, seq: u64) -> Report {
    let server = |group: u64, n: u64| ServerReport {
        name: format!("server-{n}").into(),
        address: format!("10.{}.{}.{n}:8080", group / 250, group % 250).parse().expect("an address"),
        state: ServerState::Up,
        effective_weight: 1,
        active: 3,
        counters: Counters {
            requests: 1_000 * seq,
            failures: BTreeMap::from([("connect".into(), seq)]),
            ..Counters::default()
        },
        last_failure: Some(LastFailure { reason: "connect".into(), at: seq }),
    };
    let group = |n: u64| {
        let servers = (0..SERVERS).map(|server_number| server(n, server_number)).collect();
        let group = GroupReport { version: None, active_tier: Tier::Primary, servers };
        (GroupId::new("shop", &format!("app-{n}")), group.into())
    };
    Report {
        instance: format!("forebay/forebay-proxy-{data_plane}").into(),
        epoch: 1,
        seq,
        extent: Extent::Full,
        revision: Revision::of(b""),
        age: Millis(0),
        scope: Scope::All,
        zone: None,
        rejected: BTreeMap::new(),
        groups: (0..GROUPS).map(group).collect(),
    }
}

#[test]
fn a_large_fleet_fits() {
    let mut fleet = Fleet::default();
    // One report makes the allocator's arena as large as it needs to be for reports themselves.
    fleet.absorb(report(0, 1), Millis(0));
    let before = resident();
    for data_plane in 0..DATA_PLANES {
        fleet.absorb(report(data_plane, 2), Millis(10_000));
    }
    let taken = resident().saturating_sub(before);
    println!("{} MiB for {} entries", taken >> 20, DATA_PLANES * GROUPS * SERVERS);
    let view = fleet.view(&GroupId::new("shop", "app-0"));
    assert_eq!(view.servers().map(|(_, sum)| u64::from(sum.up)).sum::<u64>(), DATA_PLANES * SERVERS);
    assert!(taken < AT_MOST, "{} MiB", taken >> 20);
}
