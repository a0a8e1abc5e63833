//! A tree against its schema, every fault at once, in the API server's words: kubectl's users know them, and one verdict is
//! worded alike before and after the cluster.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use config::{Code, Diagnostic, Severity};
use serde_json::Value as Json;

use super::path::Path;
use super::quote::quote;
use super::schema::{Format, ListKind, Schema, Shape};
use super::source::Text;
use super::tree::{Mark, Node, Value};
use super::{codes, encoding, hints};

/// What becomes of a field that the schema has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is an error: a slip, or something that this release cannot do.
    Refuse,
    /// It is a note: an API server knew the field, since it stores no other, and those who wrote for older ones do without it.
    Ignore,
}

/// What is wrong with `root`, whose text is `text`.
pub(super) fn validate(root: &Node, schema: &Schema, text: &Text, unknown: Unknown) -> Vec<Diagnostic> {
    let mut validator = Validator { text, unknown, ignored: HashSet::new(), faults: Vec::new() };
    validator.check(&Path::Root, root.at, root, schema);
    validator.faults
}

struct Validator<'a> {
    text: &'a Text,
    unknown: Unknown,
    /// The fields that were ignored: those of all items of a list are said to be once.
    ignored: HashSet<(*const BTreeMap<String, Schema>, Arc<str>)>,
    faults: Vec<Diagnostic>,
}

impl Validator<'_> {
    fn fault(&mut self, code: Code, path: &Path<'_>, at: Mark, message: String, hint: Option<String>) {
        self.say(Severity::Error, code, path, at, message, hint);
    }

    fn say(
        &mut self,
        severity: Severity,
        code: Code,
        path: &Path<'_>,
        at: Mark,
        message: String,
        hint: Option<String>,
    ) {
        let mut diagnostic = Diagnostic::new(code, severity, message).at(self.text.location(at));
        diagnostic.field = Some(path.to_string()).filter(|path| !path.is_empty());
        diagnostic.hint = hint;
        self.faults.push(diagnostic);
    }

    fn check(&mut self, path: &Path<'_>, at: Mark, node: &Node, schema: &Schema) {
        match (&schema.shape, &node.value) {
            (Shape::Any, _) | (Shape::Boolean, Value::Plain(Json::Bool(_), _)) => {}
            (Shape::Integer | Shape::IntegerOrText, Value::Plain(Json::Number(number), _)) if !number.is_f64() => {
                self.number(path, at, number, schema);
            }
            (Shape::Number, Value::Plain(Json::Number(number), _)) => self.number(path, at, number, schema),
            (Shape::Text | Shape::IntegerOrText, Value::Text(text)) => self.string(path, at, text, schema),
            (Shape::Struct { fields, required }, Value::Map(_)) => self.fields(path, at, node, fields, required),
            (Shape::Map(values), Value::Map(_)) => {
                for entry in node.entries() {
                    self.check(&Path::Key(path, &entry.key), entry.place(), &entry.value, values);
                }
            }
            (Shape::List { items, min, max, kind }, Value::List(list)) => {
                self.count(path, at, list.len(), *min, *max);
                for (index, item) in list.iter().enumerate() {
                    self.check(&Path::Index(path, index), item.at, item, items);
                }
                self.duplicates(path, list, kind);
            }
            _ => {
                let (expected, found) = (schema.type_name(), node.type_name());
                let message =
                    format!("Invalid value: \"{found}\": {path} in body must be of type {expected}: \"{found}\"");
                self.fault(codes::WRONG_TYPE, path, at, message, hints::wrong_type(schema, node));
            }
        }
    }

    fn fields(
        &mut self,
        path: &Path<'_>,
        at: Mark,
        node: &Node,
        fields: &BTreeMap<String, Schema>,
        required: &[String],
    ) {
        for entry in node.entries().filter(|entry| !fields.contains_key(&*entry.key)) {
            let path = Path::Field(path, &entry.key);
            let message = format!("unknown field \"{path}\"");
            let (severity, hint) = match self.unknown {
                Unknown::Refuse => {
                    (Severity::Error, hints::unknown_field(&entry.key, fields.keys().map(String::as_str)))
                }
                Unknown::Ignore if self.ignored.insert((std::ptr::from_ref(fields), entry.key.clone())) => {
                    (Severity::Note, Some(hints::NEWER.to_owned()))
                }
                Unknown::Ignore => continue,
            };
            self.say(severity, codes::UNKNOWN_FIELD, &path, entry.at, message, hint);
        }
        for name in required.iter().filter(|name| node.entry(name).is_none()) {
            self.fault(codes::REQUIRED, &Path::Field(path, name), at, "Required value".into(), None);
        }
        for entry in node.entries() {
            if let Some(schema) = fields.get(&*entry.key) {
                self.check(&Path::Field(path, &entry.key), entry.place(), &entry.value, schema);
            }
        }
    }

    fn number(&mut self, path: &Path<'_>, at: Mark, number: &serde_json::Number, schema: &Schema) {
        let int32 = schema.format == Format::Int32;
        let minimum = schema.minimum.or(int32.then_some(i64::from(i32::MIN)));
        let maximum = schema.maximum.or(int32.then_some(i64::from(i32::MAX)));
        // Beyond i64 a whole number is larger than any maximum.
        let value = number.as_i64().unwrap_or(i64::MAX);
        let bound = match (minimum, maximum) {
            (Some(minimum), _) if value < minimum => format!("greater than or equal to {minimum}"),
            (_, Some(maximum)) if value > maximum => format!("less than or equal to {maximum}"),
            _ => return self.values(path, at, &Json::Number(number.clone()), schema),
        };
        let message = format!("Invalid value: {number}: {path} in body should be {bound}");
        self.fault(codes::OUT_OF_RANGE, path, at, message, None);
    }

    fn string(&mut self, path: &Path<'_>, at: Mark, text: &str, schema: &Schema) {
        if let Some(max) = schema.max_length.filter(|max| text.chars().count() > *max) {
            self.fault(codes::TOO_LONG, path, at, format!("Too long: may not be more than {max} bytes"), None);
            return;
        }
        if let Some(min) = schema.min_length.filter(|min| text.chars().count() < *min) {
            let message = format!("Invalid value: {}: {path} in body should be at least {min} chars long", quote(text));
            self.fault(codes::TOO_SHORT, path, at, message, hints::pattern(schema));
            return;
        }
        if let Some(pattern) = schema.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            let message = format!("Invalid value: {}: {path} in body should match '{pattern}'", quote(text));
            self.fault(codes::MALFORMED, path, at, message, hints::pattern(schema));
        }
        let form = match schema.format {
            Format::Byte if !encoding::is_base64(text) => Some("base64"),
            Format::DateTime if !encoding::is_rfc3339(text) => Some("an RFC 3339 date and time"),
            Format::Byte | Format::DateTime | Format::None | Format::Int32 => None,
        };
        if let Some(form) = form {
            // The value may be secret.
            self.fault(codes::MALFORMED, path, at, format!("Invalid value: must be {form}"), None);
        }
        self.values(path, at, &Json::String(text.to_owned()), schema);
    }

    fn values(&mut self, path: &Path<'_>, at: Mark, value: &Json, schema: &Schema) {
        if !schema.values.is_empty() && !schema.values.contains(value) {
            let show = |value: &Json| value.as_str().map_or_else(|| value.to_string(), quote);
            let supported: Vec<_> = schema.values.iter().map(show).collect();
            let message = format!("Unsupported value: {}: supported values: {}", show(value), supported.join(", "));
            self.fault(codes::UNSUPPORTED_VALUE, path, at, message, hints::unsupported_value(value, &schema.values));
        }
    }

    fn count(&mut self, path: &Path<'_>, at: Mark, count: usize, min: Option<usize>, max: Option<usize>) {
        if let Some(min) = min.filter(|min| count < *min) {
            let message = format!("Invalid value: {count}: {path} in body should have at least {min} items");
            self.fault(codes::TOO_SHORT, path, at, message, None);
        }
        if let Some(max) = max.filter(|max| count > *max) {
            let message = format!("Too many: {count}: must have at most {max} items");
            self.fault(codes::TOO_LONG, path, at, message, None);
        }
    }

    fn duplicates(&mut self, path: &Path<'_>, list: &[Node], kind: &ListKind) {
        let identity = |item: &Node| match kind {
            ListKind::Atomic => None,
            ListKind::Set => Some(item.to_json()),
            ListKind::Keyed(keys) => {
                let entries = keys.iter().filter_map(|key| Some((key.clone(), item.entry(key)?.value.to_json())));
                Some(Json::Object(entries.collect()))
            }
        };
        let mut seen = HashMap::new();
        for (index, item) in list.iter().enumerate() {
            let Some(identity) = identity(item) else { return };
            let first = *seen.entry(identity.to_string()).or_insert(index);
            if first != index {
                let message = format!("Duplicate value: {identity}");
                let hint = format!("{path}[{first}] is the first with this value");
                self.fault(codes::DUPLICATE_ITEM, &Path::Index(path, index), item.at, message, Some(hint));
            }
        }
    }
}
