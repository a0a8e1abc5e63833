//! What documents come to and what is wrong with them, up to where a configuration would be put in force. Whoever has documents
//! asks here, so that what passes `forebay check` is what runs.

use std::path::PathBuf;

use config::{Config, Diagnostic, ResourceKey, Severity};
use jiff::Timestamp;
use proxy::ApplyError;
use translate::document::Documents;

use crate::documents;

/// What documents gave.
#[derive(Clone, Debug)]
pub struct Load {
    /// What the objects come to; not to be used when the load is refused.
    pub config: Config,
    /// Everything wrong or surprising.
    pub diagnostics: Vec<Diagnostic>,
    /// The next moment at which the same files come to something else: the validity of a certificate changes.
    pub until: Option<Timestamp>,
}

/// Reads `paths` once and judges what is there. Never fails: what is wrong is said in the load. DNS names are not looked up.
pub fn load(paths: &[PathBuf], options: &translate::Options) -> Load {
    judge(&documents::read(paths), options)
}

/// What documents come to, and what is wrong with them.
pub fn judge(documents: &Documents, options: &translate::Options) -> Load {
    // The present is read here, each time anew.
    let options = translate::Options { now: Timestamp::now(), ..options.clone() };
    let translation = translate::translate_documents(documents, &options);
    let refusals = proxy::compile_check(&translation.config);
    let said = documents.diagnostics.iter().cloned().chain(translation.diagnostics);
    let diagnostics = said.chain(refusals.iter().map(not_in_force)).collect();
    Load { config: translation.config, diagnostics, until: translation.until }
}

/// What is said of a group that cannot be put in force.
pub fn not_in_force(refusal: &ApplyError) -> Diagnostic {
    translate::not_in_force(&ResourceKey::Group(refusal.group.clone()), &refusal.error)
}

impl Load {
    /// Whether an error forbids using it.
    pub fn is_refused(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }
}
