//! `forebay check`: what `nginx -t` is to nginx. It goes the way of `forebay run` up to the point where a configuration would
//! be put in force, so that what passes here runs there, and says everything that is wrong at once. With `--cluster` it goes
//! the way of `forebay controller` up to the point where something would be published.

mod cluster;
mod difference;
mod follow;
mod lines;
mod overlay;
mod standing;

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use config::{Diagnostic, Severity};
use controller::connect::Access;
use serde::Serialize;

use crate::options::{IngressClassArgs, Output};
use crate::{documents, judge, stdout};

use cluster::{Answer, ClusterError, Outcome, Question};

/// Check documents as `forebay run` would read them, or a cluster as `forebay controller` would, and say everything that is
/// wrong
///
/// With --cluster the objects are listed once with your own rights, and nothing is written: every problem is named, and what
/// would be pushed is shown beside what the data planes were told last (+ new, ~ differs, = same, ! refused, ? not known: DNS
/// names are not looked up). With --cluster and PATHs: what applying these files would change, as `kubectl diff` would say it.
///
/// Exits with 0 if there is no error and no warning, with 1 if there is one, and with 2 if a file or the cluster cannot be
/// read, or the answer cannot be written.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Files or directories of YAML or JSON documents; - is standard input
    #[arg(value_name = "PATH", required_unless_present = "of_cluster")]
    paths: Vec<PathBuf>,

    /// How the problems are printed; docs/diagnostics.md describes the JSON
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    ingress_class: IngressClassArgs,

    /// Check the objects of a cluster; PATHs are files that would be applied to it
    #[arg(long = "cluster", help_heading = OF_CLUSTER)]
    of_cluster: bool,

    /// Use this kubeconfig [default: the pod's ServiceAccount, else $KUBECONFIG, else ~/.kube/config]
    #[arg(long, env = "FOREBAY_KUBECONFIG", value_name = "PATH", help_heading = OF_CLUSTER)]
    kubeconfig: Option<PathBuf>,

    /// Use this context of the kubeconfig
    #[arg(long, value_name = "NAME", help_heading = OF_CLUSTER)]
    context: Option<String>,

    /// Look at this namespace alone; repeatable [default: all namespaces]
    #[arg(short, long, value_name = "NS", value_delimiter = ',', help_heading = OF_CLUSTER)]
    namespace: Vec<String>,
}

/// The heading of flags that say which cluster, and what of it.
pub const OF_CLUSTER: &str = "With --cluster";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

/// The JSON output.
#[derive(Debug, Serialize)]
struct Report {
    /// Changes only if a field leaves or changes its meaning.
    version: u32,
    files: usize,
    /// Those of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<usize>,
    errors: usize,
    warnings: usize,
    notes: usize,
    diagnostics: Vec<Diagnostic>,
    #[serde(flatten)]
    outcome: Option<Outcome>,
}

/// The command.
pub fn run(args: &CheckArgs) -> ExitCode {
    let report = if args.of_cluster {
        match check_cluster(args) {
            Ok(report) => report,
            Err(error) => {
                eprintln!("forebay check: {error}");
                return ExitCode::from(2);
            }
        }
    } else {
        check(args)
    };
    let text = match args.output {
        Output::Text => report.to_text(),
        // Our own types have string keys and no fallible serializer.
        Output::Json => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
    };
    stdout::conclude("check", &text, report.exit_code())
}

fn check(args: &CheckArgs) -> Report {
    let files = documents::find(&args.paths).files.len();
    let load = judge::load(&args.paths, &args.ingress_class.for_files());
    Report::new(files, load.diagnostics)
}

fn check_cluster(args: &CheckArgs) -> Result<Report, CheckError> {
    let question = Question {
        access: Access::given(args.kubeconfig.clone(), args.context.clone()),
        namespaces: args.namespace.clone(),
        options: cluster::options(args.ingress_class.get()),
        paths: args.paths.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Answer { objects, files, diagnostics, outcome } = runtime.block_on(cluster::look(question))?;
    Ok(Report { objects: Some(objects), outcome: Some(outcome), ..Report::new(files, diagnostics) })
}

impl Report {
    fn new(files: usize, mut diagnostics: Vec<Diagnostic>) -> Self {
        // The gravest first: it is what there is to mend.
        let place = |diagnostic: &Diagnostic| {
            let at = diagnostic.location.as_ref();
            (Reverse(diagnostic.severity), at.is_none(), at.map(|at| (at.file.clone(), at.line, at.column)))
        };
        diagnostics.sort_by_cached_key(place);
        let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
        let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
        Self { version: 1, files, objects: None, errors, warnings, notes, diagnostics, outcome: None }
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            let _ = writeln!(text, "{diagnostic}\n");
        }
        match &self.outcome {
            None => {}
            Some(Outcome::Cluster(standings)) => {
                for standing in standings {
                    let _ = writeln!(text, "{standing}");
                }
            }
            Some(Outcome::Difference(difference)) if difference.is_empty() => text.push_str("nothing would change\n"),
            Some(Outcome::Difference(difference)) => {
                let _ = write!(text, "{difference}");
            }
        }
        let files = match (self.objects, self.files) {
            (None, files) => counted(files, "file"),
            (Some(objects), 0) => counted(objects, "object"),
            (Some(objects), files) => {
                format!("{} over {} of the cluster", counted(files, "file"), counted(objects, "object"))
            }
        };
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
        if documents::are_unread(&self.diagnostics) {
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
