//! `forebay`: nginx's upstream load balancing as a Kubernetes API, without reloads. One binary, a command per use.

#![allow(
    clippy::disallowed_methods,
    reason = "here the present comes in: for what is translated, and for lines of the log"
)]

mod check;
mod cluster_args;
mod command_line;
mod controller;
mod crd;
mod data_plane;
mod demo;
mod documents;
mod environment;
mod explain;
mod groups;
mod judge;
mod lead;
mod logging;
mod milestones;
mod options;
mod problems;
mod proxy;
mod run;
mod run_cluster;
mod signals;
mod stdout;
mod version;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// nginx's upstream load balancing as a Kubernetes API, without reloads.
///
/// Try it: `forebay demo`. Serve files: `forebay run --config PATH`. Check them first: `forebay check PATH`.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, long_version = version::LONG.as_str(), max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Controller(controller::ControllerArgs),
    Proxy(proxy::ProxyArgs),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Crd(crd::CrdArgs),
    Demo(demo::DemoArgs),
    Version(version::VersionArgs),
}

fn main() -> ExitCode {
    match command_line::parse().command {
        Command::Run(args) => run::run(args),
        Command::Controller(args) => controller::run(args),
        Command::Proxy(args) => proxy::run(args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Crd(args) => crd::run(&args),
        Command::Demo(args) => demo::run(args),
        Command::Version(args) => version::run(&args),
    }
}
