//! What a report says: the live picture in the terms of the feed.

use std::collections::BTreeMap;

use config::{GroupId, Resource, ResourceKey, Revision, Tier};
use feed::limits;
use feed::report::{Counters, GroupReport, Groups, LastFailure, Rejected, ServerReport, ServerState};

use super::in_force::{Held, InForce};
use crate::clock::Moment;
use crate::picture::{GroupPicture, ServerPicture, State};
use crate::record::FailureReason;
use crate::snapshot::Snapshot;
use crate::stats::ServerStats;

/// The whole picture of what is in force.
pub(super) fn groups(in_force: &InForce, at: Moment) -> Groups {
    let versions: BTreeMap<&GroupId, Option<Revision>> = in_force.resources.iter().filter_map(version_of).collect();
    picture(&in_force.snapshot, |id| versions.get(id).copied().flatten(), at)
}

/// The refused resources a report has room for.
pub(super) fn rejected(in_force: &InForce) -> BTreeMap<String, Rejected> {
    let reported = in_force.rejected.iter().map(|(key, rejection)| {
        (key.clone(), Rejected { version: rejection.version, problem: rejection.problem.clone() })
    });
    reported.take(limits::PROBLEMS_KEPT).collect()
}

fn version_of(held: &Held) -> Option<(&GroupId, Option<Revision>)> {
    match (&held.key, &held.resource) {
        (ResourceKey::Group(id), Resource::Group(..)) => Some((id, held.version)),
        (ResourceKey::Certificate(_) | ResourceKey::Group(_) | ResourceKey::Route(_), _) => None,
    }
}

/// The whole picture of `snapshot`, whose groups have these versions.
pub fn picture(snapshot: &Snapshot, version: impl Fn(&GroupId) -> Option<Revision>, at: Moment) -> Groups {
    let group = |(id, view): (&GroupId, &std::sync::Arc<crate::snapshot::GroupView>)| {
        let picture = GroupPicture::take(view, at);
        let servers = picture.servers.iter().map(server).collect();
        // The protocol has no word for nobody: then the primaries are those who should, and who reads the servers' states knows
        // that they do not.
        let active_tier = picture.active_tier().unwrap_or(Tier::Primary);
        (id.clone(), GroupReport { version: version(id), active_tier, servers }.into())
    };
    snapshot.groups.iter().map(group).collect()
}

fn server(server: &ServerPicture<'_>) -> ServerReport {
    let stats = &server.view.stats;
    ServerReport {
        name: server.view.name.clone(),
        address: server.view.address.clone(),
        state: state(server),
        effective_weight: u32::try_from(server.peer.effective_weight.max(0)).unwrap_or(u32::MAX),
        active: u64::from(server.peer.conns),
        counters: counters(stats),
        last_failure: stats
            .last_failure
            .load()
            .map(|(reason, at)| LastFailure { reason: reason.wire_name().into(), at: at.micros() / 1000 }),
    }
}

fn state(server: &ServerPicture<'_>) -> ServerState {
    match server.state {
        State::Up if server.peer.effective_weight < server.peer.weight => ServerState::Recovering,
        State::Up => ServerState::Up,
        State::Ejected { .. } => ServerState::Ejected,
        State::Down => ServerState::Down,
        State::Draining => ServerState::Draining,
        State::Full => ServerState::Busy,
    }
}

fn counters(stats: &ServerStats) -> Counters {
    let failures = FailureReason::ALL.iter().zip(&stats.failures).filter(|(_, count)| count.value() > 0);
    Counters {
        requests: stats.requests.iter().map(crate::stats::Counter::value).sum(),
        failures: failures.map(|(reason, count)| (reason.name().into(), count.value())).collect(),
        retried: stats.retried.value(),
        ejections: stats.ejections.value(),
        bytes_received: stats.received_bytes.value(),
        bytes_sent: stats.sent_bytes.value(),
        response_micros: stats.response_micros.value(),
        responses: stats.responses.value(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use feed::report::{Delivered, Part};

    use super::*;
    use crate::record::{Attempt, AttemptEnd};
    use crate::route::RouteTable;
    use crate::testing;

    fn taken(views: &[Arc<crate::snapshot::GroupView>]) -> Groups {
        let snapshot = Snapshot {
            certificates: crate::tls::Certificates::default(),
            revision: Revision::of(b"all"),
            source: "test".into(),
            applied: Moment::from(testing::START),
            routes: RouteTable::default(),
            groups: views.iter().map(|view| (view.id.clone(), view.clone())).collect(),
        };
        picture(&snapshot, |_| Some(Revision::of(b"app")), Moment::from(testing::START))
    }

    #[test]
    fn what_was_counted_is_reported_and_only_what_changed_again() {
        let mut record = testing::record();
        let group = record.group.clone().unwrap();
        let views = [group.clone(), testing::group("shop/other", &["127.0.0.1:9"])];
        let before = taken(&views);
        let mut delivered = Delivered::default();
        assert_eq!(delivered.report(Part::Changes, &before).1, before);
        delivered.note(Part::Changes, before.clone(), before.clone());
        assert_eq!(delivered.report(Part::Changes, &before).1, Groups::new());

        record.begin_attempt(Attempt {
            status: Some(502),
            bytes_sent: 100,
            bytes_received: 20,
            ..Attempt::begin(testing::server_of(&record, 0), record.started)
        });
        record.end_attempt(AttemptEnd::Failed(FailureReason::Status(502)), false, record.finished);
        record.begin_attempt(Attempt::begin(testing::server_of(&record, 1), record.started));
        record.end_attempt(AttemptEnd::Relayed, false, record.finished);
        let after = taken(&views);
        let (_, changed) = delivered.report(Part::Changes, &after);
        assert_eq!(changed.keys().collect::<Vec<_>>(), [&group.id]);
        let [first, second] = &changed[&group.id].servers[..] else { panic!("{changed:?}") };
        assert_eq!((first.state, first.effective_weight), (ServerState::Up, 1));
        let Counters { requests, retried, bytes_sent, bytes_received, .. } = first.counters;
        assert_eq!((requests, retried, bytes_sent, bytes_received), (1, 1, 100, 20));
        assert_eq!(first.counters.failures, [("status".into(), 1)].into());
        assert_eq!(&*first.last_failure.as_ref().unwrap().reason, "http_502");
        assert_eq!((second.counters.requests, second.counters.retried), (1, 0));
    }
}
