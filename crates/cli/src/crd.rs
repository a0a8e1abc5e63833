//! `forebay crd`: the CRD's text, to be piped to `kubectl apply -f -`.

use std::process::ExitCode;

use clap::Args;

use crate::stdout;

/// Print the CRDs, to be piped to `kubectl apply -f -`
#[derive(Debug, Args)]
pub struct CrdArgs {}

/// The command.
pub fn run(_: &CrdArgs) -> ExitCode {
    stdout::conclude("crd", &api::crd_yaml(), ExitCode::SUCCESS)
}
