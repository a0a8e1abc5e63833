//! The objects a configuration is made of, each with the place it was read from, if it was read from a file.

use std::ops::Deref;
use std::sync::Arc;

use api::UpstreamGroup;
use config::{Diagnostic, Location};
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use super::SourceMap;

/// What reading files gave.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// The objects that are whole.
    pub objects: Objects,
    /// What is wrong or skipped, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Objects by kind, in the order they were read. Their metadata is complete: each has a name and, where its kind has one, a
/// namespace; `(kind, namespace, name)` is unique.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// `forebay.dev/v1alpha1` `UpstreamGroup`
    pub upstream_groups: Vec<Located<UpstreamGroup>>,
    /// `networking.k8s.io/v1` `Ingress`
    pub ingresses: Vec<Located<Ingress>>,
    /// `networking.k8s.io/v1` `IngressClass`
    pub ingress_classes: Vec<Located<IngressClass>>,
    /// `v1` `Secret`
    pub secrets: Vec<Located<Secret>>,
    /// `v1` `Service`
    pub services: Vec<Located<Service>>,
    /// `discovery.k8s.io/v1` `EndpointSlice`
    pub endpoint_slices: Vec<Located<EndpointSlice>>,
}

/// An object and where it stands in a file; objects of a cluster stand nowhere.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The object.
    pub object: T,
    /// Its text, when it came from a file.
    pub source: Option<Arc<SourceMap>>,
}

impl<T> Located<T> {
    /// Where the field `path` stands, such as `spec.servers[0].weight`; if it was left out, where the object that would hold
    /// it stands. `None` without a file.
    pub fn locate(&self, path: &str) -> Option<Location> {
        self.source.as_ref().map(|source| source.locate(path))
    }
}

impl<T> From<T> for Located<T> {
    fn from(object: T) -> Self {
        Self { object, source: None }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}
