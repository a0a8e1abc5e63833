//! The status of a group, as a pure function of what is known: identical facts give identical bytes, on whatever replica and
//! in whatever order they were learned.

use api::{
    ActiveTier, ConditionType, DataPlanes, LastFailure, ServerState, ServerStatus, Summary, UpstreamGroupStatus,
    set_condition,
};
use config::{Availability, Revision, Tier};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::users::{self, Used};
use super::{conditions, round};
use crate::facts::{GroupFacts, PublishedGroup};
use crate::fleet::{GroupView, ServerKey, ServerSum};

/// The servers a status lists at most.
pub const SERVERS: usize = 64;

/// What a status is made of.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What translation found.
    pub facts: &'a GroupFacts,
    /// What the data planes report.
    pub view: &'a GroupView<'a>,
    /// Whether that is all they have to say.
    pub hearing: Hearing,
    /// Whether they had the time to put in force what is published.
    pub publication: Publication,
    /// The status as the cluster has it, or will have once it heard of the last write.
    pub previous: Option<&'a UpstreamGroupStatus>,
    /// Becomes the transition time of what changes now.
    pub now: Timestamp,
}

/// Whether the fleet was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// This replica leads since a moment ago: who is silent may only not have reported yet. What its predecessor said of the
    /// fleet stands.
    Waiting,
    /// Who is silent is not there.
    Done,
}

/// How old a publication is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// A data plane that does not run it yet is not late.
    Fresh,
    /// It is.
    Settled,
}

/// A status and what it is cut from.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The status.
    pub status: UpstreamGroupStatus,
    /// Every server, in the order of the configuration; the status lists the worst. `None` if the fleet was not heard.
    pub servers: Option<Vec<ServerStatus>>,
}

/// How two statuses differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// In nothing.
    None,
    /// In counters.
    Counters,
    /// In something a person waits for.
    State,
}

/// The status, whole. `None` if the cluster has one of a later generation than the facts are of.
pub fn render(known: Known<'_>) -> Option<Rendered> {
    let previous = known.previous.cloned().unwrap_or_default();
    let generation = known.facts.generation;
    if previous.observed_generation.is_some_and(|seen| seen > generation) {
        return None;
    }
    let (mut status, servers) = match known.hearing {
        Hearing::Waiting => (ours(&previous), None),
        Hearing::Done => {
            let (status, servers) = of_fleet(known.facts.published.as_ref(), known.view);
            (status, Some(servers))
        }
    };
    status.observed_generation = Some(generation);
    status.conditions = own_conditions(&previous);
    for fact in conditions::all(known, status.summary.as_ref(), servers.as_deref().unwrap_or_default()) {
        set_condition(&mut status.conditions, fact, generation, Time(known.now));
    }
    status.conditions.sort_by_key(rank);
    Some(Rendered { status, servers })
}

/// What of a status is this controller's: everything but conditions of other types.
pub fn ours(status: &UpstreamGroupStatus) -> UpstreamGroupStatus {
    UpstreamGroupStatus { conditions: own_conditions(status), ..status.clone() }
}

/// How the status as it should be differs from what the cluster has.
pub fn difference(has: Option<&UpstreamGroupStatus>, should: &UpstreamGroupStatus) -> Difference {
    let Some(has) = has.map(ours) else { return Difference::State };
    if has == *should {
        return Difference::None;
    }
    let is_truncated = has.truncated.is_some() || should.truncated.is_some();
    if state_of(has, is_truncated) == state_of(should.clone(), is_truncated) {
        Difference::Counters
    } else {
        Difference::State
    }
}

fn rank(condition: &Condition) -> Option<usize> {
    ConditionType::ALL.iter().position(|known| known.to_string() == condition.type_)
}

fn own_conditions(status: &UpstreamGroupStatus) -> Vec<Condition> {
    let mut conditions: Vec<_> = status.conditions.iter().filter(|one| rank(one).is_some()).cloned().collect();
    conditions.sort_by_key(rank);
    conditions
}

/// A status without its counters. Which of many healthy servers are among the listed ones is no state either.
fn state_of(mut status: UpstreamGroupStatus, is_truncated: bool) -> UpstreamGroupStatus {
    if let Some(summary) = &mut status.summary {
        (summary.active_requests, summary.requests, summary.requests_per_second, summary.failures) = (0, 0, 0, 0);
        summary.error_percent = None;
    }
    status.servers.retain(|server| !is_truncated || server.state != ServerState::Up);
    for server in &mut status.servers {
        (server.active_requests, server.requests, server.failures, server.ejections) = (0, 0, 0, 0);
        server.last_failure = None;
    }
    status.servers.sort_by(|a, b| (&a.name, &a.address).cmp(&(&b.name, &b.address)));
    status
}

/// The status without conditions, and every server.
fn of_fleet(published: Option<&PublishedGroup>, view: &GroupView<'_>) -> (UpstreamGroupStatus, Vec<ServerStatus>) {
    let connected = view.standings.len();
    let version = published.map(|published| published.version);
    let programmed = view.standings.iter().filter(|standing| standing.version.is_some() && standing.version == version);
    let programmed = programmed.count();
    let data_planes = DataPlanes {
        connected: small(connected),
        programmed: small(programmed),
        ready: format!("{programmed}/{connected}"),
        revision: version.as_ref().map(Revision::short),
    };
    let used = published.map(|published| users::of(&published.group, &view.standings)).unwrap_or_default();
    let sums: Vec<_> = used
        .iter()
        .map(|Used { server, .. }| {
            let key: ServerKey = (server.name.clone(), server.address.clone());
            view.server(&key)
        })
        .collect();
    let servers: Vec<_> = used.iter().zip(&sums).map(|(used, sum)| server(used, sum)).collect();
    let summary = published.map(|_| summary(&servers, &sums, view));
    // Among equals the order is that of the configuration. No counter has a say: it would change who is listed.
    let mut worst: Vec<_> = servers.iter().collect();
    worst.sort_by_key(|server| (badness(server.state), up(server)));
    let status = UpstreamGroupStatus {
        data_planes: Some(data_planes),
        summary,
        servers: worst.into_iter().take(SERVERS).cloned().collect(),
        truncated: servers.len().checked_sub(SERVERS).filter(|left_out| *left_out > 0).map(small),
        ..UpstreamGroupStatus::default()
    };
    (status, servers)
}

fn summary(servers: &[ServerStatus], sums: &[ServerSum], view: &GroupView<'_>) -> Summary {
    let available = servers.iter().filter(|server| server.state == ServerState::Up).count();
    let total = |part: fn(&ServerSum) -> u64| sums.iter().fold(0_u64, |sum, one| sum.saturating_add(part(one)));
    let (requests, failures) = (total(|sum| sum.requests), total(|sum| sum.failures));
    Summary {
        servers: small(servers.len()),
        available: small(available),
        ready: format!("{available}/{}", servers.len()),
        active_tier: match available {
            0 => ActiveTier::None,
            _ if view.standings.iter().any(|standing| standing.tier == Some(Tier::Backup)) => ActiveTier::Backup,
            _ => ActiveTier::Primary,
        },
        active_requests: round::count(total(|sum| sum.active)),
        requests: round::count(requests),
        requests_per_second: round::rate(view.rate()),
        failures: round::count(failures),
        error_percent: round::percent(failures, requests),
    }
}

fn server(&Used { server: line, by }: &Used<'_>, sum: &ServerSum) -> ServerStatus {
    ServerStatus {
        name: line.name.to_string(),
        address: line.address.to_string(),
        pod: line.pod.as_ref().map(|pod| pod.name.to_string()),
        tier: match line.tier {
            Tier::Primary => ActiveTier::Primary,
            Tier::Backup => ActiveTier::Backup,
        },
        weight: i32::try_from(line.weight).unwrap_or(i32::MAX),
        state: state(line.availability, sum),
        // Who used it a moment ago may still tell of it.
        up_on: format!("{}/{by}", by.min(sum.up as usize)),
        active_requests: round::count(sum.active),
        requests: round::count(sum.requests),
        failures: round::count(sum.failures),
        ejections: round::count(sum.ejections),
        last_failure: sum.last_failure.and_then(|(reason, at)| {
            let time = Timestamp::from_second(i64::try_from(at / 1000).ok()?).ok()?;
            Some(LastFailure { reason, time: Time(time) })
        }),
    }
}

fn state(availability: Availability, sum: &ServerSum) -> ServerState {
    match availability {
        Availability::Down => ServerState::Down,
        Availability::Drain => ServerState::Draining,
        Availability::Up if sum.up > 0 && sum.busy == sum.up => ServerState::Full,
        Availability::Up if sum.up > 0 => ServerState::Up,
        Availability::Up if sum.ejected > 0 => ServerState::Unavailable,
        Availability::Up => ServerState::Unknown,
    }
}

fn badness(state: ServerState) -> u8 {
    match state {
        ServerState::Unavailable => 0,
        ServerState::Unknown => 1,
        ServerState::Full => 2,
        ServerState::Down => 3,
        ServerState::Draining => 4,
        ServerState::Up => 5,
    }
}

fn up(server: &ServerStatus) -> u32 {
    server.up_on.split('/').next().and_then(|up| up.parse().ok()).unwrap_or(0)
}

fn small(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
