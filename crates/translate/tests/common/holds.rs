//! What holds whatever stands in a file. `tests/fuzz_documents.rs` and a target of `fuzz/` share it.

use config::GroupId;
use jiff::Timestamp;
use translate::document::{SourceFile, read};
use translate::{Documents, Options, Translation, translate_documents};

/// Reads and translates it as the only file; what was read.
pub fn whatever_stands_in(bytes: &[u8]) -> Documents {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let lines = text.split(['\r', '\n']).count();
    let documents = read(&[SourceFile { name: "fuzz.yaml".into(), text }]);
    for diagnostic in &documents.diagnostics {
        let at = diagnostic.location.as_ref().expect("every problem of a file has a place");
        assert!(at.line >= 1 && at.line as usize <= lines + 1 && at.column >= 1, "{diagnostic}");
        assert!(!diagnostic.message.is_empty());
        assert!(!diagnostic.to_string().contains('\u{1b}'), "{diagnostic:?}");
    }
    for group in documents.objects.upstream_groups.values() {
        let name = group.metadata.name.as_deref().expect("an object has a name");
        assert!(!name.is_empty() && group.metadata.namespace.is_some());
        assert!(!group.faults.is_empty() || (1..=256).contains(&group.spec.servers.len()));
    }
    let Translation { config, .. } = translate_documents(&documents, &Options::for_files(Timestamp::UNIX_EPOCH));
    for faulty in documents.objects.upstream_groups.values().filter(|group| !group.faults.is_empty()) {
        let meta = &faulty.metadata;
        let id = GroupId::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
        assert!(!config.groups.contains_key(&id), "{id} has errors and is used");
    }
    documents
}
