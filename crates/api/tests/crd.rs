//! The CRD as the API server will see it: structural, bounded, described, and the same as the committed text.

use std::path::Path;

use kube::core::cel::{compile_schema, estimate_rule_cost};
use serde_json::Value;

/// Calls `check` with every schema below `schema` and its path.
fn walk(path: &str, schema: &Value, check: &mut dyn FnMut(&str, &Value)) {
    check(path, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            walk(&format!("{path}.{name}"), property, check);
        }
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], check);
    }
}

#[test]
fn the_committed_text_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/crd/forebay.dev_upstreamgroups.yaml");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == api::crd_yaml(), "manifests/crd has drifted; run: cargo xtask generate");
}

#[test]
fn every_schema_is_structural() {
    walk("", api::crd_schema(), &mut |path, schema| {
        let map = schema.as_object().unwrap();
        for keyword in ["oneOf", "anyOf", "allOf", "not", "$ref", "nullable", "additionalProperties", "title"] {
            assert!(!map.contains_key(keyword), "{path}: {keyword}");
        }
        assert!(!map.contains_key("x-kubernetes-preserve-unknown-fields"), "{path}");
        assert!(map.contains_key("type") || map.contains_key("x-kubernetes-int-or-string"), "{path}: no type");
        if let Some(format) = schema["format"].as_str() {
            assert!(["int32", "int64", "date-time"].contains(&format), "{path}: format {format}");
        }
        assert!(!schema["enum"].as_array().is_some_and(|values| values.contains(&Value::Null)), "{path}");
    });
}

#[test]
fn every_field_has_a_description_and_every_spec_list_and_text_a_bound() {
    walk("", api::crd_schema(), &mut |path, schema| {
        if !path.ends_with("[]") {
            assert!(!schema["description"].as_str().unwrap_or_default().is_empty(), "{path}: no description");
        }
        if !path.starts_with(".spec") {
            return;
        }
        match schema["type"].as_str() {
            Some("array") => assert!(schema["maxItems"].is_u64(), "{path}: no maxItems"),
            Some("string") => {
                assert!(schema["maxLength"].is_u64() || schema["enum"].is_array(), "{path}: no maxLength");
            }
            // The API server does not hold a number to its format; what it lets pass must be readable all the same.
            Some("integer") => {
                assert!(schema["minimum"].is_number() && schema["maximum"].is_number(), "{path}: no bounds");
            }
            _ => {}
        }
    });
}

#[test]
fn every_optional_value_has_a_default_or_says_what_leaving_it_out_means() {
    walk("", api::crd_schema(), &mut |path, schema| {
        let (Some(properties), true) = (schema["properties"].as_object(), path.starts_with(".spec")) else { return };
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in properties {
            let description = property["description"].as_str().unwrap();
            let is_union_member = property["type"] == "object" || ["address", "route"].contains(&name.as_str());
            let explained = property.get("default").is_some() || description.contains("Not set:");
            assert!(required.contains(&name.as_str()) || explained || is_union_member, "{path}.{name}");
        }
    });
}

#[test]
fn every_list_says_how_it_merges() {
    walk("", api::crd_schema(), &mut |path, schema| {
        if schema["type"] == "array" {
            assert!(schema["x-kubernetes-list-type"].is_string(), "{path}");
        }
    });
}

#[test]
fn every_rule_compiles_has_a_message_and_is_cheap() {
    let mut rules = 0;
    walk("", api::crd_schema(), &mut |path, schema| {
        let compiled = compile_schema(schema);
        assert!(!compiled.has_errors(), "{path}: {:?}", compiled.compilation_errors());
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            assert!(rule["message"].as_str().is_some_and(|message| !message.is_empty()), "{path}: no message");
            let warnings = estimate_rule_cost(rule["rule"].as_str().unwrap(), &compiled);
            assert!(warnings.is_empty(), "{path}: {warnings:?}");
        }
    });
    assert_eq!(rules, 15, "every rule has its two sides in tests/rules/table.rs; add those of the new one");
}

#[test]
fn names_columns_and_subresource() {
    let crd = api::crd();
    assert_eq!(crd.metadata.name.as_deref(), Some("upstreamgroups.forebay.dev"));
    assert_eq!(crd.spec.scope, "Namespaced");
    assert_eq!(crd.spec.names.short_names.as_deref(), Some(["ug".to_owned()].as_slice()));
    assert_eq!(crd.spec.names.categories.as_deref(), Some(["forebay".to_owned()].as_slice()));
    let version = &crd.spec.versions[0];
    assert!(version.served && version.storage && version.subresources.as_ref().unwrap().status.is_some());
    let columns = version.additional_printer_columns.as_ref().unwrap();
    let names = |wide: bool| -> Vec<&str> {
        columns.iter().filter(|c| (c.priority == Some(1)) == wide).map(|c| c.name.as_str()).collect()
    };
    assert_eq!(names(false), ["Method", "Servers", "Tier", "Accepted", "Programmed", "Age"]);
    assert_eq!(names(true), ["Proxies", "Revision"]);
}
