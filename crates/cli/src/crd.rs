//! `forebay crd`: the CRD's text, to be piped to `kubectl apply -f -`.

use std::process::ExitCode;

use clap::Args;

use crate::stdout;

/// Print the CRDs, to be piped to `kubectl apply -f -`
#[derive(Debug, Args)]
pub struct CrdArgs {}

/// The command.
pub fn run(_: &CrdArgs) -> ExitCode {
    match stdout::print(&api::crd_yaml()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forebay crd: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}
