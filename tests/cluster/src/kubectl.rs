//! `kubectl` as a person calls it, and what it said.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `kubectl` against one cluster.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// What a call ended with.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether it exited with 0.
    pub success: bool,
    /// The answer.
    pub stdout: String,
    /// Warnings and errors.
    pub stderr: String,
}

impl Kubectl {
    /// The program, as the user of `kubeconfig`.
    pub fn new(program: impl Into<PathBuf>, kubeconfig: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), kubeconfig: kubeconfig.into() }
    }

    /// Who it is and where.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Calls it with `input` on stdin.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn call<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &str) -> Said {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        // It may refuse its arguments before it reads.
        let _ = child.stdin.take().expect("a piped stdin").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("a child can be awaited");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The answer to a call that succeeds.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.call(arguments, "").answer()
    }

    /// `kubectl apply --server-side` of documents; a warning is an error.
    ///
    /// # Panics
    /// When the API server refuses one, with what it said.
    pub fn apply(&self, documents: &str) {
        self.call(["apply", "--server-side", "--warnings-as-errors", "-f", "-"], documents).answer();
    }
}

impl Said {
    /// What it printed.
    ///
    /// # Panics
    /// When the call failed, with what it said.
    #[track_caller]
    pub fn answer(self) -> String {
        assert!(self.success, "kubectl failed: {}{}", self.stdout, self.stderr);
        self.stdout
    }
}
