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
    let mut crd = serde_json::to_value(crd()).expect("a CRD is JSON");
    whole_numbers(&mut crd);
    serde_saphyr::to_string(&crd).expect("JSON has string keys and no fallible serializer")
}

/// Takes out what only says that a field may be null, and joins the lines of descriptions.
fn normalise(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if map.get("title").is_some_and(Value::is_string) {
                map.remove("title");
            }
            if let Some(Value::Array(values)) = map.get_mut("enum") {
                values.retain(|value| !value.is_null());
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

/// Limits are floating point numbers in the types of a CRD; ours are whole and are written so.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) => {
            if let Ok(whole) = number.to_string().trim_end_matches(".0").parse::<i64>() {
                *number = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
