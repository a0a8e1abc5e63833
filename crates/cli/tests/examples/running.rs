//! An example as it runs on a laptop, with the ports of its servers exchanged for free ones.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use testkit::{Address, Client, Forebay, Response, Upstream, patiently};

/// A directory of `examples/`, with its servers and a Forebay in front of them.
pub struct Example {
    pub forebay: Forebay,
    /// The servers in the order of the group's lines.
    pub servers: Vec<Upstream>,
    config: TempDir,
}

pub fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

impl Example {
    /// The example with its listener bound to its group, as its README starts it.
    pub async fn start(name: &str) -> Self {
        Self::start_with(name, &["--http", &format!("127.0.0.1:0=default/{name}")]).await
    }

    /// The example with these flags.
    pub async fn start_with(name: &str, flags: &[&str]) -> Self {
        let (config, servers) = lay_out(name).await;
        let forebay = Forebay::run(env!("CARGO_BIN_EXE_forebay"), config.path()).args(flags).start().await;
        Self { forebay, servers, config }
    }

    /// The server of that name.
    pub fn server(&self, name: &str) -> &Upstream {
        self.servers.iter().find(|server| server.name() == name).unwrap_or_else(|| panic!("no server {name}"))
    }

    /// A request with these header lines, each ended by CRLF.
    pub async fn get(&self, target: &str, headers: &str) -> Response {
        let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}Connection: close\r\n\r\n");
        Client::once(self.forebay.http(0), request).await
    }

    /// Who answers a plain request; it must be answered with 200.
    pub async fn who(&self) -> String {
        self.who_with("").await
    }

    pub async fn who_with(&self, headers: &str) -> String {
        let response = self.get("/", headers).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.text()
    }

    /// Who answers each of `count` requests, one after the other.
    pub async fn sequence(&self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(self.who().await);
        }
        names
    }

    /// Changes the text of `upstreamgroup.yaml` and returns once the change is served.
    pub async fn edit(&self, change: impl FnOnce(String) -> String) {
        let before = self.revision().await;
        let path = self.config.path().join("upstreamgroup.yaml");
        let text = fs::read_to_string(&path).expect("the group can be read");
        let changed = change(text.clone());
        assert_ne!(changed, text, "the change changes nothing");
        fs::write(&path, changed).expect("the group can be written");
        patiently("the change to be served", async {
            while self.revision().await == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    async fn revision(&self) -> String {
        self.forebay.admin_get("/api/v1/config").await.json()["revision"].to_string()
    }
}

/// A copy of the example's documents, and the servers on free ports that it names instead of the shown ones.
pub async fn lay_out(name: &str) -> (TempDir, Vec<Upstream>) {
    let config = tempfile::tempdir().expect("a temporary directory");
    let mut servers = Vec::new();
    for path in documents(name) {
        let mut text = fs::read_to_string(&path).expect("an example can be read");
        for (server, address) in addresses(&text) {
            let upstream = Upstream::start(&server).await;
            text = text.replace(&address, &upstream.address().to_string());
            servers.push(upstream);
        }
        for (service, port) in ports(&text) {
            // One socket stands for every address of the slice or name: they share a port.
            let upstream = Upstream::at(&service, Address::Tcp(([0, 0, 0, 0], 0).into())).await;
            let Address::Tcp(bound) = upstream.address() else { unreachable!("it was asked for TCP") };
            text = text.replace(&format!("port: {port}\n"), &format!("port: {}\n", bound.port()));
            servers.push(upstream);
        }
        let copy = config.path().join(path.file_name().expect("a file has a name"));
        fs::write(copy, text).expect("a file is written");
    }
    (config, servers)
}

/// Its documents, without what is said of them.
pub fn documents(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory(name)).expect("an example is a directory");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    paths.sort();
    paths
}

/// The lines `- name: N` with the `address: A` below each.
pub fn addresses(text: &str) -> Vec<(String, String)> {
    let mut name = "";
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        name = line.strip_prefix("- name: ").unwrap_or(name);
        if let Some(address) = line.strip_prefix("address: ") {
            found.push((name.to_owned(), address.to_owned()));
        }
    }
    found
}

/// The Service and the port of each EndpointSlice, the name and the port of each line with a DNS name.
fn ports(text: &str) -> Vec<(String, String)> {
    let (mut line_name, mut server) = ("", "");
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        line_name = line.strip_prefix("- name: ").unwrap_or(line_name);
        server = if line == "dns:" { line_name } else { server };
        server = line.strip_prefix("kubernetes.io/service-name: ").unwrap_or(server);
        if let Some(port) = line.strip_prefix("port: ").filter(|port| port.starts_with("900")) {
            found.push((server.to_owned(), port.to_owned()));
        }
    }
    found
}
