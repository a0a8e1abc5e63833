//! The CustomResourceDefinition, made from the types. What the derive leaves that Kubernetes need not see is taken out here:
//! absent and null are the same to the API server, so nothing is `nullable`, and descriptions are paragraphs, not lines.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::UpstreamGroup;

static CRD: LazyLock<CustomResourceDefinition> = LazyLock::new(|| {
    let mut crd = serde_json::to_value(UpstreamGroup::crd()).expect("a derived CRD is JSON");
    normalise(&mut crd);
    serde_json::from_value(crd).expect("taking out optional keywords leaves a CRD")
});

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let schema = CRD.spec.versions.first().and_then(|version| version.schema.as_ref());
    let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
    serde_json::to_value(schema.expect("a derived CRD has a schema")).expect("a schema is JSON")
});

/// The definition of `UpstreamGroup` to be created in a cluster.
pub fn crd() -> &'static CustomResourceDefinition {
    &CRD
}

/// Its structural OpenAPI v3 schema, the root of which is the whole object.
pub fn crd_schema() -> &'static Value {
    &SCHEMA
}

/// Its text as YAML: what `forebay crd` prints and `manifests/crd/` holds.
pub fn crd_yaml() -> String {
    serde_saphyr::to_string(crd()).expect("a CRD has string keys and no fallible serializer")
}

fn normalise(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if let Some(Value::String(description)) = map.get_mut("description") {
                *description = one_line_per_paragraph(description);
            }
            map.values_mut().for_each(normalise);
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn one_line_per_paragraph(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}
