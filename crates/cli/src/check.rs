//! `forebay check`: what `nginx -t` is to nginx. It goes the way of `forebay run` up to the point where a configuration would
//! be put in force, so that what passes here runs there, and says everything that is wrong at once.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use config::{Diagnostic, Severity};
use serde::Serialize;

use crate::options::{ClusterArgs, Output};
use crate::{documents, stdout, watch};

/// Check documents as `forebay run` would read them, and say everything that is wrong with them
///
/// Exits with 0 if there is no error and no warning, with 1 if there is one, and with 2 if a file cannot be read.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Files or directories of YAML or JSON documents; - is standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// How the problems are printed; docs/diagnostics.md describes the JSON
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

/// The JSON output.
#[derive(Debug, Serialize)]
struct Report {
    /// Changes only if a field leaves or changes its meaning.
    version: u32,
    files: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    diagnostics: Vec<Diagnostic>,
}

/// The command.
pub fn run(args: &CheckArgs) -> ExitCode {
    let report = check(args);
    let text = match args.output {
        Output::Text => report.to_text(),
        // Our own types have string keys and no fallible serializer.
        Output::Json => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
    };
    if let Err(error) = stdout::print(&text) {
        eprintln!("forebay check: cannot write: {error}");
    }
    report.exit_code()
}

fn check(args: &CheckArgs) -> Report {
    let files = documents::find(&args.paths).files.len();
    let load = watch::load(&args.paths, &args.cluster.to_options());
    Report::new(files, load.diagnostics)
}

impl Report {
    fn new(files: usize, mut diagnostics: Vec<Diagnostic>) -> Self {
        let place = |diagnostic: &Diagnostic| {
            let at = diagnostic.location.as_ref();
            (at.is_none(), at.map(|at| (at.file.clone(), at.line, at.column)))
        };
        diagnostics.sort_by_cached_key(place);
        let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
        Self { version: 1, files, errors, warnings, notes, diagnostics }
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            let _ = writeln!(text, "{diagnostic}\n");
        }
        let files = counted(self.files, "file");
        let problems: Vec<_> = [(self.errors, "error"), (self.warnings, "warning")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| counted(count, what))
            .collect();
        let problems = if problems.is_empty() { "no problems".to_owned() } else { problems.join(", ") };
        let _ = writeln!(text, "{problems} in {files}");
        text
    }

    fn exit_code(&self) -> ExitCode {
        if self.diagnostics.iter().any(|diagnostic| diagnostic.code == documents::UNREADABLE) {
            ExitCode::from(2)
        } else if self.errors + self.warnings > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
