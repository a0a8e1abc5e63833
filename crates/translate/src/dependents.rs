//! Which groups are read again when something that is no group changes: an object that they name, or the present.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Certificate, CertificateId, GroupId};
use jiff::Timestamp;

use crate::References;
use crate::by_name::{ByName, Name};
use crate::verdict::Verdict;

/// What groups depend on, in the versions judged and in those in force. A verdict enters when it is given and leaves when the
/// next takes its place.
#[derive(Debug, Default)]
pub struct Dependents {
    services: Users,
    secrets: Users,
    config_maps: Users,
    /// Groups by when the validity of a certificate of theirs changes.
    expiring: BTreeSet<(Timestamp, GroupId)>,
    /// Groups that are not read again before the content of what they name is here.
    waiting: BTreeSet<GroupId>,
}

/// Groups by what they name.
type Users = ByName<BTreeSet<GroupId>>;

impl Dependents {
    /// Files a group by what its verdict depends on.
    pub fn enter(&mut self, id: &GroupId, verdict: &Verdict) {
        for (users, named) in self.users_of(verdict) {
            for name in named {
                users.entry(id.namespace(), name).insert(id.clone());
            }
        }
        self.expiring.extend(verdict.found.until.map(|until| (until, id.clone())));
    }

    /// Takes out what [`Self::enter`] filed.
    pub fn leave(&mut self, id: &GroupId, verdict: &Verdict) {
        for (users, named) in self.users_of(verdict) {
            for name in named {
                if let Some(of_name) = users.find_mut(id.namespace(), name) {
                    of_name.remove(id);
                    if of_name.is_empty() {
                        users.remove(id.namespace(), name);
                    }
                }
            }
        }
        self.expire(id, verdict);
    }

    /// Leaves a group as its `verdict` has it, whatever time passes, until it is taken by [`Self::take_waiting`].
    pub fn wait(&mut self, id: GroupId, verdict: Option<&Verdict>) {
        if let Some(verdict) = verdict {
            self.expire(&id, verdict);
        }
        self.waiting.insert(id);
    }

    /// Whether the group waits.
    pub fn is_waiting(&self, id: &GroupId) -> bool {
        self.waiting.contains(id)
    }

    /// The groups that wait; none does then.
    pub fn take_waiting(&mut self) -> BTreeSet<GroupId> {
        std::mem::take(&mut self.waiting)
    }

    /// The groups that name one of these Services, Secrets or `ConfigMap`s.
    pub fn affected_by(
        &self,
        services: &BTreeSet<Name>,
        secrets: &BTreeSet<Name>,
        config_maps: &BTreeSet<Name>,
    ) -> BTreeSet<GroupId> {
        let named = [(&self.services, services), (&self.secrets, secrets), (&self.config_maps, config_maps)];
        let users = named.into_iter().flat_map(|(users, changed)| {
            changed.iter().filter_map(|(namespace, name)| users.find(namespace, name)).flatten()
        });
        users.cloned().collect()
    }

    /// The groups for which the validity of a certificate has changed by `now`.
    pub fn outdated(&self, now: Timestamp) -> BTreeSet<GroupId> {
        self.expiring.iter().take_while(|(until, _)| *until <= now).map(|(_, id)| id.clone()).collect()
    }

    /// The next moment at which it changes for one.
    pub fn until(&self) -> Option<Timestamp> {
        self.expiring.first().map(|(until, _)| *until)
    }

    /// Whether a group names the Service.
    pub fn has_users(&self, (namespace, service): &Name) -> bool {
        self.services.find(namespace, service).is_some()
    }

    /// The groups that name the Secret of a certificate.
    pub fn users_of_certificate(&self, id: &CertificateId) -> impl Iterator<Item = &GroupId> {
        self.secrets.find(id.namespace(), id.name()).into_iter().flatten()
    }

    /// A certificate as one of `groups` shows it to its servers.
    pub fn shown<'g>(
        &self,
        id: &CertificateId,
        groups: &'g BTreeMap<GroupId, Verdict>,
    ) -> Option<&'g Arc<Certificate>> {
        let mut shown = self.users_of_certificate(id).filter_map(|user| groups.get(user)?.found.shown());
        shown.find(|(shown, _)| shown == id).map(|(_, certificate)| certificate)
    }

    /// The Secrets and `ConfigMap`s that groups name.
    pub fn references(&self) -> References {
        let names = |users: &Users| {
            let mut names = ByName::default();
            for ((namespace, name), _) in users.iter() {
                names.insert(&namespace, &name, ());
            }
            names
        };
        References { secrets: names(&self.secrets), config_maps: names(&self.config_maps) }
    }

    /// What a group names, with the users of each kind.
    fn users_of<'v>(&mut self, verdict: &'v Verdict) -> [(&mut Users, &'v BTreeSet<Arc<str>>); 3] {
        [
            (&mut self.services, &verdict.services),
            (&mut self.secrets, &verdict.secrets),
            (&mut self.config_maps, &verdict.config_maps),
        ]
    }

    fn expire(&mut self, id: &GroupId, verdict: &Verdict) {
        if let Some(until) = verdict.found.until {
            self.expiring.remove(&(until, id.clone()));
        }
    }
}
