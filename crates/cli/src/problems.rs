//! What is wrong with a configuration, in the error log: a line each, since that is what an error log is made of. `forebay
//! check` shows the snippets.

use std::fmt::Write as _;

use config::{Diagnostic, Severity};
use tracing::{error, info, warn};

/// Logs every problem on the level of its severity.
pub fn log(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let line = line(diagnostic);
        match diagnostic.severity {
            Severity::Error => error!("{line}"),
            Severity::Warning => warn!("{line}"),
            Severity::Note => info!("{line}"),
        }
    }
}

/// As nginx words it: what, then where. The severity is the line's level.
fn line(diagnostic: &Diagnostic) -> String {
    let mut line = String::new();
    // Writing to a String does not fail.
    if let Some(object) = &diagnostic.object {
        let _ = write!(line, "{object}: ");
    }
    if let Some(field) = &diagnostic.field {
        let _ = write!(line, "{field}: ");
    }
    let _ = write!(line, "{} [{}]", diagnostic.message, diagnostic.code);
    if let Some(at) = &diagnostic.location {
        let _ = write!(line, " in {}:{}:{}", at.file, at.line, at.column);
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = write!(line, "; hint: {hint}");
    }
    line
}

#[cfg(test)]
mod tests {
    use config::{Location, ObjectRef};

    use super::*;

    #[test]
    fn a_problem_is_a_line() {
        let bare = Diagnostic::new("FB6001", Severity::Error, "app.yaml cannot be read: no such file");
        assert_eq!(line(&bare), "app.yaml cannot be read: no such file [FB6001]");
        let full = Diagnostic::new("FB2001", Severity::Error, "unknown field \"spec.wieght\"")
            .object(ObjectRef { kind: "UpstreamGroup".into(), namespace: "shop".into(), name: "app".into() })
            .field("spec.wieght")
            .at(Location { file: "app.yaml".into(), line: 10, column: 5, snippet: "    wieght: 3".into() })
            .hint("did you mean \"weight\"?");
        assert_eq!(
            line(&full),
            "UpstreamGroup shop/app: spec.wieght: unknown field \"spec.wieght\" [FB2001] in app.yaml:10:5; hint: did you \
             mean \"weight\"?"
        );
    }
}
