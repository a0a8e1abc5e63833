//! An `OpenAPI` v3 structural schema, read once into what validating needs.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value as Json;

/// What a value must be like.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub shape: Shape,
    /// The values allowed, if they are listed.
    pub values: Vec<Json>,
    pub minimum: Option<i64>,
    pub maximum: Option<i64>,
    pub min_length: Option<usize>,
    pub max_length: Option<usize>,
    pub pattern: Option<Regex>,
    pub format: Format,
}

/// The JSON type, with what belongs to it alone.
#[derive(Debug, Default)]
pub(super) enum Shape {
    /// Whatever it is.
    #[default]
    Any,
    Boolean,
    Integer,
    Number,
    Text,
    /// `x-kubernetes-int-or-string`
    IntegerOrText,
    /// An object with known fields.
    Struct {
        fields: BTreeMap<String, Schema>,
        required: Vec<String>,
    },
    /// An object with free keys.
    Map(Box<Schema>),
    List {
        items: Box<Schema>,
        min: Option<usize>,
        max: Option<usize>,
        kind: ListKind,
    },
}

/// `x-kubernetes-list-type`
#[derive(Debug, Default)]
pub(super) enum ListKind {
    #[default]
    Atomic,
    /// No value twice.
    Set,
    /// No two items that agree in these fields.
    Keyed(Vec<String>),
}

/// `format`, as far as it says more than the type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    None,
    /// 32 bits, signed.
    Int32,
    /// Base64.
    Byte,
    /// RFC 3339.
    DateTime,
}

impl Schema {
    /// Reads a schema that this program brings; what is not understood allows anything.
    pub fn read(schema: &Json) -> Self {
        let length = |key: &str| schema[key].as_u64().and_then(|value| usize::try_from(value).ok());
        Self {
            shape: Shape::read(schema),
            values: schema["enum"].as_array().cloned().unwrap_or_default(),
            minimum: limit(&schema["minimum"]),
            maximum: limit(&schema["maximum"]),
            min_length: length("minLength"),
            max_length: length("maxLength"),
            pattern: schema["pattern"].as_str().and_then(|pattern| Regex::new(pattern).ok()),
            format: match schema["format"].as_str() {
                Some("int32") => Format::Int32,
                Some("byte") => Format::Byte,
                Some("date-time") => Format::DateTime,
                _ => Format::None,
            },
        }
    }

    /// The name of the type, as the API server writes it.
    pub fn type_name(&self) -> &'static str {
        match self.shape {
            Shape::Any => "any",
            Shape::Boolean => "boolean",
            Shape::Integer => "integer",
            Shape::Number => "number",
            Shape::Text => "string",
            Shape::IntegerOrText => "integer,string",
            Shape::Struct { .. } | Shape::Map(_) => "object",
            Shape::List { .. } => "array",
        }
    }
}

impl Shape {
    fn read(schema: &Json) -> Self {
        if schema["x-kubernetes-int-or-string"] == true {
            return Self::IntegerOrText;
        }
        match schema["type"].as_str() {
            Some("boolean") => Self::Boolean,
            Some("integer") => Self::Integer,
            Some("number") => Self::Number,
            Some("string") => Self::Text,
            Some("array") => Self::List {
                items: Box::new(Schema::read(&schema["items"])),
                min: schema["minItems"].as_u64().and_then(|value| usize::try_from(value).ok()),
                max: schema["maxItems"].as_u64().and_then(|value| usize::try_from(value).ok()),
                kind: match schema["x-kubernetes-list-type"].as_str() {
                    Some("set") => ListKind::Set,
                    Some("map") => ListKind::Keyed(texts(&schema["x-kubernetes-list-map-keys"])),
                    _ => ListKind::Atomic,
                },
            },
            Some("object") => match (schema["properties"].as_object(), &schema["additionalProperties"]) {
                (Some(fields), _) => Self::Struct {
                    fields: fields.iter().map(|(name, field)| (name.clone(), Schema::read(field))).collect(),
                    required: texts(&schema["required"]),
                },
                (None, additional) => Self::Map(Box::new(Schema::read(additional))),
            },
            _ => Self::Any,
        }
    }
}

fn texts(list: &Json) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// Limits may be written as `1` or `1.0`.
fn limit(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.to_string().strip_suffix(".0")?.parse().ok())
}
