//! What a translation is told of, and what it says came out different.

use std::collections::BTreeSet;

use config::{GroupId, ResourceKey};

use crate::by_name::Name;
use crate::document::Objects;

/// Which objects are new, different or gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// `UpstreamGroup`s.
    pub groups: BTreeSet<GroupId>,
    /// Services.
    pub services: BTreeSet<Name>,
    /// `EndpointSlice`s.
    pub slices: BTreeSet<Name>,
    /// Secrets that groups name.
    pub secrets: BTreeSet<Name>,
    /// `ConfigMap`s.
    pub config_maps: BTreeSet<Name>,
    /// Some Ingress, `IngressClass` or Secret that an Ingress names.
    pub routes: bool,
}

/// What may have come out different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Pieces of the configuration.
    pub resources: BTreeSet<ResourceKey>,
    /// `UpstreamGroup`s whose verdict is another.
    pub groups: BTreeSet<GroupId>,
    /// Ingresses of which something else is said, or that are ours no longer or only now.
    pub ingresses: BTreeSet<Name>,
    /// Services of whose slices something else may be said, or that somebody refers to only now or no longer.
    pub services: BTreeSet<Name>,
    /// Whether something else is said of `IngressClass`es.
    pub classes: bool,
    /// [`crate::Translator::references`] are others.
    pub references: bool,
}

impl Changed {
    /// Every object there is.
    pub fn everything(objects: &Objects) -> Self {
        let unread = objects.refused.iter().filter(|object| &*object.kind == api::KIND);
        let unread = unread.map(|object| (object.namespace.clone(), object.name.clone()));
        let groups = objects.upstream_groups.iter().map(|(name, _)| name).chain(unread);
        Self {
            groups: groups.map(|(namespace, name)| GroupId::new(&namespace, &name)).collect(),
            services: objects.services.iter().map(|(name, _)| name).collect(),
            slices: objects.endpoint_slices.iter().map(|(name, _)| name).collect(),
            secrets: objects.secrets.iter().map(|(name, _)| name).collect(),
            config_maps: objects.config_maps.iter().map(|(name, _)| name).collect(),
            routes: true,
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        let Self { groups, services, slices, secrets, config_maps, routes } = self;
        let held = secrets.is_empty() && config_maps.is_empty();
        groups.is_empty() && services.is_empty() && slices.is_empty() && held && !routes
    }
}

impl Touched {
    /// Adds what another update touched.
    pub fn extend(&mut self, other: Self) {
        let Self { resources, groups, ingresses, services, classes, references } = other;
        self.resources.extend(resources);
        self.groups.extend(groups);
        self.ingresses.extend(ingresses);
        self.services.extend(services);
        self.classes |= classes;
        self.references |= references;
    }
}
