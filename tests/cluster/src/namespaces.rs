//! Namespaces for a cluster: network, processes, mounts, IPC, host name. Their pid 1 (`namespaces.sh`) reads from a pipe of
//! which this process holds the other end, so they end when it does, even by SIGKILL.
//!
//! Processes are started by a thread that has moved in, because only the children of who moves are in a pid namespace; they
//! are children of the test all the same, so it ends and awaits them by handle.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::{io, thread};

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns, unshare};

use crate::tools;

/// What the namespaces are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A loopback link on which the test puts addresses.
    Light,
    /// A node with its cgroups, a link, and a namespace `outside` at the end of it.
    Node,
}

/// Namespaces that live as long as this value.
#[derive(Debug)]
pub struct Namespaces {
    form: Form,
    folder: PathBuf,
    holder: Child,
    /// Closed to end everything.
    stdin: Option<ChildStdin>,
    /// Pid 1, as seen from here.
    init: u32,
    spawner: mpsc::Sender<Job>,
}

type Job = (Command, mpsc::Sender<io::Result<Child>>);

impl Namespaces {
    /// New ones, whose files are in `folder`, which goes with them; `root` is where a node's packages are.
    ///
    /// # Errors
    /// The kernel refuses, or a step of `namespaces.sh` fails.
    pub(crate) fn new(form: Form, folder: &Path, root: Option<&Path>) -> anyhow::Result<Self> {
        let name = match form {
            Form::Light => "light",
            Form::Node => "node",
        };
        let group = folder.file_name().context("a run has a folder with a name")?;
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"])
            .args(["--propagation", "private", "bash"])
            .arg(tools::folder().join("src/namespaces.sh"))
            .arg(folder)
            .arg(name)
            .arg(group)
            .env("ROOT", root.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt at the terminal is for the test; this one cleans up after it.
            .process_group(0)
            .spawn()
            .context("unshare did not start")?;
        let (stdin, stdout, mut stderr) = (holder.stdin.take(), holder.stdout.take(), holder.stderr.take());
        let mut said = String::new();
        BufReader::new(stdout.context("a piped stdout")?).read_line(&mut said)?;
        if said.trim() != "ready" {
            stderr.as_mut().context("a piped stderr")?.read_to_string(&mut said)?;
            holder.wait()?;
            bail!("cannot make namespaces: {said}");
        }
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let init = std::fs::read_to_string(&children)?.trim().parse().context("unshare has one child")?;
        let spawner = spawner(init)?;
        Ok(Self { form, folder: folder.to_owned(), holder, stdin, init, spawner })
    }

    /// Pid 1 of the namespaces, as seen from outside.
    pub fn init(&self) -> u32 {
        self.init
    }

    /// Where the files of the run are; gone with the namespaces.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a process inside.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, command: Command) -> anyhow::Result<Child> {
        let (answer, answered) = mpsc::channel();
        let program = command.get_program().display().to_string();
        self.spawner.send((command, answer)).context("the namespaces are gone")?;
        answered.recv().context("the namespaces are gone")?.with_context(|| format!("cannot start {program}"))
    }

    /// Moves the network of the calling thread here, of what it starts from now on too: beside the API server, or, with a node,
    /// outside the cluster.
    ///
    /// # Panics
    /// When the namespaces are gone.
    pub fn enter(&self) {
        match self.form {
            Form::Light => self.enter_inside(),
            Form::Node => enter(&format!("/proc/{}/root/run/netns/outside", self.init)),
        }
    }

    /// Moves the network of the calling thread to where the API server is.
    ///
    /// # Panics
    /// When the namespaces are gone.
    pub fn enter_inside(&self) {
        enter(&format!("/proc/{}/ns/net", self.init));
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.holder.wait();
    }
}

fn enter(path: &str) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    setns(file, CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// A thread inside the namespaces of `init` that starts processes until nobody asks any more.
fn spawner(init: u32) -> anyhow::Result<mpsc::Sender<Job>> {
    let (jobs, todo) = mpsc::channel::<Job>();
    let (answer, answered) = mpsc::channel();
    thread::Builder::new().name("spawner".into()).spawn(move || {
        let moved = move_in(init);
        let inside = moved.is_ok();
        if answer.send(moved).is_ok() && inside {
            for (mut command, answer) in todo {
                let _ = answer.send(command.spawn());
            }
        }
    })?;
    answered.recv().context("the spawner is gone")?.context("cannot enter the namespaces")?;
    Ok(jobs)
}

fn move_in(init: u32) -> anyhow::Result<()> {
    // A thread that shares its working directory with others may not change its mounts.
    unshare(CloneFlags::CLONE_FS)?;
    let kinds = [
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("net", CloneFlags::CLONE_NEWNET),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let files = kinds.map(|(name, flag)| (File::open(format!("/proc/{init}/ns/{name}")), flag));
    for (file, flag) in files {
        setns(file?, flag)?;
    }
    Ok(())
}
