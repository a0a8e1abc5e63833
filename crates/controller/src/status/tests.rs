//! What is written about groups and Ingresses, and when, under a virtual clock.

mod counts;
mod outage;
mod rendering;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::UpstreamGroupStatus;
use config::{Diagnostic, Group, GroupId, Millis, Revision, Server, Severity, Tier};
use feed::Scope;
use feed::report::{Counters, Extent, GroupReport, Rejected, Report, ServerReport, ServerState};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;
use prometheus::Registry;
use tokio::sync::watch;
use translate::codes;

use super::budget::Limits;
use super::desk::Desk;
use super::metrics::StatusMetrics;
use super::writer::{Outcome, Status, Write};
use super::{Options, Sources};
use crate::clock::Clock;
use crate::events::{EventReason, Journal};
use crate::facts::{Facts, GroupFacts, IngressFacts, PublishedGroup};
use crate::fleet::Reports;

fn id() -> GroupId {
    GroupId::new("shop", "app")
}

fn servers(count: usize) -> Vec<Server> {
    (0..count).map(|n| Server::new(&format!("s{n}"), format!("10.0.0.{n}:80").parse().unwrap())).collect()
}

fn version(text: &str) -> Revision {
    Revision::of(text.as_bytes())
}

fn facts(generation: i64, servers: Vec<Server>) -> GroupFacts {
    let group = Arc::new(Group::with_defaults(servers));
    GroupFacts {
        uid: "uid-1".into(),
        generation,
        diagnostics: Vec::new(),
        published: Some(PublishedGroup { group, version: version("v1") }),
        status: None,
    }
}

fn report(instance: &str, seq: u64, runs: &str, states: &[(ServerState, u64)]) -> Report {
    let told = states.iter().zip(servers(states.len())).map(|((state, requests), server)| ServerReport {
        name: server.name,
        address: server.address,
        state: *state,
        effective_weight: 1,
        active: 0,
        counters: Counters { requests: *requests, ..Counters::default() },
        last_failure: None,
    });
    let group = GroupReport { version: Some(version(runs)), active_tier: Tier::Primary, servers: told.collect() };
    Report {
        instance: instance.into(),
        epoch: 1,
        seq,
        extent: Extent::Full,
        revision: version("all"),
        age: Millis(0),
        scope: Scope::All,
        zone: None,
        rejected: BTreeMap::new(),
        groups: [(id(), group.into())].into(),
    }
}

/// A leader's desk and the cluster it writes to.
struct Office {
    desk: Desk,
    journal: Journal,
    facts: Arc<Facts>,
    reports: Reports,
    now: u64,
    /// When the next event is taken out of the journal, in seconds.
    reads_at: u64,
}

impl Office {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    fn with(publish_addresses: Vec<String>) -> Self {
        let (facts, reports) = (Arc::new(Facts::default()), Reports::new(Clock::start()));
        let sources =
            Sources { facts: facts.clone(), reports: reports.clone(), leadership: watch::channel(<_>::default()).1 };
        let options = Options { limits: Limits::DEFAULT, publish_addresses, identity: "controller-0".into() };
        let metrics = StatusMetrics::new(&Registry::new()).unwrap();
        let desk = Desk::new(sources, &options, metrics, Millis(0));
        // Further on than anything here lasts; the bounds on what is taken were applied when it happened.
        Self { desk, journal: Journal::new(Millis(0)), facts, reports, now: 0, reads_at: 1_000_000 }
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap() + jiff::SignedDuration::from_secs(self.now.cast_signed())
    }

    fn put(&self, group: GroupFacts) {
        self.facts.update(|board| {
            board.dirty.groups.insert(id());
            board.groups.insert(id(), Arc::new(group));
        });
    }

    fn hear(&self, report: Report) {
        let now = Millis::from_secs(self.now);
        self.reports.with(|fleet| fleet.absorb(report, now));
    }

    /// Lets a second pass; what was written. `echo` says whether the cluster tells of it.
    fn second(&mut self, echo: bool) -> Vec<Write> {
        self.now += 1;
        let now = Millis::from_secs(self.now);
        self.desk.look_around(now, self.wall(), &mut self.journal);
        let mut writes = Vec::new();
        while let Some(write) = self.desk.next(now, self.wall()) {
            self.desk.wrote(write.clone(), Outcome::Written, now, &mut self.journal);
            if echo {
                self.echo(&write);
            }
            writes.push(write);
        }
        writes
    }

    fn seconds(&mut self, count: u64) -> Vec<Write> {
        (0..count).flat_map(|_| self.second(true)).collect()
    }

    fn echo(&self, write: &Write) {
        self.facts.update(|board| match &write.status {
            Status::Group { status, .. } => {
                let mut group = (*board.groups[&id()]).clone();
                group.status = Some(Arc::new((**status).clone()));
                board.groups.insert(id(), Arc::new(group));
                board.dirty.groups.insert(id());
            }
            Status::Ingress { status, .. } => {
                let name = (write.namespace.as_str().into(), write.name.as_str().into());
                let mut ingress = (*board.ingresses[&name]).clone();
                ingress.load_balancer.clone_from(status);
                board.ingresses.insert(name.clone(), Arc::new(ingress));
                board.dirty.ingresses.insert(name);
            }
        });
    }

    fn events(&mut self) -> Vec<(EventReason, String)> {
        let mut told = Vec::new();
        while let Some(event) = self.journal.next(Millis::from_secs(self.reads_at)) {
            told.push((event.reason, event.note));
            self.reads_at += 1;
        }
        told
    }
}

fn group(write: &Write) -> &UpstreamGroupStatus {
    match &write.status {
        Status::Group { status, .. } => status,
        Status::Ingress { .. } => panic!("a group was expected: {write:?}"),
    }
}

fn condition<'a>(status: &'a UpstreamGroupStatus, name: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|one| one.type_ == name).unwrap_or_else(|| panic!("{name}"));
    (&found.status, &found.reason)
}

const UP: (ServerState, u64) = (ServerState::Up, 0);
const OUT: (ServerState, u64) = (ServerState::Ejected, 0);

/// A group that serves well and whose status says so.
fn healthy() -> (Office, UpstreamGroupStatus) {
    let mut office = Office::new();
    office.put(facts(1, servers(2)));
    office.hear(report("p/1", 1, "v1", &[UP, UP]));
    let writes = office.seconds(3);
    assert_eq!(writes.len(), 1);
    let status = group(&writes[0]).clone();
    (office, status)
}

#[test]
fn a_status_is_written_once_and_then_only_when_it_differs() {
    let (mut office, status) = healthy();
    assert_eq!(condition(&status, "Programmed"), ("True", "Programmed"));
    assert_eq!(status.summary.unwrap().ready, "2/2");
    office.hear(report("p/1", 2, "v1", &[UP, UP]));
    assert_eq!(office.seconds(20), [], "its own writes, and reports that say the same, cause none");
}

#[test]
fn a_write_that_the_cluster_has_not_told_of_is_not_repeated() {
    let mut office = Office::new();
    office.put(facts(1, servers(1)));
    office.hear(report("p/1", 1, "v1", &[UP]));
    let writes: Vec<_> = (0..20).flat_map(|_| office.second(false)).collect();
    assert_eq!(writes.len(), 1);
}

#[test]
fn counters_wait_for_their_interval_and_state_does_not() {
    let (mut office, _) = healthy();
    let mut writes = Vec::new();
    for second in 2..62 {
        office.hear(report("p/1", second, "v1", &[(ServerState::Up, second * 1000), UP]));
        writes.extend(office.second(true).iter().map(|write| (office.now, group(write).summary.clone().unwrap())));
    }
    assert!((1..=2).contains(&writes.len()), "{writes:?}");
    office.hear(report("p/1", 70, "v1", &[(ServerState::Ejected, 70_000), UP]));
    let writes = office.seconds(2);
    assert_eq!(group(&writes[0]).summary.as_ref().unwrap().ready, "1/2");
}

#[test]
fn a_new_leader_does_not_say_that_the_silent_are_gone() {
    let (_, status) = healthy();
    let mut office = Office::new();
    let known = GroupFacts { status: Some(Arc::new(status.clone())), ..facts(1, servers(2)) };
    office.put(known);
    assert_eq!(office.seconds(14), []);
    // The one it knew reports in time: nothing to write at all.
    office.hear(report("p/1", 9, "v1", &[UP, UP]));
    assert_eq!(office.seconds(20), []);

    let mut office = Office::new();
    office.put(GroupFacts { status: Some(Arc::new(status)), generation: 2, ..facts(2, servers(2)) });
    let writes = office.seconds(13);
    let first = group(&writes[0]);
    assert_eq!((writes.len(), first.observed_generation), (1, Some(2)), "what needs no data plane is said at once");
    assert_eq!(
        (condition(first, "Accepted"), condition(first, "Available")),
        (("True", "Accepted"), ("True", "Available"))
    );
    let writes = office.seconds(10);
    assert_eq!(condition(group(&writes[0]), "Programmed"), ("Unknown", "Pending"));
    assert_eq!(group(&writes[0]).data_planes.as_ref().unwrap().ready, "0/0");
}

#[test]
fn a_replica_that_does_not_lead_queues_nothing() {
    let mut office = Office::new();
    office.put(facts(1, servers(1)));
    office.desk.look_around(Millis(0), office.wall(), &mut office.journal);
    office.put(facts(2, servers(1)));
    office.desk.stand_down();
    assert_eq!(office.desk.next(Millis(60_000), office.wall()), None);
    assert_eq!(office.facts.take_dirty(), <_>::default());
}

#[test]
fn what_fails_is_tried_again_and_what_is_gone_is_not() {
    for (outcome, quiet, again) in [
        (Outcome::Failed, 5, true),
        (Outcome::TimedOut, 5, true),
        (Outcome::Conflict, 5, true),
        (Outcome::Throttled(9), 9, true),
        (Outcome::Gone, 0, false),
    ] {
        let mut office = Office::new();
        office.put(facts(1, servers(1)));
        office.hear(report("p/1", 1, "v1", &[UP]));
        office.desk.look_around(Millis(0), office.wall(), &mut office.journal);
        let write = office.desk.next(Millis(0), office.wall()).unwrap();
        if outcome == Outcome::Gone {
            office.facts.update(|board| board.groups.clear());
        }
        office.desk.wrote(write, outcome, Millis(0), &mut office.journal);
        let (early, late) = (Millis((quiet * 1000_u64).saturating_sub(1)), Millis(quiet * 1000 + 2_000));
        assert_eq!(office.desk.next(early, office.wall()), None, "{outcome:?}");
        assert_eq!(office.desk.next(late, office.wall()).is_some(), again, "{outcome:?}");
        assert_eq!(office.events(), [], "nothing happened as long as nothing was written");
    }
}

#[test]
fn an_outage_is_one_event_and_a_restart_repeats_none() {
    let mut office = Office::new();
    office.put(facts(1, servers(200)));
    office.hear(report("p/1", 1, "v1", &[UP; 200]));
    office.seconds(3);
    assert_eq!(office.events(), []);
    office.hear(report("p/1", 2, "v1", &[OUT; 200]));
    let writes = office.seconds(3);
    let told = office.events();
    let reasons: Vec<_> = told.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(reasons, [EventReason::GroupDown, EventReason::ServersEjected]);
    assert!(told[1].1.ends_with("; and 195 more"), "{}", told[1].1);

    let mut after = Office::new();
    after.put(GroupFacts { status: Some(Arc::new(group(&writes[0]).clone())), ..facts(1, servers(200)) });
    after.hear(report("p/1", 3, "v1", &[OUT; 200]));
    after.seconds(30);
    assert_eq!(after.events(), []);
    after.hear(report("p/1", 4, "v1", &[UP; 200]));
    after.seconds(3);
    let reasons: Vec<_> = after.events().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, [EventReason::GroupRecovered, EventReason::ServersRestored]);
}

#[test]
fn a_flapping_group_is_not_told_for_ever() {
    let (mut office, _) = healthy();
    for second in 2..400 {
        let state = if second % 3 == 0 { OUT } else { UP };
        office.hear(report("p/1", second, "v1", &[state, state]));
        office.second(true);
    }
    let told = office.events().len();
    assert!((8..40).contains(&told), "{told}");
}

#[test]
fn a_refusal_names_who_and_why() {
    let (mut office, _) = healthy();
    let rejected = Rejected { version: version("v1"), problem: "unknown method \"Best\"".into() };
    let rejected = [("group/shop/app".to_owned(), rejected)].into();
    office.hear(Report { rejected, ..report("p/2", 1, "v0", &[UP, UP]) });
    let writes = office.seconds(3);
    let status = group(writes.last().unwrap());
    assert_eq!(condition(status, "Programmed"), ("False", "Rejected"));
    let (reason, note) = office.events().pop().unwrap();
    assert_eq!(reason, EventReason::DataPlanesRefuse);
    assert_eq!(note, "1 of 2 data planes refuses this version and keep what they had: p/2: unknown method \"Best\"");
}

#[test]
fn an_ingress_is_told_where_clients_reach_it() {
    let ip = |ip: &str| IngressLoadBalancerIngress { ip: Some(ip.into()), ..<_>::default() };
    let name = (Arc::<str>::from("shop"), Arc::<str>::from("web"));
    let ingress = IngressFacts { uid: "uid-2".into(), diagnostics: Vec::new(), load_balancer: Vec::new() };
    let mut office = Office::new();
    office.facts.update(|board| {
        board.ingresses.insert(name.clone(), Arc::new(ingress));
        board.dirty.ingresses.insert(name.clone());
    });
    assert_eq!(office.seconds(20), [], "without anything to say nothing is written");
    office.facts.update(|board| board.load_balancer = Some(vec![ip("192.0.2.1")]));
    let writes = office.seconds(20);
    assert!(
        matches!(&writes[..], [Write { status: Status::Ingress { status, .. }, .. }] if *status == [ip("192.0.2.1")])
    );

    // A problem is told once for as long as it is one.
    let problem = Diagnostic::new(codes::SECRET_MISSING, Severity::Warning, "Secret shop/tls does not exist");
    office.facts.update(|board| {
        let mut ingress = (*board.ingresses[&name]).clone();
        ingress.diagnostics = vec![problem.clone(), Diagnostic::new(codes::FOREIGN_ANNOTATIONS, Severity::Note, "")];
        board.ingresses.insert(name.clone(), Arc::new(ingress));
        board.dirty.ingresses.insert(name.clone());
    });
    office.seconds(40);
    let told = office.events();
    assert_eq!(told, [(EventReason::SecretUnusable, "Secret shop/tls does not exist [FB4007]".to_owned())]);

    let mut given = Office::with(vec!["lb.example".into()]);
    given.facts.update(|board| {
        *board = office.facts.read(Clone::clone);
        board.dirty.ingresses.insert(name.clone());
    });
    assert_eq!(given.seconds(20).len(), 1, "an address that was given counts for more than a Service");
}
