//! What is wrong with a configuration, in the error log: a line each, since that is what an error log is made of. `forebay
//! check` shows the snippets.

use config::{Diagnostic, Severity};
use tracing::{error, info, warn};

/// Logs every problem on the level of its severity.
pub fn log(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let line = diagnostic.line();
        match diagnostic.severity {
            Severity::Error => error!("{line}"),
            Severity::Warning => warn!("{line}"),
            Severity::Note => info!("{line}"),
        }
    }
}
