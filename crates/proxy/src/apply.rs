//! From a configuration to a snapshot: plans are built, state is carried over, what did not change is shared.

use std::collections::HashMap;
use std::sync::Arc;

use balance::Plan;
use balance::learn::Sessions;
use config::{Config, GroupId, Revision, Sticky};
use parking_lot::Mutex;

use crate::clock::Moment;
use crate::route::RouteTable;
use crate::snapshot::{GroupCell, GroupView, ServerView, Snapshot};
use crate::spec::{group_spec, retry_policy};
use crate::stats::{GroupStats, ServerStats};
use crate::tls::Certificates;

/// A group that cannot be put in force. Nothing of its configuration is: the last good one stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("group {group}: {error}")]
pub struct ApplyError {
    /// The group.
    pub group: GroupId,
    /// Why.
    pub error: balance::SpecError,
}

/// What `forebay check` asks: could this configuration be put in force? Every group that could not is named. Nothing is built:
/// who reads a configuration checks it, who applies it builds its plans.
pub fn compile_check(config: &Config) -> Vec<ApplyError> {
    config.groups.iter().filter_map(|(id, group)| check_group(id, group).err()).collect()
}

/// Whether one group could be put in force.
pub(crate) fn check_group(id: &GroupId, group: &config::Group) -> Result<(), ApplyError> {
    Plan::check(&group_spec(group)).map_err(|error| ApplyError { group: id.clone(), error })
}

fn plan(id: &GroupId, group: &config::Group) -> Result<Plan, ApplyError> {
    Plan::build(&group_spec(group)).map_err(|error| ApplyError { group: id.clone(), error })
}

/// Builds the snapshot of `config`, whose version is `revision`, that follows `last`. State of groups that both have is shared; a group whose configuration is equal
/// keeps its very view.
pub(crate) fn next_snapshot(
    last: Option<&Snapshot>,
    config: &Config,
    revision: Revision,
    certificates: Certificates,
    source: Arc<str>,
    at: Moment,
) -> Result<Snapshot, ApplyError> {
    // All plans first: reconciling one group's state for a configuration that is then refused would be half an update.
    let mut next = Vec::with_capacity(config.groups.len());
    for (id, group) in &config.groups {
        let view = last.and_then(|last| last.groups.get(id));
        next.push((
            id,
            match view {
                Some(view) if view.config == *group => Next::Same(view),
                _ => Next::New { group, last: view, plan: plan(id, group)? },
            },
        ));
    }
    let groups = next.into_iter().map(|(id, next)| {
        let view = match next {
            Next::Same(view) => view.clone(),
            Next::New { group, last, plan } => bind(id, group, last.map(Arc::as_ref), plan, at),
        };
        (id.clone(), view)
    });
    let groups: HashMap<_, _> = groups.collect();
    let routes = RouteTable::new(&config.routes);
    Ok(Snapshot { revision, source, applied: at, routes, groups, certificates })
}

/// What becomes of a group.
#[allow(clippy::large_enum_variant, reason = "few exist, and only while a configuration is applied")]
enum Next<'a> {
    Same(&'a Arc<GroupView>),
    New { group: &'a Arc<config::Group>, last: Option<&'a Arc<GroupView>>, plan: Plan },
}

/// A group in force: its state, which is that of `last`, brought in line with its plan.
pub(crate) fn bind(
    id: &GroupId,
    group: &Arc<config::Group>,
    last: Option<&GroupView>,
    plan: Plan,
    at: Moment,
) -> Arc<GroupView> {
    let cell = match last {
        Some(view) => view.cell.clone(),
        None => Arc::new(GroupCell {
            balance: Mutex::new(balance::Group::new()),
            sessions: Mutex::new(Sessions::new(0, 0)),
            stats: GroupStats::default(),
            newest: Mutex::default(),
        }),
    };
    // A table of another size or age is another table; else sessions outlive the change, as in nginx.
    let table = learn_table(group);
    if table != last.and_then(|view| learn_table(&view.config)) {
        let (capacity, timeout) = table.unwrap_or_default();
        *cell.sessions.lock() = Sessions::new(capacity, timeout);
    }
    let known: HashMap<_, _> =
        last.map(|view| view.servers.iter().map(|server| (&server.key, &server.stats)).collect()).unwrap_or_default();
    let servers = group_spec(group)
        .servers
        .into_iter()
        .zip(&group.servers)
        .enumerate()
        .map(|(position, (spec, server))| {
            let stats =
                known.get(&spec.key).map_or_else(|| Arc::new(ServerStats::default()), |stats| Arc::clone(stats));
            Arc::new(ServerView {
                stats,
                name: server.name.clone(),
                address: server.address.clone(),
                address_text: spec.key.address.clone(),
                sid: plan.sid(position).into(),
                key: spec.key,
            })
        })
        .collect();
    // Whoever finds its servers gone from the state must find the view that has the new ones, before the snapshot has it.
    let mut balance = cell.balance.lock();
    let view = Arc::new(GroupView {
        id: id.clone(),
        name: id.to_string().into(),
        config: group.clone(),
        policy: retry_policy(group),
        plan: balance.reconcile(plan, at.now()),
        servers,
        cell: cell.clone(),
    });
    *cell.newest.lock() = Arc::downgrade(&view);
    drop(balance);
    view
}

/// Size and age, milliseconds, of the table of `sticky learn`.
fn learn_table(group: &config::Group) -> Option<(usize, u64)> {
    match &group.sticky {
        Some(Sticky::Learn(learn)) => Some((learn.max_sessions as usize, learn.timeout.0)),
        Some(Sticky::Cookie(_) | Sticky::Route(_)) | None => None,
    }
}
