//! The reports of one instance put together. The result is the same in whatever order they arrive and however often: each
//! server carries the number of the report that spoke of it last, and a full report says what else there is not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Address, GroupId, Millis, Revision, Tier};

use super::{Extent, Groups, Rejected, Report, ServerReport};
use crate::limits;
use crate::scope::Scope;

/// What an instance reported in its present life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    epoch: u64,
    /// The last full report; nothing older is of interest.
    full: u64,
    /// The last report of all, and what it said of the whole.
    last: u64,
    revision: Option<Revision>,
    age: Millis,
    scope: Scope,
    rejected: BTreeMap<String, Rejected>,
    groups: BTreeMap<GroupId, GroupHistory>,
}

/// What a report was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absorbed {
    /// The first of a new life: all counters begin anew.
    NewLife,
    /// It added something.
    News,
    /// Everything in it was known, or is outdated.
    Nothing,
    /// Something in it was left out, because there is no room for more.
    NoRoom,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct GroupHistory {
    /// The tier that serves and the version in force, as of a report.
    state: Option<(u64, Tier, Option<Revision>)>,
    servers: BTreeMap<(Arc<str>, Address), (u64, ServerReport)>,
}

impl History {
    /// Takes a report of this instance into account.
    pub fn absorb(&mut self, report: Report) -> Absorbed {
        if report.epoch < self.epoch {
            return Absorbed::Nothing;
        }
        let new_life = report.epoch > self.epoch;
        if new_life {
            *self = Self { epoch: report.epoch, ..Self::default() };
        }
        let mut news = new_life;
        if report.seq > self.last || self.revision.is_none() {
            (self.last, self.revision, self.age) = (report.seq, Some(report.revision), report.age);
            (self.scope, self.rejected) = (report.scope, report.rejected);
            news = true;
        }
        if report.seq < self.full {
            return told(new_life, news);
        }
        if report.extent == Extent::Full && report.seq > self.full {
            // First: at the bound, what is new has the room of what is gone.
            self.forget_unnamed(report.seq, &report.groups);
            (self.full, news) = (report.seq, true);
        }
        let mut room = limits::REPORTED_SERVERS.saturating_sub(self.known());
        let mut left_out = false;
        for (id, told) in report.groups {
            if room == 0 && !self.groups.contains_key(&id) {
                left_out = true;
                continue;
            }
            let group = self.groups.entry(id).or_default();
            if group.state.is_none_or(|(seq, ..)| seq < report.seq) {
                group.state = Some((report.seq, told.active_tier, told.version));
                news = true;
            }
            for server in Arc::unwrap_or_clone(told).servers {
                let key = (server.name.clone(), server.address.clone());
                let known = group.servers.get(&key).map(|(seq, _)| *seq);
                match known {
                    // An instance that invents servers and never says which there are not is cut off at the bound.
                    None if room == 0 => left_out = true,
                    Some(seq) if seq >= report.seq => {}
                    None | Some(_) => {
                        room -= usize::from(known.is_none());
                        group.servers.insert(key, (report.seq, server));
                        news = true;
                    }
                }
            }
        }
        if left_out { Absorbed::NoRoom } else { told(new_life, news) }
    }

    /// When this life began, milliseconds since 1970.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The version of the configuration in force there; `None` before the first report.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// How old that configuration may be.
    pub fn age(&self) -> Millis {
        self.age
    }

    /// What it asked for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What it was sent and cannot use, by the resource's name.
    pub fn rejected(&self) -> &BTreeMap<String, Rejected> {
        &self.rejected
    }

    /// Whether a full report was heard: before it, a missing server means nothing.
    pub fn is_complete(&self) -> bool {
        self.full > 0
    }

    /// The groups known there, with the tier that serves and the version in force.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupId, Tier, Option<Revision>)> {
        self.groups.iter().filter_map(|(id, group)| group.state.map(|(_, tier, version)| (id, tier, version)))
    }

    /// The servers of a group, by name and address.
    pub fn servers(&self, group: &GroupId) -> impl Iterator<Item = &ServerReport> {
        self.groups.get(group).into_iter().flat_map(|group| group.servers.values().map(|(_, server)| server))
    }

    /// Forgets what was said before the full report of number `full` and is not among what that has `told`.
    fn forget_unnamed(&mut self, full: u64, told: &Groups) {
        self.groups.retain(|id, group| {
            let named = told.get(id);
            let servers: BTreeSet<_> = named.iter().flat_map(|told| &told.servers).map(ServerReport::key).collect();
            group.servers.retain(|(name, address), (seq, _)| *seq >= full || servers.contains(&(&**name, address)));
            named.is_some() || group.state.is_some_and(|(seq, ..)| seq >= full)
        });
    }

    fn known(&self) -> usize {
        self.groups.values().map(|group| group.servers.len()).sum()
    }
}

fn told(new_life: bool, news: bool) -> Absorbed {
    match (new_life, news) {
        (true, _) => Absorbed::NewLife,
        (false, true) => Absorbed::News,
        (false, false) => Absorbed::Nothing,
    }
}
