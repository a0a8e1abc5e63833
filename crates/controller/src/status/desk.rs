//! Who is written about next: compares what objects have with what they should have, and asks the budget.
//!
//! The cluster tells of a write only a moment later. Until it does, what was written counts as what the object has, so that a
//! write never causes another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::UpstreamGroupStatus;
use config::{GroupId, Millis, Revision};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;
use translate::Name;

use super::budget::{Budget, Lane};
use super::load_balancer::addresses;
use super::metrics::StatusMetrics;
use super::render::{Difference, Hearing, Known, Publication, Rendered, difference, render};
use super::writer::{Outcome, Status, Write};
use super::{Options, Sources};
use crate::events::Journal;
use crate::facts::GroupFacts;
use crate::fleet::GroupView;

/// How long a data plane may take to report that it runs what was published.
const SETTLING: Millis = Millis::from_secs(5);

/// A new leader hears within this time of everybody who lives: one interval between reports, and what it is spread by.
const FIRST_REPORTS: Millis = Millis::from_secs(15);

/// And within this time of everything they have: a full report that was lost is sent again with the next.
const FULL_REPORTS: Millis = Millis::from_secs(75);

/// How long the cluster may take to tell of a write.
const ECHO: Millis = Millis::from_secs(60);

/// An object whose status is ours to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Object {
    Group(GroupId),
    Ingress(Name),
}

/// What was written and is not yet heard of.
#[derive(Debug)]
struct Sent<T> {
    uid: Arc<str>,
    /// What the object had when it was written.
    had: T,
    wrote: T,
    at: Millis,
}

type LoadBalancer = Vec<IngressLoadBalancerIngress>;

/// The desk.
pub struct Desk {
    sources: Sources,
    publish_addresses: Option<LoadBalancer>,
    metrics: StatusMetrics,
    budget: Budget<Object>,
    sweep_every: Millis,
    next_sweep: Millis,
    leads_since: Option<Millis>,
    sent_groups: BTreeMap<GroupId, Sent<Option<Arc<UpstreamGroupStatus>>>>,
    sent_ingresses: BTreeMap<Name, Sent<LoadBalancer>>,
    /// What is published of each group, and since when as far as is known here.
    published: BTreeMap<GroupId, (Option<Revision>, Millis)>,
}

impl Desk {
    pub fn new(sources: Sources, options: &Options, metrics: StatusMetrics, now: Millis) -> Self {
        let given = addresses(&options.publish_addresses);
        Self {
            sources,
            publish_addresses: (!given.is_empty()).then_some(given),
            metrics,
            budget: Budget::new(options.limits, now),
            sweep_every: Millis(options.limits.lazy_every.0 / 3).max(Millis(1_000)),
            next_sweep: now,
            leads_since: None,
            sent_groups: BTreeMap::new(),
            sent_ingresses: BTreeMap::new(),
            published: BTreeMap::new(),
        }
    }

    /// This replica does not lead: nothing is queued, nothing remembered.
    pub fn stand_down(&mut self) {
        self.sources.facts.take_dirty();
        if self.leads_since.take().is_some() {
            self.sources.reports.with(crate::fleet::Fleet::clear);
            self.budget.clear();
            self.sent_groups.clear();
            self.sent_ingresses.clear();
            self.published.clear();
            self.metrics.sizes(0, 0);
        }
    }

    /// Notices what changed, and queues what differs from what it should be.
    pub fn look_around(&mut self, now: Millis, wall: Timestamp, journal: &mut Journal) {
        let takes_over = self.leads_since.is_none();
        let since = *self.leads_since.get_or_insert(now);
        let dirty = self.sources.facts.take_dirty();
        let (changed, data_planes) = self.sources.reports.with(|fleet| {
            fleet.expire(now);
            (fleet.take_changed(), fleet.len())
        });
        let all = takes_over || changed.fleet || now >= self.next_sweep;
        if all {
            let first = FIRST_REPORTS.after(since);
            let next = self.sweep_every.after(now);
            self.next_sweep = if now < first { next.min(first) } else { next };
            self.prune(now);
        }
        let (mut groups, mut ingresses, mut services) = (dirty.groups, dirty.ingresses, dirty.services);
        if all {
            self.sources.facts.read(|board| {
                groups.extend(board.groups.keys().cloned());
                ingresses.extend(board.ingresses.keys().cloned());
                services.extend(board.services.keys().cloned());
            });
        }
        groups.extend(changed.groups);
        groups.extend(self.unsettled(now));
        for id in groups {
            self.look_at_group(id, now, wall, journal);
        }
        for name in ingresses {
            self.look_at_ingress(name, now, journal);
        }
        for name in services {
            let facts = self.sources.facts.read(|board| board.services.get(&name).cloned());
            journal.service(&name, facts.as_deref(), now);
        }
        self.metrics.sizes(self.budget.depth(), data_planes);
    }

    /// What to write now.
    pub fn next(&mut self, now: Millis, wall: Timestamp) -> Option<Write> {
        // What was queued is looked at again: it may have changed, or be as it should be by now.
        while let Some((object, lane)) = self.budget.next(now) {
            let found = match &object {
                Object::Group(id) => self.group(id, now, wall),
                Object::Ingress(name) => self.ingress(name),
            };
            match found {
                Some((_, Difference::None)) | None => self.clean(&object),
                Some((_, Difference::Counters)) if lane == Lane::Urgent => {
                    self.budget.clean(&object);
                    self.budget.mark(object, Lane::Lazy, now);
                }
                Some((write, Difference::Counters | Difference::State)) => {
                    self.budget.spend(&object, now);
                    return Some(write);
                }
            }
        }
        None
    }

    /// What became of a write. A transition that was written becomes an event, so none is told twice.
    pub fn wrote(&mut self, write: Write, outcome: Outcome, now: Millis, journal: &mut Journal) {
        self.metrics.wrote(&outcome);
        let object = match &write.status {
            Status::Group { .. } => Object::Group(GroupId::new(&write.namespace, &write.name)),
            Status::Ingress { .. } => Object::Ingress((write.namespace.as_str().into(), write.name.as_str().into())),
        };
        match outcome {
            Outcome::Written => {
                self.budget.succeed(&object);
                self.remember(write, now, journal);
            }
            // Facts will say so too.
            Outcome::Gone => self.budget.forget(&object),
            Outcome::Throttled(seconds) => {
                self.budget.hold(Millis::from_secs(seconds).after(now));
                self.budget.mark(object, Lane::Urgent, now);
            }
            Outcome::Conflict | Outcome::TimedOut | Outcome::Failed => {
                self.budget.fail(&object, now);
            }
        }
    }

    fn look_at_group(&mut self, id: GroupId, now: Millis, wall: Timestamp, journal: &mut Journal) {
        let version = self.sources.facts.read(|board| board.groups.get(&id).map(|facts| published_version(facts)));
        let Some(version) = version else {
            self.published.remove(&id);
            self.sent_groups.remove(&id);
            journal.forget_group(&id);
            return self.budget.forget(&Object::Group(id));
        };
        let known = self.published.entry(id.clone()).or_insert((version, now));
        if known.0 != version {
            *known = (version, now);
        }
        let found = self.group(&id, now, wall);
        if let Some((Write { uid, status: Status::Group { servers: Some(servers), previous, .. }, .. }, _)) = &found {
            journal.met_group(&id, uid, previous.as_deref(), servers);
        }
        let found = found.map_or(Difference::None, |(_, difference)| difference);
        let object = Object::Group(id);
        match found {
            Difference::None => self.clean(&object),
            Difference::Counters => self.budget.mark(object, Lane::Lazy, now),
            Difference::State => self.budget.mark(object, Lane::Urgent, now),
        }
    }

    fn look_at_ingress(&mut self, name: Name, now: Millis, journal: &mut Journal) {
        let facts = self.sources.facts.read(|board| board.ingresses.get(&name).cloned());
        journal.ingress(&name, facts.as_deref(), now);
        let differs = self.ingress(&name).is_some_and(|(_, difference)| difference != Difference::None);
        let object = Object::Ingress(name);
        match facts {
            None => self.budget.forget(&object),
            Some(_) if differs => self.budget.mark(object, Lane::Urgent, now),
            Some(_) => self.clean(&object),
        }
    }

    fn clean(&mut self, object: &Object) {
        self.metrics.skipped();
        self.budget.clean(object);
    }

    /// The status a group should have, if there is something to say, and how it differs from what it has.
    fn group(&self, id: &GroupId, now: Millis, wall: Timestamp) -> Option<(Write, Difference)> {
        let facts = self.sources.facts.read(|board| board.groups.get(id).cloned())?;
        let previous = self.previous(id, &facts);
        let publication = match self.published.get(id) {
            Some((_, since)) if now >= SETTLING.after(*since) => Publication::Settled,
            Some(_) | None => Publication::Fresh,
        };
        let Rendered { status, servers } = self.sources.reports.with(|fleet| {
            let view = fleet.view(id);
            let hearing = self.hearing(&view, previous.as_deref(), now);
            // A status holds whole seconds.
            let wall = Timestamp::from_second(wall.as_second()).unwrap_or(wall);
            let previous = previous.as_deref();
            render(Known { facts: &facts, view: &view, hearing, publication, previous, now: wall })
        })?;
        let difference = difference(previous.as_deref(), &status);
        let status = Status::Group { status: Box::new(status), servers, had: facts.status.clone(), previous };
        Some((write(id.namespace(), id.name(), &facts.uid, status), difference))
    }

    fn previous(&self, id: &GroupId, facts: &GroupFacts) -> Option<Arc<UpstreamGroupStatus>> {
        match self.sent_groups.get(id) {
            Some(sent) if sent.uid == facts.uid && sent.had == facts.status => sent.wrote.clone(),
            Some(_) | None => facts.status.clone(),
        }
    }

    fn hearing(&self, view: &GroupView<'_>, previous: Option<&UpstreamGroupStatus>, now: Millis) -> Hearing {
        let since = self.leads_since.unwrap_or(now);
        let known = previous.and_then(|previous| previous.data_planes.as_ref()).map_or(0, |planes| planes.connected);
        let all_heard =
            !view.standings.is_empty() && i32::try_from(view.standings.len()).is_ok_and(|heard| heard >= known);
        let heard = all_heard || now >= FIRST_REPORTS.after(since);
        let complete = view.complete || now >= FULL_REPORTS.after(since);
        if heard && complete { Hearing::Done } else { Hearing::Waiting }
    }

    /// What an Ingress should have.
    fn ingress(&self, name: &Name) -> Option<(Write, Difference)> {
        let (facts, told) = self
            .sources
            .facts
            .read(|board| Some((board.ingresses.get(name).cloned()?, board.load_balancer.clone())))?;
        let should = self.publish_addresses.clone().or(told)?;
        let has = match self.sent_ingresses.get(name) {
            Some(sent) if sent.uid == facts.uid && sent.had == facts.load_balancer => &sent.wrote,
            Some(_) | None => &facts.load_balancer,
        };
        let difference = if *has == should { Difference::None } else { Difference::State };
        let status = Status::Ingress { status: should, had: facts.load_balancer.clone() };
        Some((write(&name.0, &name.1, &facts.uid, status), difference))
    }

    fn remember(&mut self, write: Write, now: Millis, journal: &mut Journal) {
        let uid: Arc<str> = write.uid.as_str().into();
        match write.status {
            Status::Group { status, servers, had, previous } => {
                let id = GroupId::new(&write.namespace, &write.name);
                journal.group(&id, &uid, (previous.as_deref(), &status), servers.as_deref(), now);
                self.sent_groups.insert(id, Sent { uid, had, wrote: Some(Arc::new(*status)), at: now });
            }
            Status::Ingress { status, had } => {
                let name = (write.namespace.into(), write.name.into());
                self.sent_ingresses.insert(name, Sent { uid, had, wrote: status, at: now });
            }
        }
    }

    fn unsettled(&self, now: Millis) -> BTreeSet<GroupId> {
        // One look more, after it settled.
        let until = |since: &Millis| Millis(SETTLING.0 + 2_000).after(*since);
        let recent = self.published.iter().filter(|(_, (_, since))| now < until(since));
        recent.map(|(id, _)| id.clone()).collect()
    }

    fn prune(&mut self, now: Millis) {
        self.sent_groups.retain(|_, sent| now < ECHO.after(sent.at));
        self.sent_ingresses.retain(|_, sent| now < ECHO.after(sent.at));
    }
}

fn published_version(facts: &GroupFacts) -> Option<Revision> {
    facts.published.as_ref().map(|published| published.version)
}

fn write(namespace: &str, name: &str, uid: &str, status: Status) -> Write {
    Write { namespace: namespace.into(), name: name.into(), uid: uid.into(), status }
}
