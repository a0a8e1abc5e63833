//! What translation reads of each kind, as what is left when the rest is thrown away. Whoever follows a large cluster does so
//! with each object before it is kept. Who reads another field leaves it here: the tests translate what they have trimmed, too,
//! and find whatever comes out different.

use api::UpstreamGroup;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::keyring::{AUTHORITIES, CERTIFICATE, PRIVATE_KEY};
use crate::slices::SERVICE_NAME;

/// A copy of the whole object, as `kubectl apply` leaves it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What identifies an object and its version.
fn identity(meta: &mut ObjectMeta) {
    *meta = ObjectMeta {
        name: meta.name.take(),
        namespace: meta.namespace.take(),
        uid: meta.uid.take(),
        generation: meta.generation,
        creation_timestamp: meta.creation_timestamp.take(),
        ..ObjectMeta::default()
    };
}

/// The annotations besides.
fn annotated(meta: &mut ObjectMeta) {
    let mut annotations = meta.annotations.take();
    if let Some(annotations) = &mut annotations {
        annotations.remove(LAST_APPLIED);
    }
    identity(meta);
    meta.annotations = annotations;
}

pub fn upstream_group(group: &mut UpstreamGroup) {
    identity(&mut group.metadata);
}

pub fn ingress(ingress: &mut Ingress) {
    annotated(&mut ingress.metadata);
}

pub fn ingress_class(class: &mut IngressClass) {
    annotated(&mut class.metadata);
}

pub fn secret(secret: &mut Secret) {
    let is_read = |key: &str| [CERTIFICATE, PRIVATE_KEY, AUTHORITIES].contains(&key);
    identity(&mut secret.metadata);
    secret.data.iter_mut().for_each(|data| data.retain(|key, _| is_read(key)));
    secret.string_data.iter_mut().for_each(|data| data.retain(|key, _| is_read(key)));
}

pub fn config_map(map: &mut ConfigMap) {
    identity(&mut map.metadata);
    map.data.iter_mut().for_each(|data| data.retain(|key, _| key == AUTHORITIES));
    map.binary_data.iter_mut().for_each(|data| data.retain(|key, _| key == AUTHORITIES));
}

pub fn service(service: &mut Service) {
    identity(&mut service.metadata);
    service.status = None;
    service.spec = service.spec.take().map(|spec| ServiceSpec {
        type_: spec.type_,
        ports: spec.ports,
        ip_families: spec.ip_families,
        ..ServiceSpec::default()
    });
}

pub fn endpoint_slice(slice: &mut EndpointSlice) {
    let service = slice.metadata.labels.as_mut().and_then(|labels| labels.remove_entry(SERVICE_NAME));
    identity(&mut slice.metadata);
    slice.metadata.labels = service.map(|label| [label].into());
    for endpoint in &mut slice.endpoints {
        endpoint.deprecated_topology = None;
        endpoint.hostname = None;
        endpoint.node_name = None;
    }
}
