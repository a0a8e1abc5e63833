//! How to mend it: what the API server does not say.

use api::{CookieLifetime, Duration, Seconds, Size};
use config::nearest;
use serde_json::Value as Json;

use super::schema::{Schema, Shape};
use super::tree::{Node, Value};

/// Of an unknown field in an object that an API server wrote.
pub(super) const NEWER: &str =
    "it is ignored: an API server that wrote it is newer than this release; if a hand did, correct it";

/// The nearest field there is, or all of them if they are few.
pub(super) fn unknown_field<'a>(key: &str, fields: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    nearest(key, fields.clone()).map(|near| format!("did you mean \"{near}\"?")).or_else(|| {
        let all: Vec<_> = fields.collect();
        (all.len() <= 16).then(|| format!("the fields here are {}", all.join(", ")))
    })
}

/// The nearest value there is.
pub(super) fn unsupported_value(value: &Json, values: &[Json]) -> Option<String> {
    let near = nearest(value.as_str()?, values.iter().filter_map(Json::as_str))?;
    Some(format!("did you mean \"{near}\"?"))
}

/// Why YAML made something else of it than its author meant.
pub(super) fn wrong_type(schema: &Schema, node: &Node) -> Option<String> {
    match (&schema.shape, &node.value) {
        (Shape::Text, Value::Plain(Json::Bool(value), raw)) if **raw != *value.to_string() => {
            Some(format!("without quotes, YAML reads {raw} as {value}; write \"{raw}\""))
        }
        (Shape::Text, Value::Plain(_, raw)) => {
            Some(pattern(schema).unwrap_or(format!("write it in quotes: \"{raw}\"")))
        }
        (Shape::Integer | Shape::Number, Value::Text(text)) if text.parse::<f64>().is_ok() => {
            Some(format!("write it without quotes: {text}"))
        }
        (Shape::Boolean, Value::Text(text)) if matches!(&**text, "true" | "false") => {
            Some(format!("write it without quotes: {text}"))
        }
        (Shape::List { .. }, Value::Map(_)) => Some("begin each item with \"- \"".into()),
        (Shape::List { .. }, Value::Plain(..) | Value::Text(_)) => Some("write a list, such as [a, b]".into()),
        _ => None,
    }
}

/// What a pattern means, for those that are hard to read.
pub(super) fn pattern(schema: &Schema) -> Option<String> {
    let meaning = match schema.pattern.as_ref()?.as_str() {
        Duration::PATTERN => {
            "write a duration with the units h, m, s and ms in that order, such as 500ms, 30s or 1m30s"
        }
        Seconds::PATTERN => "write a duration in whole seconds, such as 10s or 1m30s",
        CookieLifetime::PATTERN => "write max or a duration in whole seconds, such as 1h",
        Size::PATTERN => "write a number of bytes, with k, M, G, Ki, Mi or Gi if you like, such as 64k or 1Mi",
        api::ADDRESS_PATTERN => {
            "write IP:PORT, [IPv6]:PORT or unix:/absolute/path; for a name use dns, for a Service use service"
        }
        _ => return None,
    };
    Some(meaning.into())
}
