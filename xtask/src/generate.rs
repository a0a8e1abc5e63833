//! `xtask generate` and `xtask verify`: the files of the repository that are made from the code.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Every generated file: its path from the root of the repository, and its text.
fn files() -> Vec<(&'static str, String)> {
    vec![("manifests/crd/forebay.dev_upstreamgroups.yaml", api::crd_yaml())]
}

/// Writes every generated file.
pub fn generate() -> anyhow::Result<()> {
    for (path, text) in files() {
        let full = root().join(path);
        let folder = full.parent().context("a generated file stands in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&full, text).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    Ok(())
}

/// Fails if a generated file differs from its text.
pub fn verify() -> anyhow::Result<()> {
    let drifted: Vec<_> = files()
        .into_iter()
        .filter(|(path, text)| fs::read_to_string(root().join(path)).ok().as_ref() != Some(text))
        .map(|(path, _)| path)
        .collect();
    if !drifted.is_empty() {
        bail!("{} differ from what the code says; run: cargo xtask generate", drifted.join(", "));
    }
    println!("every generated file is up to date");
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
