//! From a configuration to a snapshot: plans are built, state is carried over, what did not change is shared.

use std::collections::HashMap;
use std::sync::Arc;

use balance::Plan;
use balance::learn::Sessions;
use config::{Config, GroupId, Revision};
use parking_lot::Mutex;

use crate::clock::Moment;
use crate::route::RouteTable;
use crate::snapshot::{GroupCell, GroupView, ServerView, Snapshot};
use crate::spec::{group_spec, learn_table, retry_policy};
use crate::stats::GroupStats;
use crate::tls::Certificates;
use crate::upstream::GroupTls;

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

/// What a snapshot is made of.
pub(crate) struct Of<'a> {
    /// What is the same for every data plane.
    pub config: &'a Config,
    /// Its version.
    pub revision: Revision,
    /// Where it came from.
    pub source: Arc<str>,
    /// The zone whose part of the groups is used.
    pub zone: Option<&'a str>,
}

/// Builds the snapshot that follows `last`. State of groups that both have is shared; a group whose configuration is equal
/// keeps its very view.
pub(crate) fn next_snapshot(
    last: Option<&Snapshot>,
    Of { config, revision, source, zone }: Of<'_>,
    certificates: Certificates,
    at: Moment,
) -> Result<Snapshot, ApplyError> {
    // All plans first: reconciling one group's state for a configuration that is then refused would be half an update.
    let mut next = Vec::with_capacity(config.groups.len());
    for (id, group) in &config.groups {
        let view = last.and_then(|last| last.groups.get(id));
        let tls = tls(view.map(Arc::as_ref), group, config);
        let is_same = |view: &&Arc<GroupView>| view.published == *group && same_tls(view.tls.as_ref(), tls.as_ref());
        let next_of = if let Some(view) = view.filter(is_same) {
            Next::Same(view)
        } else {
            let config = group.for_zone(zone);
            Next::New { plan: plan(id, &config)?, published: group, config, tls, last: view }
        };
        next.push((id, next_of));
    }
    let groups = next.into_iter().map(|(id, next)| {
        let view = match next {
            Next::Same(view) => view.clone(),
            Next::New { published, config, last, tls, plan } => {
                bind(id, (published, config), last.map(Arc::as_ref), tls, plan, at)
            }
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
    New {
        published: &'a Arc<config::Group>,
        config: Arc<config::Group>,
        last: Option<&'a Arc<GroupView>>,
        tls: Option<Arc<GroupTls>>,
        plan: Plan,
    },
}

/// TLS to the servers of a group, with the certificate that it shows them as it is now.
fn tls(last: Option<&GroupView>, group: &config::Group, config: &Config) -> Option<Arc<GroupTls>> {
    let shown = group.client_certificate().and_then(|id| config.certificates.get(id));
    group.tls().map(|tls| GroupTls::next(last.and_then(|last| last.tls.as_ref()), tls, shown))
}

fn same_tls(one: Option<&Arc<GroupTls>>, other: Option<&Arc<GroupTls>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}

/// A group in force, as it is published and as it is used: its state, which is that of `last`, brought in line with its plan.
pub(crate) fn bind(
    id: &GroupId,
    (published, config): (&Arc<config::Group>, Arc<config::Group>),
    last: Option<&GroupView>,
    tls: Option<Arc<GroupTls>>,
    plan: Plan,
    at: Moment,
) -> Arc<GroupView> {
    let cell = match last {
        Some(view) => view.cell.clone(),
        None => Arc::new(GroupCell {
            balance: Mutex::new(balance::Group::new()),
            sessions: Mutex::new(Sessions::new(0, 0)),
            stats: GroupStats::default(),
            server_stats: Mutex::default(),
            newest: Mutex::default(),
        }),
    };
    // Sessions outlive every change but the end of learning.
    match (last.and_then(|view| learn_table(&view.config)), learn_table(&config)) {
        (Some(_), Some((capacity, timeout))) => cell.sessions.lock().resize(capacity, timeout, at.now()),
        (_, table) => {
            let (capacity, timeout) = table.unwrap_or_default();
            *cell.sessions.lock() = Sessions::new(capacity, timeout);
        }
    }
    let mut counted = cell.server_stats.lock();
    let known: HashMap<_, _> =
        last.map(|view| view.servers.iter().map(|server| (&server.key, server)).collect()).unwrap_or_default();
    let servers = group_spec(&config)
        .servers
        .into_iter()
        .zip(&config.servers)
        .enumerate()
        .map(|(position, (spec, server))| {
            let known_tls = known.get(&spec.key).and_then(|known| known.tls.as_ref());
            Arc::new(ServerView {
                stats: counted.entry(spec.key.clone()).or_default().clone(),
                tls: tls.as_ref().map(|tls| tls.of_server(known_tls)),
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
        policy: retry_policy(&config),
        config,
        published: published.clone(),
        tls,
        plan: balance.reconcile(plan, at.now()),
        servers,
        cell: cell.clone(),
    });
    *cell.newest.lock() = Arc::downgrade(&view);
    counted.retain(|key, _| balance.remembers(key));
    drop((balance, counted));
    view
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// No randomness is asked for.
    struct First;

    impl balance::Rng for First {
        fn below(&mut self, _: u64) -> u64 {
            0
        }
    }

    fn id() -> GroupId {
        GroupId::new("shop", "app")
    }

    /// A group of a server for each zone, `10.0.0.1:80` for the first; without a zone one has no hint.
    fn config(zones: &[Option<&str>]) -> Config {
        let servers = (1..).zip(zones).map(|(n, zone)| config::Server {
            for_zones: zone.iter().map(|zone| (*zone).into()).collect(),
            ..testing::server("app", &format!("10.0.0.{n}:80"))
        });
        let group = config::Group::with_defaults(servers.collect());
        Config { groups: [(id(), Arc::new(group))].into(), ..Config::default() }
    }

    fn apply(last: Option<&Snapshot>, config: &Config, zone: Option<&str>) -> Snapshot {
        let of = Of { config, revision: config.revision(), source: "test".into(), zone };
        next_snapshot(last, of, Certificates::default(), Moment::from(testing::START)).unwrap()
    }

    fn addresses(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.groups[&id()].servers.iter().map(|server| &*server.address_text).collect()
    }

    #[test]
    fn a_zone_takes_its_part_and_hints_that_come_and_go_forget_nobody() {
        let (hinted, lost) = (config(&[Some("a"), Some("b")]), config(&[Some("a"), None]));
        let first = apply(None, &hinted, Some("b"));
        assert_eq!(addresses(&first), ["10.0.0.2:80"]);
        let failing = |snapshot: &Snapshot| {
            let view = &snapshot.groups[&id()];
            let peers = view.cell.balance.lock().view(&view.plan, Moment::from(testing::START).now());
            let stats: Vec<_> = view.servers.iter().map(|server| server.stats.ejections.value()).collect();
            (peers.iter().map(|peer| peer.conns).collect::<Vec<_>>(), stats)
        };
        let view = &first.groups[&id()];
        view.servers[0].stats.ejections.inc();
        let inputs = balance::Inputs { hash_key: b"", client: None, sid: None };
        let mut request = balance::Request::new(&view.plan, &inputs);
        let now = Moment::from(testing::START).now();
        view.cell.balance.lock().select(&view.plan, &mut request, now, &mut First).unwrap();

        let second = apply(Some(&first), &lost, Some("b"));
        assert_eq!(addresses(&second), ["10.0.0.1:80", "10.0.0.2:80"]);
        assert_eq!(failing(&second), (vec![0, 1], vec![0, 1]));
        let third = apply(Some(&second), &hinted, Some("b"));
        assert_eq!((addresses(&third), failing(&third)), (vec!["10.0.0.2:80"], (vec![1], vec![1])));
    }

    #[test]
    fn who_comes_back_within_its_grace_goes_on_counting() {
        let [both, one] = [config(&[None, None]), config(&[None])];
        let after = |last: &Snapshot, config: &Config, seconds: u64| {
            let of = Of { config, revision: config.revision(), source: "test".into(), zone: None };
            let at = Moment::from(testing::START + seconds * 1_000_000);
            next_snapshot(Some(last), of, Certificates::default(), at).unwrap()
        };
        let second = |snapshot: &Snapshot| snapshot.groups[&id()].servers[1].stats.clone();
        let first = apply(None, &both, None);
        second(&first).ejections.inc();
        let back = after(&after(&first, &one, 10), &both, 20);
        assert_eq!(second(&back).ejections.value(), 1);
        // Past its grace it is forgotten with the next change.
        let gone = after(&after(&back, &one, 30), &config(&[Some("a")]), 200);
        assert_eq!(gone.groups[&id()].cell.server_stats.lock().len(), 1);
        let late = after(&gone, &both, 210);
        assert_eq!(second(&late).ejections.value(), 0);
    }

    #[test]
    fn a_group_keeps_its_very_view_in_every_zone() {
        for (config, is_part) in [(config(&[Some("a"), Some("b")]), true), (config(&[None, None]), false)] {
            let first = apply(None, &config, Some("a"));
            let view = &first.groups[&id()];
            assert_eq!(Arc::ptr_eq(&view.config, &view.published), !is_part);
            assert!(Arc::ptr_eq(&view.published, &config.groups[&id()]));
            // As from the wire: equal, and not the same.
            let again = apply(Some(&first), &config.resources().collect(), Some("a"));
            assert!(Arc::ptr_eq(&again.groups[&id()], view));
        }
    }
}
