//! What is kept of each kind, and which difference between two versions of an object matters to whom. What translation does
//! not read ([`Kind::trim`]) is thrown away before it is stored: in a large cluster it is most of the memory.

use std::fmt::Debug;

use api::UpstreamGroup;
use config::GroupId;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use translate::kind::Kind;
use translate::references::{self, Reference};
use translate::{Objects, Store};

use super::private::{Private, Privates};
use super::shelf::{Shelf, Shelves};
use super::{News, Told};

/// A kind that is kept.
pub trait Kept: Kind + kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static {
    /// Where objects of the kind are.
    fn store(objects: &mut Objects) -> &mut Store<Self>;

    /// Where its unfinished lists are.
    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self>;

    /// Drops what nobody reads of an object that a watch tells of.
    fn told(&mut self) {
        self.trim();
    }

    /// Whether translation may come out different.
    fn differs(&self, next: &Self) -> bool;

    /// Whether the status became another.
    fn status_differs(&self, _next: &Self) -> bool {
        false
    }

    /// Notes that an object of this name is to be translated again.
    fn note(news: &mut News, namespace: &str, name: &str);

    /// Notes that an object of this name is to be looked at.
    fn glance(_news: &mut News, _namespace: &str, _name: &str) {}

    /// Of which objects the content is kept, if it is only of those that others name.
    fn private(_privates: &mut Privates) -> Option<&mut Private> {
        None
    }

    /// The names of such objects in it.
    fn named(&self) -> Vec<Reference<'_>> {
        Vec::new()
    }

    /// Drops the content.
    fn empty(&mut self) {}

    /// Whether the content was dropped, or never was here.
    fn is_empty(&self) -> bool {
        false
    }

    /// Marks the object as one that came with its content, be there none.
    fn fill(&mut self) {}

    /// The metadata, also of an object that cannot be read.
    fn meta_of(told: &Told<Self>) -> &ObjectMeta {
        match &told.0 {
            Ok(object) => object.metadata(),
            Err(invalid) => &invalid.metadata,
        }
    }
}

impl Kept for UpstreamGroup {
    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.upstream_groups
    }

    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.upstream_groups
    }

    /// The generation counts changes of the spec alone.
    fn differs(&self, next: &Self) -> bool {
        self.metadata != next.metadata || self.spec != next.spec
    }

    fn status_differs(&self, next: &Self) -> bool {
        self.status != next.status
    }

    fn named(&self) -> Vec<Reference<'_>> {
        references::of_group(self)
    }

    fn note(news: &mut News, namespace: &str, name: &str) {
        news.translate.groups.insert(GroupId::new(namespace, name));
        news.groups.insert(GroupId::new(namespace, name));
    }

    fn glance(news: &mut News, namespace: &str, name: &str) {
        news.groups.insert(GroupId::new(namespace, name));
    }
}

impl Kept for Ingress {
    fn named(&self) -> Vec<Reference<'_>> {
        references::of_ingress(self)
    }

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.ingresses
    }

    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.ingresses
    }

    fn differs(&self, next: &Self) -> bool {
        self.metadata != next.metadata || self.spec != next.spec
    }

    fn status_differs(&self, next: &Self) -> bool {
        self.status != next.status
    }

    fn note(news: &mut News, namespace: &str, name: &str) {
        news.translate.routes = true;
        Self::glance(news, namespace, name);
    }

    fn glance(news: &mut News, namespace: &str, name: &str) {
        news.ingresses.insert((namespace.into(), name.into()));
    }
}

impl Kept for IngressClass {
    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.ingress_classes
    }

    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.ingress_classes
    }

    fn differs(&self, next: &Self) -> bool {
        self != next
    }

    fn note(news: &mut News, _namespace: &str, _name: &str) {
        news.translate.routes = true;
    }
}

impl Kept for Secret {
    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.secrets
    }

    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.secrets
    }

    /// It comes with its content: without data it has none.
    fn told(&mut self) {
        self.trim();
        self.fill();
    }

    fn differs(&self, next: &Self) -> bool {
        (&self.type_, &self.data) != (&next.type_, &next.data)
    }

    fn note(news: &mut News, namespace: &str, name: &str) {
        news.translate.routes = true;
        news.translate.secrets.insert((namespace.into(), name.into()));
    }

    fn private(privates: &mut Privates) -> Option<&mut Private> {
        Some(&mut privates.secrets)
    }

    fn empty(&mut self) {
        self.data = None;
    }

    fn fill(&mut self) {
        self.data.get_or_insert_default();
    }

    fn is_empty(&self) -> bool {
        self.data.is_none()
    }
}

/// Watched by its metadata: without content until somebody fetched it.
impl Kept for ConfigMap {
    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.config_maps
    }

    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.config_maps
    }

    fn differs(&self, next: &Self) -> bool {
        (&self.data, &self.binary_data) != (&next.data, &next.binary_data)
    }

    fn note(news: &mut News, namespace: &str, name: &str) {
        news.translate.config_maps.insert((namespace.into(), name.into()));
    }

    fn private(privates: &mut Privates) -> Option<&mut Private> {
        Some(&mut privates.config_maps)
    }

    fn empty(&mut self) {
        (self.data, self.binary_data) = (None, None);
    }

    fn fill(&mut self) {
        self.data.get_or_insert_default();
    }

    fn is_empty(&self) -> bool {
        self.data.is_none()
    }
}

impl Kept for Service {
    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.services
    }

    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.services
    }

    fn differs(&self, next: &Self) -> bool {
        self.spec != next.spec
    }

    fn note(news: &mut News, namespace: &str, name: &str) {
        news.translate.services.insert((namespace.into(), name.into()));
    }
}

impl Kept for EndpointSlice {
    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.endpoint_slices
    }

    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.endpoint_slices
    }

    fn differs(&self, next: &Self) -> bool {
        let content = |slice: &Self| (slice.metadata.labels.clone(), slice.address_type.clone());
        content(self) != content(next) || self.endpoints != next.endpoints || self.ports != next.ports
    }

    fn note(news: &mut News, namespace: &str, name: &str) {
        news.translate.slices.insert((namespace.into(), name.into()));
    }
}
