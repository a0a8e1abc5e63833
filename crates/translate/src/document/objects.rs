//! The objects a configuration is made of, each with the place it was read from, if it was read from a file.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use api::UpstreamGroup;
use config::{Diagnostic, Location, ObjectRef};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use super::SourceMap;
use crate::by_name::ByName;
use crate::kind::{Kind, name, namespace, reference};
use crate::references::References;

/// What reading files gave.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// The objects that can be read, those with [`Located::faults`] too: what refers to them does not lead nowhere. Whoever finds
    /// an error among the diagnostics uses none of them.
    pub objects: Objects,
    /// What is wrong or skipped, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Refused objects that are read on only for what else is wrong with them: those that can be read in part, and below them
    /// the second ones of a name, the third ones, and so on.
    pub apart: Vec<Objects>,
}

/// The objects of one kind.
pub type Store<T> = ByName<Arc<Located<T>>>;

/// Objects by kind and name. Cloning shares the objects.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// `forebay.dev/v1alpha1` `UpstreamGroup`
    pub upstream_groups: Store<UpstreamGroup>,
    /// `networking.k8s.io/v1` `Ingress`
    pub ingresses: Store<Ingress>,
    /// `networking.k8s.io/v1` `IngressClass`
    pub ingress_classes: Store<IngressClass>,
    /// `v1` `Secret`
    pub secrets: Store<Secret>,
    /// `v1` `ConfigMap`
    pub config_maps: Store<ConfigMap>,
    /// `v1` `Service`
    pub services: Store<Service>,
    /// `discovery.k8s.io/v1` `EndpointSlice`
    pub endpoint_slices: Store<EndpointSlice>,
    /// Objects of which the content is on its way: whoever names one stays as it is until it is here.
    pub fetching: References,
    /// Objects that were written, but so that nothing of them can be read: what refers to them is not said to lead nowhere.
    pub refused: BTreeSet<ObjectRef>,
}

/// An object and where it stands in a file; objects of a cluster stand nowhere.
#[derive(Clone)]
pub struct Located<T> {
    /// The object.
    pub object: T,
    /// Its text, when it came from a file.
    pub source: Option<Arc<SourceMap>>,
    /// The fields in which an error was found already. With one, a group or an Ingress is refused, and read on only for what else
    /// is wrong with it; objects of other kinds, which are looked at for those that refer to them, are looked at all the same.
    pub faults: Vec<String>,
}

impl Objects {
    /// Whether there is no object at all.
    pub fn is_empty(&self) -> bool {
        let Self {
            upstream_groups,
            ingresses,
            ingress_classes,
            secrets,
            config_maps,
            services,
            endpoint_slices,
            fetching: _,
            refused,
        } = self;
        let routes = upstream_groups.is_empty() && ingresses.is_empty() && ingress_classes.is_empty();
        let held = secrets.is_empty() && config_maps.is_empty();
        routes && held && services.is_empty() && endpoint_slices.is_empty() && refused.is_empty()
    }

    /// These objects, with those of `layer` in place of what has their names.
    #[must_use]
    pub fn with(&self, layer: &Self) -> Self {
        fn put<T: Kind>(store: &mut Store<T>, layer: &Store<T>) {
            for ((namespace, name), object) in layer.iter() {
                store.insert(&namespace, &name, object.clone());
            }
        }
        let mut all = self.clone();
        put(&mut all.upstream_groups, &layer.upstream_groups);
        put(&mut all.ingresses, &layer.ingresses);
        put(&mut all.ingress_classes, &layer.ingress_classes);
        put(&mut all.secrets, &layer.secrets);
        put(&mut all.config_maps, &layer.config_maps);
        put(&mut all.services, &layer.services);
        put(&mut all.endpoint_slices, &layer.endpoint_slices);
        let here = layer.references();
        all.refused.retain(|object| !here.contains(object));
        all
    }

    /// What the objects are called.
    pub fn references(&self) -> BTreeSet<ObjectRef> {
        fn of<T: Kind>(store: &Store<T>) -> impl Iterator<Item = ObjectRef> {
            store.values().map(|object| object.reference())
        }
        let routes = of(&self.upstream_groups).chain(of(&self.ingresses)).chain(of(&self.ingress_classes));
        let held = of(&self.secrets).chain(of(&self.config_maps));
        routes.chain(held).chain(of(&self.services)).chain(of(&self.endpoint_slices)).collect()
    }

    /// Whether the object was written and is not here.
    pub fn is_refused(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.refused.contains(&ObjectRef { kind: kind.into(), namespace: namespace.into(), name: name.into() })
    }
}

impl<T: Kind> Store<T> {
    /// What was likely meant by a name that is not there, if it was read from a file. Objects of a cluster come and go, and who
    /// names what is missing is not read again for each.
    pub fn nearest(&self, namespace: &str, name: &str) -> Option<String> {
        let written = self.namespace(namespace).filter(|(_, object)| object.source.is_some());
        let names: Vec<_> = written.map(|((_, name), _)| name).collect();
        config::nearest(name, names.iter().map(|name| &**name)).map(str::to_owned)
    }

    /// Files an object by its metadata; returns the one it replaces.
    pub fn put(&mut self, object: impl Into<Located<T>>) -> Option<Arc<Located<T>>> {
        let object = Arc::new(object.into());
        let meta = object.metadata();
        let (namespace, name) = (namespace(meta).to_owned(), name(meta).to_owned());
        self.insert(&namespace, &name, object)
    }
}

impl<T: Kind> Located<T> {
    /// What it is called.
    pub fn reference(&self) -> ObjectRef {
        let meta = self.metadata();
        reference::<T>(namespace(meta), name(meta))
    }
}

impl<T: Kind> fmt::Debug for Located<T> {
    /// Its name alone: the content may be a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meta = self.object.metadata();
        write!(f, "{} {}/{}", T::KIND, namespace(meta), name(meta))
    }
}

impl<T> Located<T> {
    /// Whether an error was found in the field `path` or in a part of it: what else is wrong there follows from it.
    pub fn is_faulty(&self, path: &str) -> bool {
        let is_part = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        self.faults.iter().any(|fault| fault.strip_prefix(path).is_some_and(is_part))
    }

    /// Where the field `path` stands, such as `spec.servers[0].weight`; if it was left out, where the object that would hold
    /// it stands. `None` without a file.
    pub fn locate(&self, path: &str) -> Option<Location> {
        self.source.as_ref().map(|source| source.locate(path))
    }
}

impl<T> From<T> for Located<T> {
    fn from(object: T) -> Self {
        Self { object, source: None, faults: Vec::new() }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}
