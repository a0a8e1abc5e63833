//! What a data plane has: the resources in force with the versions a controller gave them, and the batch that will replace
//! some of them at the next commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Config, Resource, ResourceKey, Revision, Routes};

use crate::limits;
use crate::violation::Violation;

/// One resource in force.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub resource: Resource,
    /// The version a controller gave it; `None` where the content here may be less than that version promises.
    pub version: Option<Revision>,
}

impl Held {
    fn version(&self) -> Revision {
        self.version.unwrap_or_else(|| self.resource.revision())
    }
}

#[derive(Debug)]
pub(super) struct Holdings {
    held: BTreeMap<ResourceKey, Held>,
    routes: Arc<Routes>,
    revision: Revision,
}

impl Default for Holdings {
    fn default() -> Self {
        Self { held: BTreeMap::new(), routes: Arc::default(), revision: Revision::NOTHING }
    }
}

/// A batch that is not in force yet.
#[derive(Debug, Default)]
pub(super) struct Staged(BTreeMap<ResourceKey, Option<Held>>);

impl Staged {
    pub fn put(&mut self, key: ResourceKey, held: Held, holdings: &Holdings) -> Result<(), Violation> {
        self.0.insert(key, Some(held));
        // Counting both is simple and at most twice too much; a controller publishes half of this bound at most.
        if self.0.len() + holdings.held.len() > 2 * limits::RESOURCES {
            return Err(Violation::TooManyResources { max: limits::RESOURCES });
        }
        Ok(())
    }

    pub fn del(&mut self, key: ResourceKey, holdings: &Holdings) {
        if holdings.held.contains_key(&key) {
            self.0.insert(key, None);
        } else {
            self.0.remove(&key);
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Holdings {
    /// Puts a batch in force. `false`: nothing is different.
    pub fn apply(&mut self, staged: Staged) -> bool {
        let (mut changed, mut rerouted) = (false, false);
        for (key, next) in staged.0 {
            let is_route = matches!(key, ResourceKey::Route(_));
            let last = self.held.get(&key);
            let same = last.map(|held| &held.resource) == next.as_ref().map(|held| &held.resource);
            if let Some(last) = last {
                self.revision = self.revision.without(&key, last.version());
            }
            if let Some(next) = &next {
                self.revision = self.revision.with(&key, next.version());
            }
            match next {
                Some(held) => self.held.insert(key, held),
                None => self.held.remove(&key),
            };
            changed |= !same;
            rerouted |= !same && is_route;
        }
        if rerouted {
            let routes = self.resources().filter_map(|one| match one {
                Resource::Route(host) => Some(host.clone()),
                Resource::Certificate(..) | Resource::Group(..) => None,
            });
            self.routes = Arc::new(Routes { hosts: routes.collect() });
        }
        changed
    }

    /// Removes what no controller confirmed. `false`: nothing was there.
    pub fn drop_all(&mut self, keys: BTreeSet<ResourceKey>) -> bool {
        self.apply(Staged(keys.into_iter().map(|key| (key, None)).collect()))
    }

    /// The whole, with routes shared with the last one where they are equal.
    pub fn config(&self) -> Config {
        let groups = self.resources().filter_map(|one| match one {
            Resource::Group(id, group) => Some((id.clone(), group.clone())),
            Resource::Certificate(..) | Resource::Route(_) => None,
        });
        let certificates = self.resources().filter_map(|one| match one {
            Resource::Certificate(id, certificate) => Some((id.clone(), certificate.clone())),
            Resource::Group(..) | Resource::Route(_) => None,
        });
        // Collecting what is sorted already costs a copy, where inserting one by one would compare names again.
        Config { groups: groups.collect(), certificates: certificates.collect(), routes: self.routes.clone() }
    }

    /// The version of the whole, from those of its parts as the controller gave them: equal to [`Config::revision`] where
    /// both ends are of one release.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ResourceKey, &Held)> {
        self.held.iter()
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.held.values().map(|held| &held.resource)
    }
}
