//! The tasks of a developer's day that cargo has no word for. One module per task; this file only tells them apart.

mod cluster;
mod deps;
mod generate;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask TASK

  generate  write what is made from the code (manifests/crd)
  verify    fail if what is committed differs from what generate would write
  deps      fail if a crate imports what the import table forbids
  cluster   start, enter and end the Kubernetes of the tests";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["generate"] => generate::generate(),
        ["verify"] => generate::verify(),
        ["deps"] => deps::run(),
        ["cluster", arguments @ ..] => cluster::run(arguments),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
