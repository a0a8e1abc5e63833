//! What `forebay check` says of an object, compared with what the API server said.

use config::Severity;
use serde_json::Value;
use translate::document::{self, SourceFile};

use crate::server::Verdict;

/// The difference, as text.
pub fn difference(object: &Value, theirs: &Verdict) -> Option<String> {
    let ours = check(object);
    (ours != *theirs).then(|| {
        let show = |verdict: &Verdict| {
            let lines = verdict.iter().map(|(field, message)| format!("    {field}: {message}"));
            lines.collect::<Vec<_>>().join("\n")
        };
        format!("{object}\n  API server\n{}\n  check\n{}", show(theirs), show(&ours))
    })
}

fn check(object: &Value) -> Verdict {
    let file = SourceFile { name: "object".into(), text: object.to_string() };
    let said = document::read(&[file]).diagnostics.into_iter().filter(|said| said.severity == Severity::Error);
    let mut verdict: Vec<_> = said.map(|said| (said.field.unwrap_or_default(), said.message)).collect();
    verdict.sort();
    verdict
}
