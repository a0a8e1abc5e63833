//! The live picture of a group as JSON. Names are those of the `UpstreamGroup`'s fields and nginx's state, in snake case.

use serde::Serialize;

use crate::clock::Moment;
use crate::picture::{GroupPicture, ServerPicture, State, method_name, tier_name};
use crate::snapshot::GroupView;
use crate::stats::Counter;
use crate::variables::rfc3339_utc;

/// One group.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    namespace: String,
    name: String,
    method: &'static str,
    /// Who serves a fresh request: Primary, Backup or None.
    active_tier: &'static str,
    active: u64,
    requests: u64,
    retries: u64,
    no_live: u64,
    servers: Vec<Server>,
}

/// One server.
#[derive(Debug, Serialize)]
struct Server {
    name: String,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    tier: &'static str,
    state: &'static str,
    /// When an ejected server is eligible again.
    #[serde(skip_serializing_if = "Option::is_none")]
    ejected_until: Option<String>,
    weight: i64,
    effective_weight: i64,
    current_weight: i64,
    /// Attempts in progress.
    active: u32,
    /// Attempts finished.
    requests: u64,
    /// Attempts charged to it.
    failures: u64,
    /// nginx `fails`: the failures that count towards `maxFails` now.
    fails: u32,
    ejections: u64,
    last_failure: Option<LastFailure>,
}

#[derive(Debug, Serialize)]
struct LastFailure {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    time: String,
}

/// A group as it is now.
pub(super) fn picture(view: &GroupView, now: Moment) -> Group {
    let picture = GroupPicture::take(view, now);
    let stats = &view.cell.stats;
    Group {
        namespace: view.id.namespace().to_owned(),
        name: view.id.name().to_owned(),
        method: method_name(&view.config.method),
        active_tier: tier_name(picture.active_tier()),
        active: picture.servers.iter().map(|server| u64::from(server.peer.conns)).sum(),
        requests: sum(&stats.requests),
        retries: sum(&stats.retries),
        no_live: stats.no_live.value(),
        servers: picture.servers.iter().map(server).collect(),
    }
}

fn server(picture: &ServerPicture<'_>) -> Server {
    let (peer, stats) = (&picture.peer, &picture.view.stats);
    Server {
        name: picture.view.name.to_string(),
        address: picture.view.address_text.to_string(),
        pod: picture.pod.map(|pod| pod.name.to_string()),
        zone: picture.pod.and_then(|pod| pod.zone.as_ref()).map(ToString::to_string),
        tier: tier_name(Some(peer.tier)),
        state: picture.state.name(),
        ejected_until: match picture.state {
            State::Ejected { until } => Some(rfc3339_utc(Moment::from(until.saturating_mul(1_000_000)))),
            State::Up | State::Down | State::Draining | State::Full => None,
        },
        weight: peer.weight,
        effective_weight: peer.effective_weight,
        current_weight: peer.current_weight,
        active: peer.conns,
        requests: sum(&stats.requests),
        failures: sum(&stats.failures),
        fails: peer.fails,
        ejections: stats.ejections.value(),
        last_failure: stats.last_failure.load().map(|(reason, at)| LastFailure {
            reason: reason.name(),
            status: reason.status(),
            time: rfc3339_utc(at),
        }),
    }
}

fn sum(counters: &[Counter]) -> u64 {
    counters.iter().map(Counter::value).sum()
}
