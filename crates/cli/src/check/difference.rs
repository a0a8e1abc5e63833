//! Two configurations side by side: which groups, servers, hosts and paths one has and the other has not, and what differs.
//! Of certificates only the names and hosts are told, never a key.

use std::collections::{BTreeMap, BTreeSet};

use config::{
    CertificateId, Config, Group, GroupId, HostPattern, HostRoutes, PathRoute, Resource, Revision, Server, Target,
};
use serde::Serialize;
use serde_json::Value;

/// What became of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Change<T> {
    /// It is new.
    Added {
        /// As it would be.
        after: T,
    },
    /// It is gone.
    Removed {
        /// As it was.
        before: T,
    },
    /// It is another.
    Changed {
        /// As it was.
        before: T,
        /// As it would be.
        after: T,
    },
}

/// Everything that differs, in the order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub groups: Vec<GroupDifference>,
    pub hosts: Vec<HostDifference>,
    pub certificates: Vec<CertificateDifference>,
}

/// A group and what differs in it. Two versions may differ in the order of servers alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupDifference {
    pub group: GroupId,
    #[serde(flatten)]
    pub revision: Change<Revision>,
    pub servers: Vec<Change<Server>>,
    pub settings: Vec<Differing>,
}

/// The routes of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostDifference {
    pub host: HostPattern,
    #[serde(flatten)]
    pub revision: Change<Revision>,
    pub paths: Vec<Change<PathRoute>>,
    pub default: Option<Change<Target>>,
}

/// A certificate and the hosts it answers for. Where these are equal, the certificate itself is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateDifference {
    pub certificate: CertificateId,
    #[serde(flatten)]
    pub hosts: Change<Vec<HostPattern>>,
}

/// A field with both its values; `null` is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Differing {
    pub field: String,
    pub before: Value,
    pub after: Value,
}

impl<T> Change<T> {
    /// What there is to say of two versions; `None` if they are equal.
    pub fn between(before: Option<T>, after: Option<T>) -> Option<Self>
    where
        T: PartialEq,
    {
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(Self::Added { after }),
            (Some(before), None) => Some(Self::Removed { before }),
            (Some(before), Some(after)) => (before != after).then_some(Self::Changed { before, after }),
        }
    }
}

impl Difference {
    /// What is other in `after`.
    pub fn between(before: &Config, after: &Config) -> Self {
        let groups = of_each(&before.groups, &after.groups, |group, before, after| {
            let (before, after) = (before.map(|group| &**group), after.map(|group| &**group));
            let revision = |of: &Group| Resource::Group(group.clone(), of.clone().into()).revision();
            let revision = Change::between(before.map(revision), after.map(revision))?;
            Some(GroupDifference {
                group: group.clone(),
                revision,
                servers: servers(before, after),
                settings: before.zip(after).map(|(before, after)| settings(before, after)).unwrap_or_default(),
            })
        });
        let hosts = of_each(&by_host(before), &by_host(after), |host, before, after| {
            let revision = |of: &&HostRoutes| Resource::Route((**of).clone().into()).revision();
            Some(HostDifference {
                host: (*host).clone(),
                revision: Change::between(before.map(revision), after.map(revision))?,
                paths: of_each(&by_path(before), &by_path(after), |_, before, after| {
                    Change::between(before.copied().cloned(), after.copied().cloned())
                }),
                default: Change::between(
                    before.and_then(|host| host.default.clone()),
                    after.and_then(|host| host.default.clone()),
                ),
            })
        });
        let certificates = of_each(&before.certificates, &after.certificates, |certificate, before, after| {
            if before == after {
                return None;
            }
            let hosts = match (before.map(|one| one.hosts.clone()), after.map(|one| one.hosts.clone())) {
                (Some(before), Some(after)) => Change::Changed { before, after },
                (before, after) => Change::between(before, after)?,
            };
            Some(CertificateDifference { certificate: certificate.clone(), hosts })
        });
        Self { groups, hosts, certificates }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        let Self { groups, hosts, certificates } = self;
        groups.is_empty() && hosts.is_empty() && certificates.is_empty()
    }
}

/// The fields in which two values differ.
pub fn fields(before: &impl Serialize, after: &impl Serialize) -> Vec<Differing> {
    let (before, after) = (object(before), object(after));
    of_each(&before, &after, |field, before, after| {
        let (before, after) = (before.cloned().unwrap_or_default(), after.cloned().unwrap_or_default());
        (before != after).then(|| Differing { field: field.clone(), before, after })
    })
}

/// The servers of one name and address are paired in their order.
fn servers(before: Option<&Group>, after: Option<&Group>) -> Vec<Change<Server>> {
    fn numbered(group: Option<&Group>) -> BTreeMap<(String, String, usize), &Server> {
        let mut servers = BTreeMap::new();
        for server in group.iter().flat_map(|group| &group.servers) {
            let (name, address) = (server.name.to_string(), server.address.to_string());
            let last = (name.clone(), address.clone(), usize::MAX);
            let held = servers.range((name.clone(), address.clone(), 0)..=last).count();
            servers.insert((name, address, held), server);
        }
        servers
    }
    of_each(&numbered(before), &numbered(after), |_, before, after| {
        Change::between(before.copied().cloned(), after.copied().cloned())
    })
}

fn settings(before: &Group, after: &Group) -> Vec<Differing> {
    let bare = |group: &Group| Group { servers: Vec::new(), ..group.clone() };
    fields(&bare(before), &bare(after))
}

fn by_host(config: &Config) -> BTreeMap<&HostPattern, &HostRoutes> {
    config.routes.hosts.iter().map(|routes| (&routes.host, &**routes)).collect()
}

fn by_path<'h>(host: Option<&&'h HostRoutes>) -> BTreeMap<&'h config::PathMatch, &'h PathRoute> {
    host.into_iter().flat_map(|host| &host.paths).map(|route| (&route.path, route)).collect()
}

fn object(value: &impl Serialize) -> BTreeMap<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        // Ours are structs with string keys.
        Ok(_) | Err(_) => BTreeMap::new(),
    }
}

fn of_each<K: Ord, V, R>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    tell: impl Fn(&K, Option<&V>, Option<&V>) -> Option<R>,
) -> Vec<R> {
    let keys: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    keys.into_iter().filter_map(|key| tell(key, before.get(key), after.get(key))).collect()
}

#[cfg(test)]
mod tests;
