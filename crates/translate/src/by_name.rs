//! Things by namespace and name, found by what a reference says without making a key of it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A map from namespace (empty for cluster-scoped kinds) and name. Iterates in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByName<T>(BTreeMap<Arc<str>, BTreeMap<Arc<str>, T>>);

/// Namespace and name.
pub type Name = (Arc<str>, Arc<str>);

impl<T> ByName<T> {
    /// Files a thing; returns what stood there.
    pub fn insert(&mut self, namespace: &str, name: &str, thing: T) -> Option<T> {
        match self.0.get_mut(namespace) {
            Some(names) => names.insert(name.into(), thing),
            None => self.0.entry(namespace.into()).or_default().insert(name.into(), thing),
        }
    }

    /// Takes a thing out.
    pub fn remove(&mut self, namespace: &str, name: &str) -> Option<T> {
        let names = self.0.get_mut(namespace)?;
        let thing = names.remove(name);
        if names.is_empty() {
            self.0.remove(namespace);
        }
        thing
    }

    /// The thing of this name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<&T> {
        self.0.get(namespace)?.get(name)
    }

    /// The thing of this name, to be changed.
    pub fn find_mut(&mut self, namespace: &str, name: &str) -> Option<&mut T> {
        self.0.get_mut(namespace)?.get_mut(name)
    }

    /// Everything with its name.
    pub fn iter(&self) -> impl Iterator<Item = (Name, &T)> {
        let named = |(namespace, names): (_, _)| within(namespace, names);
        self.0.iter().flat_map(named)
    }

    /// Everything of one namespace, with its name.
    pub fn namespace(&self, namespace: &str) -> impl Iterator<Item = (Name, &T)> {
        self.0.get_key_value(namespace).into_iter().flat_map(|(namespace, names)| within(namespace, names))
    }

    /// Everything.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.values().flat_map(BTreeMap::values)
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn within<'m, T>(namespace: &'m Arc<str>, names: &'m BTreeMap<Arc<str>, T>) -> impl Iterator<Item = (Name, &'m T)> {
    names.iter().map(|(name, thing)| ((namespace.clone(), name.clone()), thing))
}

impl<T: Default> ByName<T> {
    /// The thing of this name, made if it is not there.
    pub fn entry(&mut self, namespace: &str, name: &str) -> &mut T {
        self.0.entry(namespace.into()).or_default().entry(name.into()).or_default()
    }
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}
