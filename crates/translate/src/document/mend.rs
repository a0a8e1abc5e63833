//! Something readable in place of what is not, so that the rest of an object is read, too. What stands in was said to be
//! wrong; nothing more is said of it ([`super::Located::is_faulty`]), and the object is refused whatever comes of it.

use serde_json::Value as Json;

use super::encoding;
use super::schema::{Format, Schema, Shape};

/// Replaces what the types of `schema` cannot hold, and fills in what they need.
pub(super) fn mend(json: &mut Json, schema: &Schema) {
    if !fits(json, schema) {
        *json = stand_in(schema);
        return;
    }
    match (&schema.shape, json) {
        (Shape::Struct { fields, required }, Json::Object(map)) => {
            for (name, value) in map.iter_mut() {
                if let Some(field) = fields.get(name) {
                    mend(value, field);
                }
            }
            for name in required {
                let missing = || fields.get(name).map_or(Json::Null, stand_in);
                map.entry(name).or_insert_with(missing);
            }
        }
        (Shape::Map(values), Json::Object(map)) => map.values_mut().for_each(|value| mend(value, values)),
        (Shape::List { items, .. }, Json::Array(list)) => list.iter_mut().for_each(|item| mend(item, items)),
        _ => {}
    }
}

fn fits(json: &Json, schema: &Schema) -> bool {
    let is_int32 = || json.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
    let is_listed = || schema.values.is_empty() || schema.values.contains(json);
    match (&schema.shape, json) {
        (Shape::Any, _)
        | (Shape::Boolean, Json::Bool(_))
        | (Shape::Number, Json::Number(_))
        | (Shape::Struct { .. } | Shape::Map(_), Json::Object(_))
        | (Shape::List { .. }, Json::Array(_)) => true,
        (Shape::Integer, Json::Number(number)) => is_int32() || schema.format != Format::Int32 && number.is_i64(),
        (Shape::IntegerOrText, Json::Number(_)) => is_int32(),
        (Shape::Text | Shape::IntegerOrText, Json::String(text)) => {
            is_listed()
                && match schema.format {
                    Format::Byte => encoding::is_base64(text),
                    Format::DateTime => encoding::is_rfc3339(text),
                    Format::None | Format::Int32 => true,
                }
        }
        _ => false,
    }
}

fn stand_in(schema: &Schema) -> Json {
    if let Some(value) = schema.values.first() {
        return value.clone();
    }
    match &schema.shape {
        Shape::Any => Json::Null,
        Shape::Boolean => false.into(),
        Shape::Integer | Shape::Number | Shape::IntegerOrText => 0.into(),
        Shape::Text if schema.format == Format::DateTime => "1970-01-01T00:00:00Z".into(),
        Shape::Text => "".into(),
        Shape::Struct { .. } => {
            let mut json = Json::Object(serde_json::Map::new());
            mend(&mut json, schema);
            json
        }
        Shape::Map(_) => Json::Object(serde_json::Map::new()),
        Shape::List { .. } => Json::Array(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::kinds::Kind;

    fn mended(kind: Kind, mut json: Json) -> Json {
        mend(&mut json, kind.schema());
        json
    }

    #[test]
    fn whatever_is_written_can_be_read() {
        let wrong = [json!(null), json!(true), json!(1e300), json!(-5), json!("x"), json!([{}]), json!({"a": [1]})];
        for value in &wrong {
            for field in ["metadata", "spec", "data", "ports", "endpoints", "addressType"] {
                let json = json!({"metadata": {"name": "app", "namespace": "default"}, field: value});
                let group: Result<api::UpstreamGroup, _> = read(Kind::UpstreamGroup, &json);
                assert!(group.is_ok(), "{json}: {group:?}");
                let slice: Result<k8s_openapi::api::discovery::v1::EndpointSlice, _> = read(Kind::EndpointSlice, &json);
                assert!(slice.is_ok(), "{json}: {slice:?}");
                let ingress: Result<k8s_openapi::api::networking::v1::Ingress, _> = read(Kind::Ingress, &json);
                assert!(ingress.is_ok(), "{json}: {ingress:?}");
            }
        }
        let servers = json!([7, {"name": 5, "weight": "many", "dns": {"port": 1e9}, "failTimeout": 3}]);
        let spec = json!({"servers": servers, "method": {"type": "Robin", "hash": {}}, "sticky": {"cookie": {}}});
        let group: Result<api::UpstreamGroup, _> = read(Kind::UpstreamGroup, &json!({"metadata": {}, "spec": spec}));
        assert!(group.is_ok(), "{group:?}");
    }

    fn read<T: serde::de::DeserializeOwned>(kind: Kind, json: &Json) -> Result<T, serde_json::Error> {
        let mut json = mended(kind, json.clone());
        json["apiVersion"] = kind.api_version().into();
        json["kind"] = kind.name().into();
        serde_json::from_value(json)
    }

    #[test]
    fn what_is_right_stays() {
        let json = json!({"metadata": {"name": "a"}, "spec": {"servers": [{"name": "a", "address": "10.0.0.1:80"}]}});
        assert_eq!(mended(Kind::UpstreamGroup, json.clone()), json);
    }
}
