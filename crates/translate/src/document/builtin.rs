//! The schema of every kind: ours from its CRD, Kubernetes' own from the types, with the limits added that the API server
//! keeps in code rather than in its schema (kubernetes `pkg/apis/*/validation`).

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};

use super::kinds::Kind;

/// The schema of whole objects of this kind.
pub(super) fn schema(kind: Kind) -> Json {
    let mut schema = match kind {
        Kind::UpstreamGroup => with_type_and_metadata(api::crd_schema().clone()),
        Kind::Ingress => derived::<Ingress>(),
        Kind::IngressClass => derived::<IngressClass>(),
        Kind::Secret => derived::<Secret>(),
        Kind::ConfigMap => derived::<ConfigMap>(),
        Kind::Service => derived::<Service>(),
        Kind::EndpointSlice => derived::<EndpointSlice>(),
    };
    for (path, limits) in limits(kind) {
        add(&mut schema, path, &limits);
    }
    add(&mut schema, "", &json!({"required": required(kind)}));
    schema
}

fn derived<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// A CRD's schema leaves out what every object has.
fn with_type_and_metadata(mut schema: Json) -> Json {
    let text = json!({"type": "string"});
    schema["properties"]["apiVersion"] = text.clone();
    schema["properties"]["kind"] = text;
    schema["properties"]["metadata"] = derived::<ObjectMeta>();
    schema
}

/// What an API server prints must be taken, and it prints an empty list as null, such as the `endpoints` of a Service without
/// pods: so no list is here.
fn required(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::UpstreamGroup => &["metadata", "spec"],
        Kind::Ingress | Kind::IngressClass | Kind::Secret | Kind::ConfigMap | Kind::Service => &["metadata"],
        Kind::EndpointSlice => &["metadata", "addressType"],
    }
}

fn limits(kind: Kind) -> Vec<(&'static str, Json)> {
    let port = json!({"minimum": 1, "maximum": 65535});
    let protocol = json!({"enum": ["TCP", "UDP", "SCTP"]});
    match kind {
        Kind::UpstreamGroup | Kind::IngressClass | Kind::Secret | Kind::ConfigMap => vec![],
        Kind::Ingress => vec![
            ("spec.rules[].http.paths[].pathType", json!({"enum": ["Exact", "ImplementationSpecific", "Prefix"]})),
            ("spec.rules[].http.paths[].backend.service.port.number", port.clone()),
            ("spec.defaultBackend.service.port.number", port),
        ],
        Kind::Service => vec![
            ("spec.type", json!({"enum": ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]})),
            ("spec.ports", json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})),
            ("spec.ports[].port", port),
            ("spec.ports[].protocol", protocol),
        ],
        Kind::EndpointSlice => vec![
            ("addressType", json!({"enum": ["FQDN", "IPv4", "IPv6"]})),
            ("endpoints", json!({"maxItems": 1000})),
            ("endpoints[].addresses", json!({"minItems": 1, "maxItems": 100})),
            (
                "ports",
                json!({"maxItems": 100, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
            ),
            ("ports[].port", port),
            ("ports[].protocol", protocol),
        ],
    }
}

/// Adds keywords to the schema of the field `path`.
fn add(schema: &mut Json, path: &str, keywords: &Json) {
    let mut target = schema;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let name = step.trim_end_matches("[]");
        target = &mut target["properties"][name];
        if name != step {
            target = &mut target["items"];
        }
    }
    for (keyword, value) in keywords.as_object().into_iter().flatten() {
        target[keyword] = value.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What schema generation leaves must be what the validator understands, or it would allow anything unseen.
    #[test]
    fn every_schema_has_a_type_and_no_indirection() {
        fn walk(path: &str, schema: &Json) {
            let map = schema.as_object().unwrap_or_else(|| panic!("{path}: {schema}"));
            for keyword in ["$ref", "oneOf", "allOf", "definitions", "$defs"] {
                assert!(!map.contains_key(keyword), "{path}: {keyword}");
            }
            let is_port = map.contains_key("x-kubernetes-int-or-string");
            assert!(schema["type"].is_string() || is_port || path.ends_with("fieldsV1"), "{path}: {schema}");
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                walk(&format!("{path}.{name}"), property);
            }
            for below in ["items", "additionalProperties"] {
                if schema[below].is_object() {
                    walk(&format!("{path}[]"), &schema[below]);
                }
            }
        }
        for kind in Kind::ALL {
            walk(kind.name(), &schema(kind));
        }
    }

    #[test]
    fn limits_are_added_to_fields_that_exist() {
        for kind in Kind::ALL {
            for (path, _) in limits(kind) {
                let mut bare = schema(kind);
                let mut at = &mut bare;
                for step in path.split('.') {
                    at = &mut at["properties"][step.trim_end_matches("[]")];
                    assert!(at["type"].is_string() || step == "port", "{path}: {at}");
                    if step.ends_with("[]") {
                        at = &mut at["items"];
                    }
                }
            }
        }
    }
}
