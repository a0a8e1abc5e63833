//! What a status says.

use api::{ActiveTier, ConditionType, ServerState as Shown};
use config::Availability;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use proptest::prelude::*;

use super::*;
use crate::fleet::Fleet;
use crate::status::render::{Difference, Hearing, Known, Publication, Rendered, difference, ours, render};

const BUSY: (ServerState, u64) = (ServerState::Busy, 0);

pub fn fleet(reports: Vec<Report>) -> Fleet {
    let mut fleet = Fleet::default();
    for report in reports {
        fleet.absorb(report, Millis(0));
    }
    fleet
}

pub fn rendered(
    facts: &GroupFacts,
    fleet: &Fleet,
    publication: Publication,
    previous: Option<&UpstreamGroupStatus>,
    at: i64,
) -> Option<Rendered> {
    let now = Timestamp::from_second(at).unwrap();
    render(Known { facts, view: &fleet.view(&id()), hearing: Hearing::Done, publication, previous, now })
}

fn status_of(
    facts: &GroupFacts,
    fleet: &Fleet,
    publication: Publication,
    previous: Option<&UpstreamGroupStatus>,
    at: i64,
) -> Option<UpstreamGroupStatus> {
    rendered(facts, fleet, publication, previous, at).map(|rendered| rendered.status)
}

fn settled(facts: &GroupFacts, reports: Vec<Report>) -> UpstreamGroupStatus {
    status_of(facts, &fleet(reports), Publication::Settled, None, 1).unwrap()
}

fn message(status: &UpstreamGroupStatus, name: &str) -> String {
    status.conditions.iter().find(|one| one.type_ == name).map(|one| one.message.clone()).unwrap_or_default()
}

fn refused(code: config::Code, field: &str, message: &str) -> GroupFacts {
    let problem = Diagnostic::new(code, Severity::Error, message).field(field).hint("mend it");
    GroupFacts { diagnostics: vec![problem], ..facts(2, servers(1)) }
}

#[test]
fn programmed_says_who_lags() {
    let programmed = |reports| settled(&facts(1, servers(1)), reports);
    let none = programmed(vec![]);
    assert_eq!(condition(&none, "Programmed"), ("Unknown", "Pending"));
    let all = programmed(vec![report("p/1", 1, "v1", &[UP]), report("p/2", 1, "v1", &[UP])]);
    assert_eq!(condition(&all, "Programmed"), ("True", "Programmed"));
    assert_eq!(all.data_planes.as_ref().unwrap().ready, "2/2");
    let some = programmed(vec![report("p/1", 1, "v1", &[UP]), report("p/2", 1, "v0", &[UP])]);
    assert_eq!(condition(&some, "Programmed"), ("False", "Pending"));
    assert_eq!(message(&some, "Programmed"), "1 of 2 data planes run this version; waiting for p/2");
    let elsewhere = Report {
        scope: Scope::Namespaces(["pay".into()].into()),
        groups: BTreeMap::new(),
        ..report("p/9", 1, "v0", &[])
    };
    let told = programmed(vec![report("p/1", 1, "v1", &[UP]), elsewhere]);
    assert_eq!(told.data_planes.unwrap().ready, "1/1", "who does not serve the group does not count");
}

#[test]
fn endpoints_that_come_and_go_do_not_flap_programmed() {
    let (facts, late) = (facts(1, servers(1)), fleet(vec![report("p/1", 1, "v0", &[UP])]));
    let good = settled(&facts, vec![report("p/1", 1, "v1", &[UP])]);
    let fresh = status_of(&facts, &late, Publication::Fresh, Some(&good), 2).unwrap();
    assert_eq!(condition(&fresh, "Programmed"), ("True", "Programmed"));
    let settled = status_of(&facts, &late, Publication::Settled, Some(&good), 2).unwrap();
    assert_eq!(condition(&settled, "Programmed"), ("False", "Pending"));
    let edited = GroupFacts { generation: 2, ..facts };
    let edited = status_of(&edited, &late, Publication::Fresh, Some(&good), 2).unwrap();
    assert_eq!(condition(&edited, "Programmed"), ("False", "Pending"), "a new generation is not yet programmed");
}

#[test]
fn a_refused_spec_says_what_serves_meanwhile() {
    let facts = refused(codes::VALUE, "spec.servers[0].weight", "is too much");
    let status = settled(&facts, vec![report("p/1", 1, "v1", &[UP])]);
    assert_eq!(condition(&status, "Accepted"), ("False", "Invalid"));
    let said = "spec.servers[0].weight: is too much (mend it) [FB3103]; the last good version keeps serving";
    assert_eq!(message(&status, "Accepted"), said);
    assert_eq!(condition(&status, "ResolvedRefs"), ("Unknown", "Pending"));
    assert_eq!(condition(&status, "Programmed"), ("False", "Stale"));
    assert_eq!(condition(&status, "Available"), ("True", "Available"));
    let never = GroupFacts { published: None, ..refused(codes::NOT_YET, "spec.protocol", "is not spoken yet") };
    let mut has_nothing = report("p/1", 1, "v1", &[UP]);
    has_nothing.groups.clear();
    let nobody = settled(&never, vec![has_nothing.clone()]);
    assert_eq!(condition(&nobody, "Accepted"), ("False", "UnsupportedCombination"));
    assert!(message(&nobody, "Accepted").ends_with("nothing is served for this group"));
    assert_eq!(condition(&nobody, "Available"), ("False", "NoEligibleServer"));

    // A controller that has just started knows nothing of the version before, and data planes keep it.
    has_nothing.instance = "p/2".into();
    let held = settled(&never, vec![report("p/1", 1, "v1", &[UP]), has_nothing]);
    assert!(message(&held, "Accepted").ends_with("; the version that data planes have from before keeps serving"));
    assert_eq!(condition(&held, "Programmed"), ("False", "Stale"));
    assert!(message(&held, "Programmed").contains("; 1 of 2 data planes has the version from before this controller"));
    assert_eq!(condition(&held, "Available"), ("Unknown", "Pending"));
}

#[test]
fn a_lost_reference_has_the_reason_of_the_worst() {
    let mut facts = facts(1, servers(1));
    let say = |code, severity| Diagnostic::new(code, severity, "said").field("spec.servers[0].service");
    for (code, severity, reason) in [
        (codes::NO_ADDRESSES, Severity::Warning, "ResolutionFailed"),
        (codes::NO_ENDPOINTS, Severity::Note, "NoEndpoints"),
        (codes::EXTERNAL_NAME, Severity::Warning, "RefNotPermitted"),
        (codes::PORT_MISSING, Severity::Warning, "PortNotFound"),
        (codes::SERVICE_MISSING, Severity::Warning, "ServiceNotFound"),
    ] {
        facts.diagnostics.push(say(code, severity));
        let status = settled(&facts, vec![report("p/1", 1, "v1", &[UP])]);
        assert_eq!(condition(&status, "ResolvedRefs"), ("False", reason));
        assert_eq!(condition(&status, "Accepted"), ("True", "Accepted"));
    }
    let status = settled(&facts, vec![]);
    assert!(message(&status, "ResolvedRefs").ends_with("; and 2 more"));
}

#[test]
fn a_server_is_as_the_fleet_sees_it() {
    let mut lines = servers(6);
    (lines[3].availability, lines[4].availability) = (Availability::Down, Availability::Drain);
    let facts = facts(1, lines);
    let first = report("p/1", 1, "v1", &[UP, OUT, BUSY, OUT, UP]);
    let second = report("p/2", 1, "v1", &[OUT, OUT, BUSY, OUT, UP]);
    let status = settled(&facts, vec![first, second]);
    let shown: Vec<_> = status.servers.iter().map(|one| (one.name.as_str(), one.state, one.up_on.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("s1", Shown::Unavailable, "0/2"),
            ("s5", Shown::Unknown, "0/2"),
            ("s2", Shown::Full, "2/2"),
            ("s3", Shown::Down, "0/2"),
            ("s4", Shown::Draining, "2/2"),
            ("s0", Shown::Up, "1/2"),
        ]
    );
    assert_eq!(status.summary.unwrap().ready, "1/6");
}

/// Two of three zones have data planes.
#[test]
fn a_server_counts_where_it_is_used() {
    let mut line = servers(3);
    for (server, zone) in line.iter_mut().zip(["a", "b", "c"]) {
        (server.name, server.for_zones) = ("app".into(), vec![zone.into()]);
    }
    let tells = |instance: &str, zone: Option<&str>, states: &[Option<ServerState>]| {
        let mut report = report(instance, 1, "v1", &[]);
        report.zone = zone.map(Into::into);
        let told = line.iter().zip(states).filter_map(|(server, state)| {
            let (name, address, state) = (server.name.clone(), server.address.clone(), (*state)?);
            let counters = Counters { requests: 1, ..Counters::default() };
            Some(ServerReport { name, address, state, effective_weight: 1, active: 0, counters, last_failure: None })
        });
        report.groups.values_mut().for_each(|group| Arc::make_mut(group).servers = told.clone().collect());
        report
    };
    let facts = facts(1, line.clone());
    let shown = |reports| {
        let status = settled(&facts, reports);
        let servers: Vec<_> =
            status.servers.iter().map(|one| format!("{} {:?} {}", one.address, one.state, one.up_on)).collect();
        (status.summary.as_ref().unwrap().ready.clone(), servers)
    };
    let (up, out) = (Some(ServerState::Up), Some(ServerState::Ejected));
    let zones =
        vec![tells("p/1", Some("a"), &[up]), tells("p/2", Some("a"), &[up]), tells("p/3", Some("b"), &[None, up])];
    let two = ("2/2".to_owned(), vec!["10.0.0.1:80 Up 1/1".to_owned(), "10.0.0.0:80 Up 2/2".to_owned()]);
    assert_eq!(shown(zones.clone()), two);
    // What one of them was told last had no hints.
    let late = vec![zones[0].clone(), zones[1].clone(), tells("p/3", Some("b"), &[up, up, up])];
    assert_eq!(shown(late), two);
    // The sessions that a data plane of another zone keeps there are no use of it.
    let sticky = vec![zones[0].clone(), zones[1].clone(), tells("p/3", Some("b"), &[Some(ServerState::Draining), up])];
    assert_eq!(shown(sticky), two);
    // Out where it is used is out.
    let ejected = vec![zones[0].clone(), zones[1].clone(), tells("p/3", Some("b"), &[None, out])];
    let expected = vec!["10.0.0.1:80 Unavailable 0/1".to_owned(), "10.0.0.0:80 Up 2/2".to_owned()];
    assert_eq!(shown(ejected), ("1/2".to_owned(), expected));
    // Somewhere, or before zones were known: everybody is used there.
    let anywhere = [zones.as_slice(), &[tells("p/4", None, &[up, up, up])]].concat();
    let expected = ["10.0.0.2:80 Up 1/1", "10.0.0.1:80 Up 2/2", "10.0.0.0:80 Up 3/3"].map(str::to_owned);
    assert_eq!(shown(anywhere), ("3/3".to_owned(), expected.to_vec()));
    assert_eq!(shown(vec![]).0, "0/3");
}

#[test]
fn a_version_that_waits_for_its_dns_names_says_so() {
    let awaited = Diagnostic::new(codes::NO_ADDRESSES, Severity::Note, "a.example is not resolved yet");
    let mut edited = facts(2, servers(1));
    edited.diagnostics = vec![awaited];
    let status = settled(&edited, vec![report("p/1", 1, "v1", &[UP])]);
    assert_eq!((condition(&status, "Accepted").0, condition(&status, "ResolvedRefs").0), ("True", "False"));
    let said = "this generation waits for its DNS names, so data planes run the one before; see ResolvedRefs";
    assert_eq!(condition(&status, "Programmed"), ("False", "Stale"));
    assert_eq!(message(&status, "Programmed"), said);
}

#[test]
fn backups_and_the_end_of_all_servers_are_said() {
    let facts = facts(1, servers(2));
    let mut on_backup = report("p/2", 1, "v1", &[OUT, UP]);
    on_backup.groups.values_mut().for_each(|group| Arc::make_mut(group).active_tier = Tier::Backup);
    let status = settled(&facts, vec![report("p/1", 1, "v1", &[UP, UP]), on_backup]);
    assert_eq!(condition(&status, "UsingBackup"), ("True", "BackupServers"));
    assert_eq!(message(&status, "UsingBackup"), "no primary server can be picked on 1 of 2 data planes");
    assert_eq!(status.summary.unwrap().active_tier, ActiveTier::Backup);

    let down = settled(&facts, vec![report("p/1", 1, "v1", &[OUT, OUT])]);
    assert_eq!(condition(&down, "Available"), ("False", "NoEligibleServer"));
    let said = "no server takes requests; out after failures: s0 10.0.0.0:80, s1 10.0.0.1:80";
    assert_eq!(message(&down, "Available"), said);
    assert_eq!(down.summary.unwrap().active_tier, ActiveTier::None);
}

#[test]
fn a_long_list_is_cut_after_the_worst() {
    let mut states = vec![UP; 100];
    states[90] = OUT;
    let status = settled(&facts(1, servers(100)), vec![report("p/1", 1, "v1", &states)]);
    assert_eq!((status.servers.len(), status.truncated, status.servers[0].name.as_str()), (64, Some(36), "s90"));
    assert!(serde_json::to_vec(&status).unwrap().len() < 64 << 10);
}

#[test]
fn what_others_wrote_is_neither_claimed_nor_a_difference() {
    let facts = facts(1, servers(1));
    let status = settled(&facts, vec![report("p/1", 1, "v1", &[UP])]);
    let foreign = Condition {
        type_: "Audited".into(),
        status: "True".into(),
        reason: "ByHand".into(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    };
    let mut merged = status.clone();
    merged.conditions.insert(0, foreign);
    assert_eq!((ours(&merged), difference(Some(&merged), &status)), (status.clone(), Difference::None));
    let again = status_of(&facts, &fleet(vec![report("p/1", 1, "v1", &[UP])]), Publication::Settled, Some(&merged), 9);
    assert_eq!(again, Some(status), "nor do transition times move");
}

#[test]
fn an_older_generation_says_nothing() {
    let newer = settled(&facts(3, servers(1)), vec![]);
    assert_eq!(status_of(&facts(2, servers(1)), &Fleet::default(), Publication::Settled, Some(&newer), 9), None);
}

fn states() -> impl Strategy<Value = Vec<(ServerState, u64)>> {
    let state = prop_oneof![Just(ServerState::Up), Just(ServerState::Ejected), Just(ServerState::Busy)];
    prop::collection::vec((state, 0..100_000_u64), 0..8)
}

proptest! {
    /// In whatever order data planes report, and whatever the replica knew before: the same facts give the same bytes.
    #[test]
    fn identical_facts_give_identical_bytes(
        told in prop::collection::vec(states(), 0..5),
        order in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let facts = facts(1, servers(8));
        let reports: Vec<_> =
            told.iter().enumerate().map(|(n, states)| report(&format!("p/{n}"), 3, "v1", states)).collect();
        let mut shuffled = reports.clone();
        if !shuffled.is_empty() {
            let by = order.index(shuffled.len());
            shuffled.rotate_left(by);
        }
        // One replica also heard earlier reports.
        if let Some(first) = told.first() {
            let early: Vec<_> = first.iter().map(|(_, requests)| (ServerState::Up, requests ^ seed & 1)).collect();
            shuffled.insert(0, report("p/0", 1, "v0", &early));
        }
        let one = settled(&facts, reports);
        let other = settled(&facts, shuffled);
        prop_assert_eq!(serde_json::to_vec(&one).unwrap(), serde_json::to_vec(&other).unwrap());
        let fleet = fleet(told.iter().enumerate().map(|(n, states)| report(&format!("p/{n}"), 3, "v1", states)).collect());
        let again = status_of(&facts, &fleet, Publication::Settled, Some(&one), 99).unwrap();
        prop_assert_eq!(difference(Some(&one), &again), Difference::None);
        let types: Vec<_> = one.conditions.iter().map(|condition| condition.type_.clone()).collect();
        prop_assert_eq!(types, ConditionType::ALL.map(|one| one.to_string()).to_vec());
        for condition in &one.conditions {
            let r#type = ConditionType::ALL.into_iter().find(|one| one.to_string() == condition.type_).unwrap();
            prop_assert!(r#type.reasons().iter().any(|reason| reason.to_string() == condition.reason));
        }
    }
}
