//! What is said of a resource that reads well and cannot be put in force, by whoever finds that out: who serves files or a
//! cluster, and who publishes.

use std::fmt::Display;

use config::{Diagnostic, ResourceKey, Severity};

use crate::{codes, kind};

/// That the resource `key` cannot be put in force for this `problem`; of a group it is said against its object.
pub fn not_in_force(key: &ResourceKey, problem: impl Display) -> Diagnostic {
    let diagnostic = |message: String| Diagnostic::new(codes::NOT_IN_FORCE, Severity::Error, message);
    match key {
        ResourceKey::Group(id) => diagnostic(problem.to_string()).object(kind::reference_of(id)),
        ResourceKey::Certificate(_) | ResourceKey::Route(_) => diagnostic(format!("{key}: {problem}")),
    }
}
