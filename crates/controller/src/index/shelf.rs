//! Lists that are being made: each is kept apart until it is complete.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use api::UpstreamGroup;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use super::Told;

/// Where a watch looks: everywhere, or in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In all namespaces, or where kinds without namespaces are.
    Everywhere,
    /// In this one.
    Namespace(Arc<str>),
}

/// The unfinished lists of one kind, by place.
#[derive(Debug)]
pub struct Shelf<K>(BTreeMap<Place, Vec<Told<K>>>);

/// A shelf per kind.
#[derive(Debug, Default)]
pub struct Shelves {
    pub upstream_groups: Shelf<UpstreamGroup>,
    pub ingresses: Shelf<Ingress>,
    pub ingress_classes: Shelf<IngressClass>,
    pub secrets: Shelf<Secret>,
    pub config_maps: Shelf<ConfigMap>,
    pub services: Shelf<Service>,
    pub endpoint_slices: Shelf<EndpointSlice>,
}

impl Place {
    /// Whether an object of `namespace` is seen from here.
    pub fn holds(&self, namespace: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Namespace(own) => **own == *namespace,
        }
    }
}

impl<K> Shelf<K> {
    /// A list begins; what an earlier one left unfinished is thrown away.
    pub fn begin(&mut self, place: &Place) -> Option<Vec<Told<K>>> {
        self.0.insert(place.clone(), Vec::new())
    }

    /// An object of the list.
    pub fn listed(&mut self, place: &Place, told: Told<K>) {
        self.0.entry(place.clone()).or_default().push(told);
    }

    /// The list is complete.
    pub fn finish(&mut self, place: &Place) -> Vec<Told<K>> {
        self.0.remove(place).unwrap_or_default()
    }
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => f.write_str("everywhere"),
            Self::Namespace(namespace) => write!(f, "in namespace {namespace}"),
        }
    }
}
