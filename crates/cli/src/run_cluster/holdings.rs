//! What of the published resources is in force here. One that cannot be is refused alone, as by a data plane that is fed, and
//! what was in force under its name stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Config, GroupId, Resource, ResourceKey, Revision};
use controller::hub::Hub;
use feed::limits;
use feed::report::Rejected;
use proxy::snapshot::Snapshot;

/// A resource and its version.
type Versioned = (Resource, Revision);

/// What is to be in force, resource by resource.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    held: BTreeMap<ResourceKey, Versioned>,
    /// Versions that cannot be used.
    pub rejected: BTreeMap<ResourceKey, Rejected>,
}

/// What was put in force, for who reports it.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What the workers made of it.
    pub snapshot: Arc<Snapshot>,
    /// The versions of its groups.
    pub versions: BTreeMap<GroupId, Revision>,
    /// What is published and cannot be used.
    pub rejected: BTreeMap<String, Rejected>,
}

/// Everything that is published.
pub fn published(hub: &Hub) -> Vec<(ResourceKey, Versioned)> {
    hub.read(|published| {
        let one = |(key, encoded): (&Arc<ResourceKey>, &feed::Encoded)| {
            (ResourceKey::clone(key), (encoded.resource().clone(), encoded.version()))
        };
        published.resources().map(one).collect()
    })
}

impl Holdings {
    /// What follows when this is published; `check` says what is wrong with a resource.
    pub fn next(
        &self,
        published: Vec<(ResourceKey, Versioned)>,
        check: impl Fn(&Resource) -> Result<(), String>,
    ) -> Self {
        let mut next = Self::default();
        for (key, (resource, version)) in published {
            let held = self.held.get(&key);
            let refused = self.rejected.get(&key).filter(|refused| refused.version == version).cloned();
            let refused = match refused {
                None if held.is_none_or(|(_, held)| *held != version) => {
                    check(&resource).err().map(|problem| Rejected { version, problem })
                }
                known => known,
            };
            match refused {
                None => drop(next.held.insert(key, (resource, version))),
                Some(refused) => {
                    next.held.extend(held.map(|held| (key.clone(), held.clone())));
                    next.rejected.insert(key, refused);
                }
            }
        }
        next
    }

    /// What it comes to.
    pub fn config(&self) -> Config {
        self.held.values().map(|(resource, _)| resource.clone()).collect()
    }

    /// It was put in force as `snapshot`.
    pub fn in_force(&self, snapshot: Arc<Snapshot>) -> InForce {
        let version = |(key, (_, version)): (&ResourceKey, &Versioned)| match key {
            ResourceKey::Group(id) => Some((id.clone(), *version)),
            ResourceKey::Certificate(_) | ResourceKey::Route(_) => None,
        };
        let rejected = self.rejected.iter().take(limits::PROBLEMS_KEPT);
        InForce {
            snapshot,
            versions: self.held.iter().filter_map(version).collect(),
            rejected: rejected.map(|(key, refused)| (key.to_string(), refused.clone())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use config::Group;

    use super::*;

    fn one(name: &str, version: &str) -> (ResourceKey, Versioned) {
        let id = GroupId::new("shop", name);
        let group = Resource::Group(id.clone(), Arc::new(Group::with_defaults(Vec::new())));
        (ResourceKey::Group(id), (group, Revision::of(version.as_bytes())))
    }

    fn held(holdings: &Holdings) -> Vec<(String, Revision)> {
        holdings.held.iter().map(|(key, (_, version))| (key.to_string(), *version)).collect()
    }

    #[test]
    fn what_cannot_be_used_leaves_what_was_there() {
        let (good, bad) = (|_: &Resource| Ok(()), |_: &Resource| Err("no".to_owned()));
        let first = Holdings::default().next(vec![one("app", "1")], good);
        let both = vec![one("app", "2"), one("new", "1")];
        let second = first.next(both.clone(), bad);
        assert_eq!(held(&second), [("group/shop/app".to_owned(), Revision::of(b"1"))]);
        assert_eq!(second.rejected.values().map(|refused| &*refused.problem).collect::<Vec<_>>(), ["no", "no"]);
        // Looked at once.
        assert_eq!(second.next(both, good).rejected, second.rejected);
        let third = second.next(vec![one("app", "3")], good);
        assert_eq!(held(&third), [("group/shop/app".to_owned(), Revision::of(b"3"))]);
        assert!(third.rejected.is_empty());
        assert!(held(&third.next(Vec::new(), good)).is_empty());
    }

    #[test]
    fn only_what_is_new_is_checked() {
        let asked = RefCell::new(0);
        let check = |_: &Resource| {
            *asked.borrow_mut() += 1;
            Ok(())
        };
        let first = Holdings::default().next(vec![one("app", "1")], check);
        first.next(vec![one("app", "1"), one("new", "1")], check);
        assert_eq!(*asked.borrow(), 2);
    }
}
