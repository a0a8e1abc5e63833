//! Of Secrets and `ConfigMap`s the content is kept of those alone that others name: here is who names which, and what is thrown
//! away.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{CaReferenceKind, UpstreamGroup};
use translate::{ByName, Located, Name, Objects, Store};

use super::Kept;

/// One kind of which only a part is kept.
#[derive(Debug, Default)]
pub struct Private {
    /// What is named.
    pub wanted: ByName<()>,
    /// What has no content here.
    pub emptied: BTreeSet<Name>,
}

impl Private {
    /// Drops the content of what nothing names.
    pub fn drop_unwanted<K: Kept>(&mut self, store: &mut Store<K>) {
        let held = store.iter().filter(|(_, object)| !object.is_empty()).map(|(name, _)| name);
        let unwanted: Vec<Name> = held.filter(|name| !self.is_wanted(name)).collect();
        for (namespace, name) in unwanted {
            if let Some(object) = store.find_mut(&namespace, &name) {
                let mut bare = object.object.clone();
                bare.empty();
                *object = Arc::new(Located::from(bare));
                self.emptied.insert((namespace, name));
            }
        }
    }

    /// What is named and has no content here.
    pub fn missed(&self) -> BTreeSet<Name> {
        self.emptied.iter().filter(|name| self.is_wanted(name)).cloned().collect()
    }

    /// Adds names.
    pub fn want(&mut self, names: &ByName<()>) {
        for ((namespace, name), ()) in names.iter() {
            self.wanted.insert(&namespace, &name, ());
        }
    }

    fn is_wanted(&self, (namespace, name): &Name) -> bool {
        self.wanted.find(namespace, name).is_some()
    }
}

/// The Secrets and the `ConfigMap`s that Ingresses and groups name.
pub fn of(objects: &Objects) -> (ByName<()>, ByName<()>) {
    let (mut secrets, mut config_maps) = (ByName::default(), ByName::default());
    for ((namespace, _), ingress) in objects.ingresses.iter() {
        let named = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten());
        for secret in named.filter_map(|tls| tls.secret_name.as_deref()) {
            secrets.insert(&namespace, secret, ());
        }
    }
    for ((namespace, _), group) in objects.upstream_groups.iter() {
        for (kind, name) in named(group) {
            let wanted = match kind {
                CaReferenceKind::Secret => &mut secrets,
                CaReferenceKind::ConfigMap => &mut config_maps,
            };
            wanted.insert(&namespace, name, ());
        }
    }
    (secrets, config_maps)
}

/// Whether the group names one of these.
pub fn names_any(group: &UpstreamGroup, secrets: &BTreeSet<Name>, config_maps: &BTreeSet<Name>) -> bool {
    let namespace: Arc<str> = group.metadata.namespace.as_deref().unwrap_or_default().into();
    named(group).any(|(kind, name)| {
        let name = (namespace.clone(), name.into());
        match kind {
            CaReferenceKind::Secret => secrets.contains(&name),
            CaReferenceKind::ConfigMap => config_maps.contains(&name),
        }
    })
}

fn named(group: &UpstreamGroup) -> impl Iterator<Item = (CaReferenceKind, &str)> {
    let tls = group.spec.tls.as_ref();
    let shown = tls.and_then(|tls| tls.client_certificate_ref.as_ref());
    let authorities = tls.and_then(|tls| tls.ca_certificate_ref.as_ref());
    let shown = shown.map(|shown| (CaReferenceKind::Secret, shown.name.as_str()));
    shown.into_iter().chain(authorities.map(|authorities| (authorities.kind, authorities.name.as_str())))
}
