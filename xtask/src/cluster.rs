//! `xtask cluster`: the Kubernetes of the tests for a developer. It is the tests' own program; this one knows no IO.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;

/// Becomes `forebay-cluster` with these arguments.
pub fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = ["run", "--quiet", "--locked", "--package", "forebay-cluster", "--"];
    Err(Command::new(cargo).args(run).args(arguments).exec()).context("cargo did not start")
}
