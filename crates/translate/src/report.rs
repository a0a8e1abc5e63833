//! Collects what is wrong, each against the object and, when it came from a file, the place that said it.

use std::fmt;

use config::{Code, Diagnostic, ObjectRef, Severity};

use crate::codes;
use crate::document::{Located, make_printable};
use crate::kind::{Kind, name, namespace};

/// The diagnostics of one translation.
#[derive(Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

/// One object under translation: its refusals are counted, so that everything wrong with it is said before it is refused.
pub struct Reading<'r, T> {
    /// The object.
    pub located: &'r Located<T>,
    report: &'r mut Report,
    refused: bool,
}

impl Report {
    /// Says something against an object, unless it only follows from what was found wrong when the object was read.
    pub fn say<T: Kind>(&mut self, about: &Located<T>, diagnostic: Diagnostic) {
        if diagnostic.field.as_deref().is_some_and(|field| about.is_faulty(field)) {
            return;
        }
        let location = about.locate(diagnostic.field.as_deref().unwrap_or_default());
        let meta = about.metadata();
        let object = ObjectRef { kind: T::KIND.into(), namespace: namespace(meta).into(), name: name(meta).into() };
        self.diagnostics.push(Diagnostic { object: Some(object), location, ..diagnostic });
    }

    /// Begins to read an object, which is refused already if it has faults.
    pub fn read<'r, T>(&'r mut self, located: &'r Located<T>) -> Reading<'r, T> {
        Reading { located, report: self, refused: !located.faults.is_empty() }
    }

    /// Everything said, in an order that does not depend on the order of the objects.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.iter_mut().for_each(make_printable);
        self.diagnostics.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.object.clone(), d.field.clone(), d.code, d.message.clone());
            key(a).cmp(&key(b))
        });
        self.diagnostics
    }
}

impl<T: Kind> Reading<'_, T> {
    /// Refuses the object.
    pub fn error(&mut self, code: Code, field: impl Into<String>, message: impl Into<String>, hint: &str) {
        self.refused = true;
        let problem = Diagnostic::new(code, Severity::Error, message).field(field);
        self.report.say(self.located, if hint.is_empty() { problem } else { problem.hint(hint) });
    }

    /// Says something that does not refuse the object.
    pub fn say(&mut self, diagnostic: Diagnostic) {
        self.report.say(self.located, diagnostic);
    }

    /// The value, or a refusal with the error's words.
    pub fn value<V, E: fmt::Display>(&mut self, field: impl Into<String>, result: Result<V, E>) -> Option<V> {
        result.map_err(|error| self.error(codes::VALUE, field, error.to_string(), "")).ok()
    }

    /// Whether anything said so far refuses the object.
    pub fn is_refused(&self) -> bool {
        self.refused
    }
}
