//! A running `forebay`: started on ports of its own choice, its log at hand, killed with the test.
//!
//! Addresses are learned from its log on stderr: `listening http=ADDR` or `listening https=ADDR` (with ` group=NS/NAME` when the listener is bound to
//! a group), `listening admin=ADDR`, and `ready` once the first configuration is applied.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
};

use crate::{Authority, Client, Response, patiently};

/// The child process. Dropping it kills it; when the test is failing, its log is printed.
#[derive(Debug)]
pub struct Forebay {
    child: Child,
    log: Arc<watch::Sender<Vec<String>>>,
}

/// What to start.
#[derive(Debug)]
pub struct Builder {
    command: Command,
}

impl Forebay {
    /// A data plane (`forebay run`) of the binary at `path`, which a test knows as `env!("CARGO_BIN_EXE_forebay")`, with
    /// the documents at `config`. Without [`Builder::listen`] or [`Builder::bind`] it has the default listener, whose port is
    /// fixed: a test names its own.
    pub fn run(path: impl AsRef<OsStr>, config: impl AsRef<Path>) -> Builder {
        let mut command = Command::new(path);
        command.arg("run").args(["--admin", "127.0.0.1:0", "--config"]).arg(config.as_ref());
        command.env_clear().env("RUST_BACKTRACE", "1");
        Builder { command }
    }

    /// A data plane (`forebay run`) of the binary at `path` without any flag: [`Builder::env`] says everything.
    pub fn bare(path: impl AsRef<OsStr>) -> Builder {
        let mut command = Command::new(path);
        command.arg("run").env_clear();
        Builder { command }
    }

    /// A data plane (`forebay proxy`) of the binary at `path`, fed by the controllers whose URLs are given with
    /// [`Builder::args`], believing `authority`.
    pub fn proxy(path: impl AsRef<OsStr>, authority: &Authority, token: &Path) -> Builder {
        let mut command = Command::new(path);
        command.args(["proxy", "--admin", "127.0.0.1:0", "--controller-ca"]).arg(authority.file());
        command.arg("--token").arg(token);
        command.env_clear().env("RUST_BACKTRACE", "1");
        Builder { command }
    }

    /// The `n`th HTTP listener, in the order of the flags.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn http(&self, n: usize) -> SocketAddr {
        self.addresses("listening http=")[n]
    }

    /// The `n`th TLS listener.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn https(&self, n: usize) -> SocketAddr {
        self.addresses("listening https=")[n]
    }

    /// The admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.addresses("listening admin=")[0]
    }

    /// `GET target` at the admin listener.
    pub async fn admin_get(&self, target: &str) -> Response {
        Client::get(self.admin(), target).await
    }

    /// The log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Waits for a log line that contains `text` and returns it.
    pub async fn logged(&self, text: &str) -> String {
        self.logged_times(text, 1).await
    }

    /// Waits for the `count`th log line that contains `text` and returns it.
    ///
    /// # Panics
    /// When it does not come, with the log.
    pub async fn logged_times(&self, text: &str, count: usize) -> String {
        self.logged_where(text, count, |line| line.contains(text)).await
    }

    async fn logged_where(&self, what: &str, count: usize, is_it: impl Fn(&str) -> bool) -> String {
        let mut log = self.log.subscribe();
        let find = |log: &[String]| log.iter().filter(|line| is_it(line)).nth(count - 1).cloned();
        let waiting = log.wait_for(|log| find(log).is_some() || log.last().is_some_and(|line| line == EXITED));
        let found = match tokio::time::timeout(crate::PATIENCE, waiting).await {
            Ok(Ok(log)) => find(&log),
            Ok(Err(_)) | Err(_) => None,
        };
        found.unwrap_or_else(|| panic!("the log does not say {what:?} {count} times:\n{}", self.log().join("\n")))
    }

    /// Sends a signal by name, `TERM` or `HUP`.
    ///
    /// # Panics
    /// When the process is gone.
    pub async fn signal(&self, name: &str) {
        self.kill("kill -s \"$0\" \"$1\"", name).await;
    }

    /// Sends a signal twice in a row.
    pub async fn signal_twice(&self, name: &str) {
        self.kill("kill -s \"$0\" \"$1\" && kill -s \"$0\" \"$1\"", name).await;
    }

    async fn kill(&self, script: &str, name: &str) {
        let pid = self.child.id().expect("the process runs").to_string();
        // The shell's own `kill`: no unsafe code and no dependency for one system call.
        let status = Command::new("sh").args(["-c", script, name, &pid]).status().await;
        assert!(status.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
    }

    /// Tells one that is leaving to do so at once: again and again, since within a second of the first a signal is the same order.
    pub async fn hurried(&mut self) -> ExitStatus {
        let mut poll = tokio::time::interval(Duration::from_millis(100));
        patiently("forebay to leave at once", async {
            loop {
                self.signal("TERM").await;
                poll.tick().await;
                if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                    return status;
                }
            }
        })
        .await
    }

    /// Waits until it exits by itself.
    pub async fn exited(&mut self) -> ExitStatus {
        patiently("forebay to exit", self.child.wait()).await.expect("a child can be waited for")
    }

    /// The most memory it ever had resident, bytes.
    ///
    /// # Panics
    /// Where there is no `/proc`.
    pub fn peak_memory(&self) -> usize {
        let pid = self.child.id().expect("the process runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a VmHWM line");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kib << 10
    }

    /// How many of its threads have a name that begins so.
    ///
    /// # Panics
    /// Where there is no `/proc`.
    pub fn threads(&self, name: &str) -> usize {
        let pid = self.child.id().expect("the process runs");
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("/proc");
        let names = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        names.filter(|comm| comm.starts_with(name)).count()
    }

    fn addresses(&self, marker: &str) -> Vec<SocketAddr> {
        let log = self.log.borrow();
        let after = |line: &String| line.split_once(marker).map(|(_, rest)| rest.to_owned());
        let address = |rest: String| {
            let word = rest.split_whitespace().next().unwrap_or("");
            word.parse().unwrap_or_else(|_| panic!("no address in {marker}{rest}"))
        };
        log.iter().filter_map(after).map(address).collect()
    }
}

const EXITED: &str = "(end of stderr)";

impl Builder {
    /// Adds an HTTP listener that is routed by the documents.
    #[must_use]
    pub fn listen(self) -> Self {
        self.args(["--http", "127.0.0.1:0"])
    }

    /// Adds a TLS listener that is routed by the documents.
    #[must_use]
    pub fn listen_tls(self) -> Self {
        self.args(["--https", "127.0.0.1:0"])
    }

    /// Adds an HTTP listener bound to `group`, written `NAMESPACE/NAME`.
    #[must_use]
    pub fn bind(self, group: &str) -> Self {
        self.args(["--http", &format!("127.0.0.1:0={group}")])
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it cannot be started or does not become ready, with its log.
    pub async fn start(self) -> Forebay {
        let forebay = self.launch().await;
        // The whole message: warnings speak of ready endpoints.
        forebay.logged_where("ready", 1, |line| line.split_whitespace().next_back() == Some("ready")).await;
        forebay
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it cannot be started or does not listen, with its log.
    pub async fn launch(mut self) -> Forebay {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = self.command.spawn().expect("forebay can be started");
        let log = Arc::new(watch::Sender::new(Vec::new()));
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(collect(stdout, log.clone(), None));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(collect(stderr, log.clone(), Some(EXITED)));
        }
        let forebay = Forebay { child, log };
        forebay.logged("listening admin=").await;
        forebay
    }
}

impl Drop for Forebay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- forebay's log ----\n{}\n----", self.log().join("\n"));
        }
    }
}

async fn collect(stream: impl AsyncRead + Unpin, log: Arc<watch::Sender<Vec<String>>>, end: Option<&str>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.send_modify(|log| log.push(line));
    }
    if let Some(end) = end {
        log.send_modify(|log| log.push(end.to_owned()));
    }
}
