//! Collects what is wrong, each against the object and, when it came from a file, the place that said it.

use std::fmt;

use config::{Code, Diagnostic, Location, ObjectRef, Severity};

use crate::codes;
use crate::document::{Located, make_printable};
use crate::kind::Kind;

/// The diagnostics of a part of a translation.
#[derive(Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

/// A field of an object, for what is found out about it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The object.
    pub object: ObjectRef,
    field: String,
    location: Option<Location>,
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
        self.diagnostics.push(Diagnostic { object: Some(about.reference()), location, ..diagnostic });
    }

    /// Begins to read an object, which is refused already if it has faults.
    pub fn read<'r, T>(&'r mut self, located: &'r Located<T>) -> Reading<'r, T> {
        Reading { located, report: self, refused: !located.faults.is_empty() }
    }

    /// Everything said, in the order of [`sort`].
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.iter_mut().for_each(make_printable);
        sort(&mut self.diagnostics);
        self.diagnostics
    }
}

/// An order that does not depend on the order of the objects.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    fn key(said: &Diagnostic) -> (Option<&ObjectRef>, Option<&str>, Code, &str) {
        (said.object.as_ref(), said.field.as_deref(), said.code, &said.message)
    }
    diagnostics.sort_by(|a, b| key(a).cmp(&key(b)));
}

impl Place {
    /// Says something here.
    pub fn say(&self, diagnostic: Diagnostic) -> Diagnostic {
        let mut said = Diagnostic {
            object: Some(self.object.clone()),
            field: Some(self.field.clone()),
            location: self.location.clone(),
            ..diagnostic
        };
        make_printable(&mut said);
        said
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

    /// The field `path`, unless what is wrong there was said when the object was read.
    pub fn place(&self, path: &str) -> Option<Place> {
        let located = self.located;
        (!located.is_faulty(path)).then(|| Place {
            object: located.reference(),
            field: path.to_owned(),
            location: located.locate(path),
        })
    }

    /// Whether anything said so far refuses the object.
    pub fn is_refused(&self) -> bool {
        self.refused
    }
}
