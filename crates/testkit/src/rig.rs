//! The usual arrangement of a wire test: some upstreams, one group of them in a file, one Forebay in front.

use std::{ffi::OsStr, fs, path::PathBuf, sync::Arc, time::Duration};

use rustls::ServerConfig;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{Client, Forebay, Response, Upstream, patiently};

/// A Forebay whose first listener is bound to the group `default/app`, with its upstreams `a`, `b`, `c`...
#[derive(Debug)]
pub struct Rig {
    /// The data plane.
    pub forebay: Forebay,
    /// The servers, in the order of the group's lines.
    pub upstreams: Vec<Upstream>,
    /// Where the configuration lies.
    pub documents: Documents,
    group: Group,
}

/// What to arrange.
#[derive(Debug)]
pub struct Builder {
    binary: PathBuf,
    group: Group,
    servers: usize,
    workers: usize,
    tls: Option<Arc<ServerConfig>>,
    others: Vec<Value>,
    env: Vec<(String, PathBuf)>,
    args: Vec<String>,
}

/// The fields of a group besides its servers' addresses.
#[derive(Clone, Debug, Default)]
struct Group {
    spec: Map<String, Value>,
    lines: Vec<Value>,
}

/// A directory of documents that Forebay watches.
#[derive(Debug)]
pub struct Documents {
    dir: TempDir,
}

/// What the access log of a rig says of each request; written by the `--access-log-format` it is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub request_uri: String,
    pub status: String,
    pub upstream_addr: String,
    pub upstream_status: String,
    pub body_bytes_sent: String,
}

const LOG_FORMAT: &str = "$request_uri|$status|$upstream_addr|$upstream_status|$body_bytes_sent";

impl Rig {
    /// Starts to arrange one around the binary at `path`: one server, no fields set.
    pub fn of(path: impl AsRef<OsStr>) -> Builder {
        Builder {
            binary: path.as_ref().into(),
            group: Group::default(),
            servers: 1,
            workers: 1,
            tls: None,
            others: Vec::new(),
            env: Vec::new(),
            args: Vec::new(),
        }
    }

    /// A connection to the group's listener.
    pub async fn client(&self) -> Client {
        Client::connect(self.forebay.http(0)).await
    }

    /// `GET target` on a new connection.
    pub async fn get(&self, target: &str) -> Response {
        Client::get(self.forebay.http(0), target).await
    }

    /// Literal bytes on a new connection, and the first response.
    pub async fn send(&self, bytes: impl AsRef<[u8]>) -> Response {
        Client::once(self.forebay.http(0), bytes).await
    }

    /// The address of the `n`th upstream as logs and configuration write it.
    pub fn address(&self, n: usize) -> String {
        self.upstreams[n].address().to_string()
    }

    /// Writes the group again with other fields, and returns once Forebay has applied it.
    pub async fn reconfigure(&mut self, spec: Value) {
        self.group.spec = object(spec);
        let lines: Vec<usize> = (0..self.upstreams.len()).collect();
        self.apply(&lines).await;
    }

    /// Writes the group again with only these of its servers, and returns once Forebay has applied it.
    pub async fn keep_servers(&self, lines: &[usize]) {
        self.apply(lines).await;
    }

    /// Writes `others.yaml` again, and returns once Forebay has applied it.
    pub async fn write_others(&self, documents: &[Value]) {
        let before = self.revision().await;
        self.documents.write("others.yaml", documents);
        self.applied(&before).await;
    }

    async fn apply(&self, lines: &[usize]) {
        let before = self.revision().await;
        self.documents.write("group.yaml", &[self.group.document(&self.upstreams, lines)]);
        self.applied(&before).await;
    }

    async fn applied(&self, before: &str) {
        let mut poll = tokio::time::interval(Duration::from_millis(10));
        patiently("the new configuration to be applied", async {
            while self.revision().await == before {
                poll.tick().await;
            }
        })
        .await;
    }

    /// The revision of the configuration being served, from the admin listener.
    ///
    /// # Panics
    /// When the admin listener does not say.
    pub async fn revision(&self) -> String {
        let config = self.forebay.admin_get("/api/v1/config").await.json();
        config["revision"].as_str().unwrap_or_else(|| panic!("no revision in {config}")).to_owned()
    }

    /// Waits until `count` requests are logged and returns them all.
    pub async fn access_log(&self, count: usize) -> Vec<Logged> {
        let path = self.documents.beside("access.log");
        let mut poll = tokio::time::interval(Duration::from_millis(10));
        patiently(&format!("{count} lines of the access log"), async {
            loop {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<Logged> = text.lines().filter_map(Logged::parse).collect();
                if lines.len() >= count {
                    return lines;
                }
                poll.tick().await;
            }
        })
        .await
    }
}

impl Builder {
    /// Sets fields of the group's `spec`, the `servers` excepted.
    #[must_use]
    pub fn spec(mut self, spec: Value) -> Self {
        self.group.spec = object(spec);
        self
    }

    /// How many upstreams there are.
    #[must_use]
    pub fn servers(mut self, count: usize) -> Self {
        self.servers = count;
        self
    }

    /// One server line per element, with these fields; one that has an address is somebody else.
    #[must_use]
    pub fn lines(mut self, lines: impl IntoIterator<Item = Value>) -> Self {
        self.group.lines = lines.into_iter().collect();
        self.servers = self.group.lines.len();
        self
    }

    /// How many workers there are, instead of one.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Has every upstream speak TLS.
    #[must_use]
    pub fn secured(mut self, tls: Arc<ServerConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Writes these documents, too, into `others.yaml`.
    #[must_use]
    pub fn others(mut self, documents: impl IntoIterator<Item = Value>) -> Self {
        self.others.extend(documents);
        self
    }

    /// Sets a variable of the environment to a path.
    #[must_use]
    pub fn env(mut self, name: &str, path: impl Into<PathBuf>) -> Self {
        self.env.push((name.to_owned(), path.into()));
        self
    }

    /// Adds flags.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Starts everything.
    pub async fn start(self) -> Rig {
        let mut upstreams = Vec::new();
        for name in ('a'..='z').take(self.servers) {
            let upstream = Upstream::start(&name.to_string()).await;
            upstream.secure(self.tls.clone());
            upstreams.push(upstream);
        }
        let documents = Documents::new();
        let lines: Vec<usize> = (0..upstreams.len()).collect();
        documents.write("group.yaml", &[self.group.document(&upstreams, &lines)]);
        if !self.others.is_empty() {
            documents.write("others.yaml", &self.others);
        }
        let log = documents.beside("access.log");
        let forebay = Forebay::run(&self.binary, documents.path())
            .bind("default/app")
            .args(["--workers", &self.workers.to_string()]);
        let forebay = forebay.args(["--access-log-format", LOG_FORMAT, "--access-log"]).args([log]).args(&self.args);
        let forebay = self.env.iter().fold(forebay, |forebay, (name, path)| forebay.env(name, path));
        Rig { forebay: forebay.start().await, upstreams, documents, group: self.group }
    }
}

impl Group {
    fn document(&self, upstreams: &[Upstream], lines: &[usize]) -> Value {
        let line = |n: &usize| {
            let mut line = self.lines.get(*n).cloned().map(object).unwrap_or_default();
            line.insert("name".into(), json!(upstreams[*n].name()));
            line.entry("address").or_insert_with(|| json!(upstreams[*n].address().to_string()));
            Value::Object(line)
        };
        let mut spec = self.spec.clone();
        spec.insert("servers".into(), lines.iter().map(line).collect());
        json!({
            "apiVersion": "forebay.dev/v1alpha1",
            "kind": "UpstreamGroup",
            "metadata": {"name": "app", "namespace": "default"},
            "spec": spec,
        })
    }
}

impl Documents {
    /// An empty directory.
    ///
    /// # Panics
    /// When there can be none.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("forebay-").tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("config")).expect("a directory in it");
        Self { dir }
    }

    /// What `--config` is given.
    pub fn path(&self) -> PathBuf {
        self.beside("config")
    }

    /// A path next to the configuration, for logs.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces a file at once, as an editor or a mounted ConfigMap does. JSON is YAML.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, documents: &[Value]) {
        let text: Vec<String> = documents.iter().map(|document| format!("{document:#}\n")).collect();
        self.write_text(name, &text.join("---\n"));
    }

    /// Replaces a file at once.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_text(&self, name: &str, text: &str) {
        let draft = self.beside("draft");
        fs::write(&draft, text).expect("a file is written");
        fs::rename(draft, self.path().join(name)).expect("a file is renamed");
    }
}

impl Logged {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('|').collect();
        let [uri, status, upstream_addr, upstream_status, body_bytes_sent] = fields[..] else { return None };
        Some(Self {
            request_uri: uri.into(),
            status: status.into(),
            upstream_addr: upstream_addr.into(),
            upstream_status: upstream_status.into(),
            body_bytes_sent: body_bytes_sent.into(),
        })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}
