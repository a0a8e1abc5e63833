//! From files to objects: YAML or JSON text becomes located, validated, typed Kubernetes objects.
//!
//! One path for everything a person hands in: text -> located tree (`yaml`) -> the kind's schema (`validate`) -> structural
//! defaults and CEL rules (the CRD's own, in `api`) -> typed object (`reader`). A document that fails stands in
//! [`Documents::diagnostics`] with its place, and in nobody else's way; as far as it can be read, it is handed on with its
//! faults, so that whoever mends it is told everything at once. What objects mean, and whether a reference leads anywhere, is
//! not known here.

mod advice;
mod builtin;
pub mod codes;
mod encoding;
mod hints;
mod kinds;
mod mend;
mod objects;
mod path;
mod quote;
mod reader;
mod rfc1123;
mod scalar;
mod schema;
mod source;
mod tree;
mod validate;
mod yaml;

pub use objects::{Documents, Located, Objects, Store};
pub(crate) use reader::make_printable;
pub use source::{SourceFile, SourceMap};

/// Reads every document of every file. Never fails: what is wrong is in [`Documents::diagnostics`], file by file in the order
/// of the text. An object with an error is among the objects only if it can be read nevertheless, and then has
/// [`Located::faults`]: a translation refuses it after it has said what else is wrong with it.
pub fn read(files: &[SourceFile]) -> Documents {
    read_in(files, "default")
}

/// As [`read`]; objects that name no namespace are in `namespace`.
pub fn read_in(files: &[SourceFile], namespace: &str) -> Documents {
    let mut reader = reader::Reader::new(namespace);
    for file in files {
        reader.read(file);
    }
    reader.finish()
}
