//! A process of a cluster: its log is a file, it is ended by its handle, and it can be started again as it was.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::Context;

use crate::Namespaces;

/// A process inside namespaces. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` inside; what it prints goes to a log of that name.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(namespaces: &Namespaces, name: &str, mut command: Command) -> anyhow::Result<Self> {
        let log = namespaces.folder().join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).current_dir(namespaces.folder());
        let child = namespaces.spawn(command)?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Panics
    /// When it is not a child of this process any more.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child that was not awaited can be killed");
        self.child.wait().expect("a child can be awaited");
    }

    /// Whether it ended by itself, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Its pid, as seen from outside.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    /// The last lines of the log, with a heading.
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        format!("---- {} ----\n{}\n", self.name, lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.last_words());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
