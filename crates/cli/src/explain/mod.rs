//! `forebay explain`: the real balancer on a virtual clock. Who gets which request and why, with failures from a script.
//!
//! Nothing here decides anything: requests are read and keys evaluated by the data plane's own code, servers picked and sessions
//! remembered by `balance`, retries judged by the group's own policy. What is added is a clock that only moves when told,
//! and words.

mod client;
mod script;
mod simulation;
mod table;
mod trace;
mod why;

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use config::{Config, Diagnostic, GroupId, Severity, parse_duration};

use crate::options::{IngressClassArgs, Output, ZoneArgs};
use crate::{documents, groups, judge, stdout};
use script::{FailRule, PaceRule, Script};

/// Show who would get which request and why, on a virtual clock
///
/// Exits with 0 if it could be shown, with 1 if the documents have an error, and with 2 if a file cannot be read, the command
/// line is wrong or names a group or server that the documents lack, or the answer cannot be written.
#[derive(Debug, Args)]
// A list of paths takes what follows it: the group stands before.
#[command(override_usage = "forebay explain [OPTIONS] <NAMESPACE/GROUP> --config <PATH>...")]
#[allow(clippy::doc_markdown, reason = "help is read on a terminal")]
pub struct ExplainArgs {
    /// The group
    #[arg(value_name = "NAMESPACE/GROUP")]
    group: GroupId,

    /// Files or directories of documents, as for `forebay run`; repeatable
    #[arg(long, env = "FOREBAY_CONFIG", value_name = "PATH", required = true, num_args = 1.., value_delimiter = ',')]
    config: Vec<PathBuf>,

    #[command(flatten)]
    ingress_class: IngressClassArgs,

    #[command(flatten)]
    zone: ZoneArgs,

    /// How many requests arrive
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,

    /// Time between two requests
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = millis)]
    interval: u64,

    /// How long a server takes for a request; of one server with SERVER=TIME. Matters to least_conn, least_time and maxConns
    #[arg(long, value_name = "[SERVER=]TIME")]
    duration: Vec<PaceRule>,

    /// The client's address; with several the requests come from each in turn
    #[arg(long, value_name = "IP", default_value = "192.0.2.1", value_delimiter = ',')]
    client: Vec<IpAddr>,

    /// Path and query; with several each in turn. {i} stands for the number of the request
    #[arg(long, value_name = "URI", default_value = "/")]
    uri: Vec<String>,

    /// The request method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: http::Method,

    /// The Host header
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    host: String,

    /// A header of every request; repeatable. {i} stands for the number of the request
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// A cookie of every request; repeatable. {i} stands for the number of the request
    #[arg(long, value_name = "NAME=VALUE")]
    cookie: Vec<String>,

    /// A server fails: by its name (all its endpoints) or address, from when to when, and how: error (the connection is
    /// refused, the default), timeout (of timeouts.connect), invalid_header, or a status such as 503; repeatable
    #[arg(long, value_name = "SERVER[@FROM..TO][=HOW]")]
    fail: Vec<FailRule>,

    /// Where the random numbers of method Random begin
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// How it is shown
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    output: Output,
}

/// A command line that names what does not exist, or a group that cannot be run.
#[derive(Debug, thiserror::Error)]
enum ExplainError {
    #[error(transparent)]
    Plan(#[from] balance::SpecError),
    #[error("there is no group {name}; {instead}")]
    NoGroup { name: GroupId, instead: String },
    #[error("the group has no server \"{name}\"; it has {has}")]
    NoServer { name: String, has: String },
    #[error("\"{0}\" is not a header; write NAME: VALUE")]
    Header(String),
    #[error("\"{0}\" is not a host")]
    Host(String),
    #[error("\"{0}\" is not a cookie; write NAME=VALUE")]
    Cookie(String),
    #[error("\"{0}\" is not a path with a query; write /path?query")]
    Uri(String),
}

/// The command.
pub fn run(args: &ExplainArgs) -> ExitCode {
    let load = judge::load(&args.config, &args.ingress_class.for_files());
    // A note on a server without addresses explains the picture; others are for `check`.
    let is_told = |said: &&Diagnostic| said.severity > Severity::Note || said.code == translate::codes::NO_ADDRESSES;
    for diagnostic in load.diagnostics.iter().filter(is_told) {
        eprintln!("{diagnostic}");
    }
    if load.is_refused() {
        eprintln!("forebay explain: the configuration has {} problem(s)", load.errors());
        return if documents::are_unread(&load.diagnostics) { ExitCode::from(2) } else { ExitCode::FAILURE };
    }
    let trace = match explain(args, &load.config) {
        Ok(trace) => trace,
        Err(error) => {
            eprintln!("forebay explain: {error}");
            return if matches!(error, ExplainError::Plan(_)) { ExitCode::FAILURE } else { ExitCode::from(2) };
        }
    };
    let text = match args.output {
        Output::Text => table::render(&trace, ink()),
        // Names, numbers and texts have no fallible serializer.
        Output::Json => serde_json::to_string_pretty(&trace).unwrap_or_default() + "\n",
    };
    stdout::conclude("explain", &text, ExitCode::SUCCESS)
}

/// Colours are for a terminal whose user did not forbid them (<https://no-color.org>).
fn ink() -> table::Ink {
    let may = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if may && std::io::stdout().is_terminal() { table::Ink::Coloured } else { table::Ink::Plain }
}

fn explain(args: &ExplainArgs, config: &Config) -> Result<trace::Trace, ExplainError> {
    let Some(group) = config.groups.get(&args.group) else {
        return Err(ExplainError::NoGroup { name: args.group.clone(), instead: instead(config, &args.group) });
    };
    let group = group.for_zone(args.zone.get().as_deref());
    let script = Script::new(&group, &args.fail, &args.duration)?;
    let clients = client::Clients::new(args, &group)?;
    Ok(simulation::run(&args.group, &group, script, clients, args)?)
}

fn instead(config: &Config, wanted: &GroupId) -> String {
    match groups::nearest(config, wanted) {
        Some(near) => format!("did you mean {near}?"),
        None if config.groups.is_empty() => "the documents define none".to_owned(),
        None => {
            let names: Vec<_> = config.groups.keys().map(ToString::to_string).collect();
            format!("there are {}", names.join(", "))
        }
    }
}

fn millis(text: &str) -> Result<u64, config::DurationError> {
    parse_duration(text).map(|duration| duration.0)
}
