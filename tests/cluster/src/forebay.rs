//! The product in a cluster without a kubelet: `forebay` as processes in the cluster's namespaces, each with an address of its own
//! on `lo`, as a pod has, and the ports of the manifests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Cluster, Process, until};

/// The feed's port.
pub const FEED: u16 = 9902;
/// The admin port.
pub const ADMIN: u16 = 9901;
/// The port for requests.
pub const HTTP: u16 = 8080;
/// The port for requests over TLS.
pub const HTTPS: u16 = 8443;

/// A running `forebay`. Dropping it kills it.
#[derive(Debug)]
pub struct Forebay {
    process: Process,
    /// Its address.
    pub address: String,
}

/// The debug binary: `FOREBAY_BIN`, else what cargo builds. Built once; where the
/// workspace's tests were built there is nothing to do.
///
/// # Panics
/// When it does not build.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("FOREBAY_BIN").map_or_else(build, PathBuf::from))
}

/// The static binary, which runs in an image without anything else: `FOREBAY_STATIC`, else what cargo builds as the Dockerfile
/// does, but without the optimisation at link time that takes minutes and that no test sees.
///
/// # Panics
/// When it does not build.
pub fn static_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        std::env::var_os("FOREBAY_STATIC").map_or_else(
            || {
                let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
                let mut cargo = Command::new(env!("CARGO"));
                cargo.args(["build", "--quiet", "--release", "--package", "forebay", "--target", &target]);
                cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
                cargo.envs([("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")]);
                cargo.envs([("CARGO_PROFILE_RELEASE_DEBUG", "0"), ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo")]);
                built(cargo)
            },
            PathBuf::from,
        )
    })
}

fn build() -> PathBuf {
    // With a test, because dependencies have other features where none is built: all of them would be compiled again.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bin", "forebay", "--test", "kit"]);
    built(cargo)
}

/// Runs a build, and says where it put the binary.
fn built(mut cargo: Command) -> PathBuf {
    cargo.arg("--message-format=json").current_dir(crate::tools::folder());
    let built = cargo.output().expect("cargo starts");
    assert!(built.status.success(), "forebay does not build: {}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8_lossy(&built.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "forebay" && message["target"]["kind"][0] == "bin";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executables.next_back().expect("cargo says where it put forebay")
}

impl Forebay {
    /// Starts `forebay COMMAND...` as the pod `namespace/name` at `address`. It may not listen yet.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<A: AsRef<OsStr>>(
        cluster: &Cluster,
        (namespace, name): (&str, &str),
        address: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::start_with(cluster, (namespace, name), address, arguments, &[])
    }

    /// The same with more in its environment.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with<A: AsRef<OsStr>>(
        cluster: &Cluster,
        (namespace, name): (&str, &str),
        address: &str,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &OsStr)],
    ) -> Self {
        cluster.address(address).expect("an address for a pod");
        let mut command = Command::new(binary());
        command.args(arguments).env_clear().env("RUST_BACKTRACE", "1");
        command.envs([("POD_NAMESPACE", namespace), ("POD_NAME", name), ("POD_IP", address)]);
        command.envs(environment.iter().copied());
        let process = Process::start(cluster.namespaces(), name, command).expect("forebay can be started");
        Self { process, address: address.to_owned() }
    }

    /// One of its ports.
    pub fn port(&self, port: u16) -> std::net::SocketAddr {
        std::net::SocketAddr::new(self.address.parse().expect("an address"), port)
    }

    /// What it and others of its name printed so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits for a line of the log that contains `text`, and returns it.
    pub async fn logged(&self, text: &str) -> String {
        let what = format!("{text:?} in the log");
        until(&what, async || self.log().lines().find(|line| line.contains(text)).map(str::to_owned)).await
    }

    /// Sends a signal by name: `STOP`, `CONT`, `TERM`.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.process.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {name}");
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
