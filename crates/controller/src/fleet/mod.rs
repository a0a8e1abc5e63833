//! What all data planes report, put together: per group who runs which version and who refused it, per server the sums over
//! the fleet. Pure: time is a parameter.
//!
//! The rules are those of [`feed::report`]: whatever order reports come in, however often and whatever is lost, the picture is
//! the same. Kept is only what a status needs, and a server's name and address once, beside it a few words per instance. A
//! hundred data planes with ten thousand servers each take 35 MB so, and 400 MB report by report.

mod group;
mod reports;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{GroupId, Millis, ResourceKey};
use feed::Scope;
use feed::report::{Absorbed, Extent, Groups, MEMORY, Rejected, Report};

use group::{Group, Told};

pub use group::{GroupView, ServerKey, ServerSum, Standing};
pub use reports::Reports;

/// Instances remembered; each further one is refused. Bounds what pods can make the leader keep. A quarter of these and of
/// [`ENTRIES`] is for those that serve everything: of the others anybody may run one.
pub const INSTANCES: usize = 2_000;

/// Servers of groups of instances remembered in all; 32 bytes each. Two hundred data planes with fifteen thousand servers.
pub const ENTRIES: usize = 3_000_000;

/// Rates are taken over at least this time: a report that follows another at once says little about requests per second.
const RATE_OVER: Millis = Millis::from_secs(8);

/// The data planes and what they report.
#[derive(Debug, Default)]
pub struct Fleet {
    instances: BTreeMap<Arc<str>, Instance>,
    groups: BTreeMap<GroupId, Group>,
    /// Numbers instances in the order of their arrival; none is given twice.
    next_id: u32,
    /// Entries of servers and of groups, over all groups and instances.
    entries: usize,
    changed: Changed,
}

/// What a person should hear of soon; counters that only grew are not among it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// A data plane came, went, or changed what it is concerned with or refuses: every group may be affected.
    pub fleet: bool,
    /// Groups whose servers, their state, tier or version changed somewhere.
    pub groups: BTreeSet<GroupId>,
}

/// One data plane in its present life.
#[derive(Debug)]
struct Instance {
    id: u32,
    heard: Millis,
    epoch: u64,
    /// The last full report; nothing older is of interest.
    full: u64,
    last: u64,
    scope: Scope,
    zone: Option<Arc<str>>,
    rejected: BTreeMap<String, Rejected>,
    /// Its share of [`Fleet::entries`].
    known: usize,
    /// Whether a counter not seen before began after the instance was first heard of.
    followed: bool,
    /// Since when its present rates are counted.
    rates_since: Millis,
}

impl Fleet {
    /// Takes a report into account that arrived at `now`.
    pub fn absorb(&mut self, report: Report, now: Millis) -> Absorbed {
        let name = report.instance.clone();
        let is_new = !self.instances.contains_key(&name);
        if is_new && self.instances.len() >= all_for(&report.scope, INSTANCES) {
            return Absorbed::NoRoom;
        }
        let mut instance = self.instances.remove(&name).unwrap_or_else(|| {
            self.next_id += 1;
            Instance::new(self.next_id, report.epoch, now)
        });
        let absorbed = if report.epoch < instance.epoch {
            Absorbed::Nothing
        } else {
            let new_life = is_new || report.epoch > instance.epoch;
            if new_life && !is_new {
                self.begin_life(&mut instance, report.epoch);
            }
            instance.heard = now;
            let Told { news, left_out, .. } = self.absorb_into(&mut instance, report);
            self.take_rates(&mut instance, now);
            self.changed.fleet |= new_life;
            match (left_out, new_life, news) {
                (true, _, _) => Absorbed::NoRoom,
                (false, true, _) => Absorbed::NewLife,
                (false, false, true) => Absorbed::News,
                (false, false, false) => Absorbed::Nothing,
            }
        };
        self.instances.insert(name, instance);
        absorbed
    }

    /// Forgets instances that were not heard of for [`MEMORY`].
    pub fn expire(&mut self, now: Millis) {
        let mut gone = Vec::new();
        self.instances.retain(|_, instance| {
            let lives = now < MEMORY.after(instance.heard);
            if !lives {
                gone.push((instance.id, instance.known));
            }
            lives
        });
        for (id, known) in gone {
            self.groups.values_mut().for_each(|group| group.remove(id));
            self.entries = self.entries.saturating_sub(known);
            self.changed.fleet = true;
        }
        self.groups.retain(|_, group| !group.is_empty());
    }

    /// Forgets everything: reports go to another replica now.
    pub fn clear(&mut self) {
        *self = Self { next_id: self.next_id, ..Self::default() };
    }

    /// What changed since this was last asked.
    pub fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// The data planes heard of.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether no data plane was heard of.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// What the fleet says of a group.
    pub fn view(&self, id: &GroupId) -> GroupView<'_> {
        let name = ResourceKey::Group(id.clone()).to_string();
        let group = self.groups.get(id);
        let concerned = self.instances.iter().filter(|(_, instance)| instance.scope.concerns(id));
        let mut complete = true;
        let standings = concerned
            .map(|(instance_name, instance)| {
                complete &= instance.full > 0;
                let told = group.and_then(|group| group.standing(instance.id));
                Standing {
                    instance: instance_name,
                    zone: instance.zone.as_deref(),
                    version: told.and_then(|(_, version)| version),
                    tier: told.map(|(tier, _)| tier),
                    rejected: instance.rejected.get(&name),
                }
            })
            .collect();
        GroupView { standings, complete, group }
    }

    fn begin_life(&mut self, instance: &mut Instance, epoch: u64) {
        let forgotten = self.groups.values_mut().map(|group| group.begin_life(instance.id)).sum();
        self.entries = self.entries.saturating_sub(forgotten);
        *instance = Instance {
            known: instance.known.saturating_sub(forgotten),
            followed: true,
            rates_since: instance.rates_since,
            ..Instance::new(instance.id, epoch, instance.heard)
        };
    }

    fn absorb_into(&mut self, instance: &mut Instance, report: Report) -> Told {
        let mut all = Told::default();
        let entries = all_for(&report.scope, ENTRIES);
        if report.seq > instance.last {
            let rejected = report.rejected;
            let before = (&instance.scope, &instance.zone, &instance.rejected);
            self.changed.fleet |= before != (&report.scope, &report.zone, &rejected);
            (instance.last, instance.scope, instance.zone) = (report.seq, report.scope, report.zone);
            instance.rejected = rejected;
            all.news = true;
        }
        if report.seq < instance.full {
            return all;
        }
        if report.extent == Extent::Full && report.seq > instance.full {
            // First: at a bound, what is new has the room of what is gone.
            self.forget_unnamed(instance, report.seq, &report.groups);
            instance.full = report.seq;
            all.news = true;
        }
        for (id, told) in report.groups {
            // An implicit group of a Service has no object whose status could tell of it.
            if id.is_implicit() {
                continue;
            }
            let room = feed::limits::REPORTED_SERVERS.saturating_sub(instance.known);
            let mut room = room.min(entries.saturating_sub(self.entries));
            if room == 0 && !self.groups.contains_key(&id) {
                all.left_out = true;
                continue;
            }
            let before = room;
            let group = self.groups.entry(id.clone()).or_default();
            let told = group.absorb(instance.id, instance.followed, report.seq, &told, &mut room);
            let added = before - room;
            (instance.known, self.entries) = (instance.known + added, self.entries + added);
            (all.news, all.left_out) = (all.news | told.news, all.left_out | told.left_out);
            if told.changed {
                self.changed.groups.insert(id);
            }
        }
        // What a full report is the first to name may be older than the instance is known; later ones name what began since.
        instance.followed |= instance.full > 0;
        all
    }

    /// Forgets what `instance` said before the full report of number `full` and is not among what that has `told`.
    fn forget_unnamed(&mut self, instance: &mut Instance, full: u64, told: &Groups) {
        let (changed, entries) = (&mut self.changed.groups, &mut self.entries);
        self.groups.retain(|id, group| {
            let forgotten = group.forget_unnamed(instance.id, full, told.get(id).map(|told| &**told));
            if forgotten > 0 {
                instance.known = instance.known.saturating_sub(forgotten);
                *entries = entries.saturating_sub(forgotten);
                changed.insert(id.clone());
            }
            !group.is_empty()
        });
    }

    fn take_rates(&mut self, instance: &mut Instance, now: Millis) {
        let elapsed = now.since(instance.rates_since);
        if elapsed >= RATE_OVER {
            self.groups.values_mut().for_each(|group| group.take_rate(instance.id, elapsed));
            instance.rates_since = now;
        }
    }
}

/// Of so many in all, those that somebody with this scope may find taken and still be remembered.
fn all_for(scope: &Scope, all: usize) -> usize {
    match scope {
        Scope::All => all,
        Scope::Namespaces(_) | Scope::Groups(_) => all - all / 4,
    }
}

impl Instance {
    fn new(id: u32, epoch: u64, now: Millis) -> Self {
        Self {
            id,
            heard: now,
            epoch,
            full: 0,
            last: 0,
            scope: Scope::default(),
            zone: None,
            rejected: BTreeMap::new(),
            known: 0,
            followed: false,
            rates_since: now,
        }
    }
}
