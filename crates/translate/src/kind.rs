//! What every kind read here has: a name for people, metadata, and a part that is read.

use api::UpstreamGroup;
use config::{GroupId, ObjectRef};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::trim;

/// A kind of object.
pub trait Kind {
    /// As documents write it.
    const KIND: &'static str;

    /// The object's metadata.
    fn metadata(&self) -> &ObjectMeta;

    /// Drops what neither translation reads nor a status is made of.
    fn trim(&mut self);
}

macro_rules! kinds {
    ($($kind:ident $trim:ident)*) => {
        $(impl Kind for $kind {
            const KIND: &'static str = stringify!($kind);

            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn trim(&mut self) {
                trim::$trim(self);
            }
        })*
    };
}

kinds! {
    UpstreamGroup upstream_group
    Ingress ingress
    IngressClass ingress_class
    Secret secret
    ConfigMap config_map
    Service service
    EndpointSlice endpoint_slice
}

/// The object of this kind and name.
pub fn reference<K: Kind>(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef { kind: K::KIND.into(), namespace: namespace.into(), name: name.into() }
}

/// The `UpstreamGroup` of this name.
pub fn reference_of(group: &GroupId) -> ObjectRef {
    reference::<UpstreamGroup>(group.namespace(), group.name())
}

/// The object's namespace; empty for cluster-scoped kinds.
pub fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

/// The object's name.
pub fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// The value of an annotation.
pub fn annotation<'m>(meta: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}
