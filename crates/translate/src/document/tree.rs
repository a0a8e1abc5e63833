//! A document as a tree of JSON values, each with its place. Containers are shared, so that an alias costs nothing here; what
//! it costs those who walk the tree is bounded where the tree is made.

use std::sync::Arc;

use serde_json::Value as Json;

/// A place in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// 1-based.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub at: Mark,
    pub value: Value,
}

/// A JSON value whose parts know their places.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing: to Kubernetes the same as not being there.
    Null,
    /// A boolean or a number, and how it was written.
    Plain(Json, Arc<str>),
    /// A text.
    Text(Arc<str>),
    /// A list.
    List(Arc<Vec<Node>>),
    /// An object, in the order of its text.
    Map(Arc<Vec<Entry>>),
}

/// One field of an object.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: Arc<str>,
    pub at: Mark,
    pub value: Node,
}

impl Entry {
    /// Where to point for this field: a scalar at its value, a container at its key.
    pub fn place(&self) -> Mark {
        match self.value.value {
            Value::Plain(..) | Value::Text(_) => self.value.at,
            Value::Null | Value::List(_) | Value::Map(_) => self.at,
        }
    }
}

impl Node {
    /// The fields, if this is an object, those that are null left out.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let entries = match &self.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null | Value::Plain(..) | Value::Text(_) | Value::List(_) => &[],
        };
        entries.iter().filter(|entry| !matches!(entry.value.value, Value::Null))
    }

    /// The field of that name, if this is an object and the field is not null.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().find(|entry| &*entry.key == key)
    }

    /// The text of that field.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key)?.value.value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Plain(..) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The items, if this is a list.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null | Value::Plain(..) | Value::Text(_) | Value::Map(_) => &[],
        }
    }

    /// The JSON type's name as the API server writes it.
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Plain(Json::Bool(_), _) => "boolean",
            Value::Plain(number, _) if number.is_i64() || number.is_u64() => "integer",
            Value::Plain(..) => "number",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Map(_) => "object",
        }
    }

    /// The value without its places; fields that are null are left out.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Plain(json, _) => json.clone(),
            Value::Text(text) => Json::String(text.to_string()),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(_) => {
                Json::Object(self.entries().map(|entry| (entry.key.to_string(), entry.value.to_json())).collect())
            }
        }
    }
}
