//! The CRD's defaults and CEL rules applied in process, by the engine that kube brings: the verdict of the API server without
//! one.

use std::sync::LazyLock;

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use serde_json::Value;

use crate::crd_schema;

static COMPILED: LazyLock<CompiledSchema> = LazyLock::new(|| compile_schema(crd_schema()));

/// A CEL rule that an object breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the value the rule is attached to, as the API server writes it: `spec.servers[0]`.
    pub field: String,
    /// The rule's message.
    pub message: String,
}

/// The object with every structural default filled in that is missing, as the API server does before it validates.
#[must_use]
pub fn apply_defaults(object: &Value) -> Value {
    kube::core::cel::apply_defaults(crd_schema(), object)
}

/// The CEL rules that a new object breaks. The object must satisfy the schema and have its defaults.
pub fn violations(object: &Value) -> Vec<Violation> {
    match Validator::new().validate_compiled(&COMPILED, object, None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .into_vec()
            .into_iter()
            .map(|error| Violation { field: error.field_path, message: error.message })
            .collect(),
    }
}
