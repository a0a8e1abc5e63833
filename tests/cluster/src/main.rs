//! `cargo xtask cluster`: the tests' cluster for a developer. It is held by a process in the background that listens on a socket
//! in the folder of the cluster; who connects asks it for what is needed to enter, or to end.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use anyhow::{Context, bail};
use cluster::{Cluster, Tools};

const USAGE: &str = "usage: cargo xtask cluster TASK

  build            make Kubernetes for the tests, once (10 minutes on two cores)
  up [node]        start a cluster with the CRD: etcd and the API server, or a whole node
  in COMMAND...    run a command in it, with KUBECONFIG set and kubectl in PATH
  down             end it";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["build"] => Tools::build().map(|tools| println!("{}", tools.bin().display())),
        ["up"] => up("light"),
        ["up", "node"] => up("node"),
        ["hold", form, socket] => hold(form, Path::new(socket)),
        ["in", command, arguments @ ..] => inside(command, arguments),
        ["down"] => ask("down").map(|_| ()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn socket() -> PathBuf {
    env::temp_dir().join(format!("forebay-cluster-{}.sock", nix::unistd::geteuid()))
}

/// Starts the process that holds the cluster, and returns when it is ready.
fn up(form: &str) -> anyhow::Result<()> {
    if ask("env").is_ok() {
        bail!("a cluster is up; end it with: cargo xtask cluster down");
    }
    Tools::build()?;
    let mut holder = Command::new(env::current_exe()?)
        .args(["hold", form])
        .arg(socket())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Not ours: whoever reads our output to its end would wait for the holder's.
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut said = String::new();
    BufReader::new(holder.stdout.take().context("a piped stdout")?).read_line(&mut said)?;
    if said.is_empty() {
        bail!("it did not start: {}", String::from_utf8_lossy(&holder.wait_with_output()?.stderr));
    }
    print!("{said}");
    Ok(())
}

/// Holds a cluster until it is told to end it.
fn hold(form: &str, path: &Path) -> anyhow::Result<()> {
    // Of a holder that was killed; a living one was asked before.
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cluster = runtime.block_on(async {
        match form {
            "node" => Cluster::node(Tools::find_node()?).await,
            _ => Cluster::light(Tools::find()?).await,
        }
    })?;
    cluster.enter();
    cluster.kubectl().apply(include_str!("../../../manifests/crd/forebay.dev_upstreamgroups.yaml"));
    println!("ready: cargo xtask cluster in kubectl get upstreamgroups --all-namespaces");
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream?);
        let mut asked = String::new();
        stream.read_line(&mut asked)?;
        if asked.trim() == "down" {
            drop(cluster);
            fs::remove_file(path)?;
            writeln!(stream.get_mut(), "ended")?;
            return Ok(());
        }
        let (init, kubeconfig) = (cluster.namespaces().init(), cluster.kubeconfig("admin"));
        writeln!(stream.get_mut(), "{init}\t{}\t{}", kubeconfig.display(), cluster.path())?;
    }
    Ok(())
}

/// What the holder answers.
fn ask(question: &str) -> anyhow::Result<String> {
    let mut stream =
        UnixStream::connect(socket()).context("no cluster is up; start one with: cargo xtask cluster up")?;
    writeln!(stream, "{question}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

/// Becomes the command, in the cluster's namespaces.
fn inside(command: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let answer = ask("env")?;
    let mut fields = answer.split('\t');
    let mut field = || fields.next().context("the cluster did not answer");
    let (init, kubeconfig, path) = (field()?, field()?, field()?);
    let error = Command::new("nsenter")
        .args(["--target", init, "--net", "--mount", "--pid", "--ipc", "--uts"])
        .arg(format!("--wdns={}", env::current_dir()?.display()))
        .arg(command)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .env("PATH", path)
        .exec();
    Err(error).context("nsenter did not start")
}
