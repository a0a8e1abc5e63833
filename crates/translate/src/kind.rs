//! What every kind read here has: a name for people, and metadata.

use api::UpstreamGroup;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A kind of object.
pub trait Kind {
    /// As documents write it.
    const KIND: &'static str;

    /// The object's metadata.
    fn metadata(&self) -> &ObjectMeta;
}

macro_rules! kinds {
    ($($kind:ident)*) => {
        $(impl Kind for $kind {
            const KIND: &'static str = stringify!($kind);

            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }
        })*
    };
}

kinds! { UpstreamGroup Ingress IngressClass Secret ConfigMap Service EndpointSlice }

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
