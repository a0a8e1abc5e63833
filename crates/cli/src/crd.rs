//! `forebay crd`: the CRD's text, to be piped to `kubectl apply -f -`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;

/// Print the CRDs, to be piped to `kubectl apply -f -`
#[derive(Debug, Args)]
pub struct CrdArgs {}

/// The command.
pub fn run(_: &CrdArgs) -> ExitCode {
    match io::stdout().write_all(api::crd_yaml().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forebay crd: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}
