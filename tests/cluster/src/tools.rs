//! Where the programs of Kubernetes are. `KUBEBUILDER_ASSETS` is honoured first, as developers of controllers expect; then comes
//! the folder of `tests/cluster/build`. Nothing is built here: ten minutes are a decision.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

/// Folders with programs.
#[derive(Clone, Debug)]
pub struct Tools {
    /// kube-apiserver, etcd, kubectl; for a node all the others too.
    bin: PathBuf,
    /// The unpacked packages of a node.
    root: Option<PathBuf>,
}

impl Tools {
    /// What an API server needs.
    ///
    /// # Errors
    /// What is missing and how it is made.
    pub fn find() -> anyhow::Result<Self> {
        ensure!(is_root(), "needs root: a test's cluster lives in network and pid namespaces of its own");
        if let Some(assets) = env::var_os("KUBEBUILDER_ASSETS") {
            let bin = PathBuf::from(assets);
            for program in ["etcd", "kube-apiserver", "kubectl"] {
                let path = bin.join(program);
                ensure!(path.exists(), "KUBEBUILDER_ASSETS is set, and there is no {}", path.display());
            }
            return Ok(Self { bin, root: None });
        }
        Self::built(&["--find"]).context("Kubernetes is not built; run: cargo xtask cluster build (10 minutes, once)")
    }

    /// What a whole node needs.
    ///
    /// # Errors
    /// What is missing and how it is made.
    pub fn find_node() -> anyhow::Result<Self> {
        ensure!(is_root(), "needs root: a test's node lives in namespaces of its own");
        Self::built(&["--find"]).context("Kubernetes is not built; run: cargo xtask cluster build (10 minutes, once)")
    }

    /// Builds what is not built; the build tells of itself on stderr.
    ///
    /// # Errors
    /// The build failed.
    pub fn build() -> anyhow::Result<Self> {
        Self::built(&[])
    }

    fn built(arguments: &[&str]) -> anyhow::Result<Self> {
        let script = folder().join("build");
        let output = Command::new(&script).args(arguments).stderr(std::process::Stdio::inherit()).output();
        let output = output.with_context(|| format!("{} did not start", script.display()))?;
        if !output.status.success() {
            bail!("{} {}: {}", script.display(), arguments.join(" "), output.status);
        }
        let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        Ok(Self { bin: folder.join("bin"), root: Some(folder.join("root")) })
    }

    /// The program of this name.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The folder of the programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The unpacked packages; none with `KUBEBUILDER_ASSETS`.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The library that gives a program another clock; none with `KUBEBUILDER_ASSETS`.
    pub(crate) fn faketime(&self) -> Option<PathBuf> {
        let triple = format!("{}-linux-gnu", env::consts::ARCH);
        Some(self.root()?.join("usr/lib").join(triple).join("faketime/libfaketimeMT.so.1"))
    }
}

/// What was found, or `None` after a loud word about the test that is skipped.
///
/// # Panics
/// Where `CI=true`: there no suite is skipped.
pub fn required<T>(found: anyhow::Result<T>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) if env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{error:#}"),
        Err(error) => {
            eprintln!("SKIPPED: {error:#}");
            None
        }
    }
}

/// This package's folder.
pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
