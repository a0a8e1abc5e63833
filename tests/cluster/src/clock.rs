//! Another clock for a program: it is wrong by so much, and goes as fast as any. What measures time without a date is not
//! touched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::{Tools, forebay};

/// The environment of a program whose clock is wrong by `clock` (`+1h`), by libfaketime.
///
/// # Panics
/// With `KUBEBUILDER_ASSETS`, which has no such library.
pub fn environment(tools: &Tools, clock: &str) -> [(&'static str, String); 4] {
    let library = tools.faketime().expect("the packages of tests/cluster/build");
    [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME", clock.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        // Nothing is left in /dev/shm.
        ("FAKETIME_DISABLE_SHM", "1".to_owned()),
    ]
}

/// The files of an image whose program is `forebay` at `path`, one that heeds that environment, as a static binary does not.
///
/// # Errors
/// `ldd` does not tell its libraries.
pub fn files(tools: &Tools, path: &str) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let library = tools.faketime().context("a node has packages")?;
    let program = forebay::binary();
    let mut files: BTreeSet<_> = libraries(program)?.into_iter().chain(libraries(&library)?).collect();
    files.insert(library);
    let in_place = |file: PathBuf| (file.clone(), file.display().to_string());
    Ok([(program.to_owned(), path.to_owned())].into_iter().chain(files.into_iter().map(in_place)).collect())
}

/// The libraries of a program and what links them.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("ldd did not start")?;
    ensure!(output.status.success(), "ldd {}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout)?;
    Ok(said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}
