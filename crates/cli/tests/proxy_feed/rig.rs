//! What these tests stand on: a scripted controller or two, a data plane that is fed by them, upstreams.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, Group, GroupId, HostRoutes, Resource, Server, Target};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Authority, Client, Controller, Forebay, Upstream, patiently, process};

pub const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

/// Files that a data plane is given.
pub struct Files {
    pub authority: Authority,
    dir: TempDir,
}

impl Files {
    pub fn new() -> Self {
        let files = Self { authority: Authority::new(), dir: tempfile::tempdir().unwrap() };
        files.write_token("first");
        files
    }

    pub fn token(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    pub fn write_token(&self, token: &str) {
        std::fs::write(self.token(), token).unwrap();
    }

    /// Where the last good configuration is kept.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn last_good(&self) -> PathBuf {
        self.state().join("last-good.jsonl")
    }

    /// A data plane for these controllers, with one routed listener and one worker.
    pub fn proxy(&self, controllers: &[&Controller]) -> process::Builder {
        let urls: Vec<_> = controllers.iter().map(|controller| controller.url()).collect();
        let builder = Forebay::proxy(FOREBAY, &self.authority, &self.token());
        builder.listen().args(["--workers", "1", "--access-log", "off", "--controller", &urls.join(",")])
    }

    pub fn proxy_with_state(&self, controllers: &[&Controller]) -> process::Builder {
        self.proxy(controllers).args(["--state-dir"]).args([self.state()])
    }
}

/// A host `HOST` that leads to a group of these servers.
pub fn app(host: &str, servers: &[&Upstream]) -> Vec<Resource> {
    let id = GroupId::new("shop", host);
    let servers = servers.iter().map(|one| Server::new(one.name(), one.address().to_string().parse().unwrap()));
    let default = Some(Target::Group(id.clone()));
    let routes = HostRoutes { host: format!("{host}.example").parse().unwrap(), paths: Vec::new(), default };
    vec![Resource::Group(id, Arc::new(Group::with_defaults(servers.collect()))), Resource::Route(Arc::new(routes))]
}

pub fn config(resources: impl IntoIterator<Item = Resource>) -> Config {
    resources.into_iter().collect()
}

/// Status and body of a request to `HOST.example`.
pub async fn get(forebay: &Forebay, host: &str) -> (u16, String) {
    let mut client = Client::connect(forebay.http(0)).await;
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}.example\r\nConnection: close\r\n\r\n")).await;
    let response = client.response().await;
    (response.status, response.text())
}

/// Waits until `/api/v1/config` fits.
pub async fn config_shows(forebay: &Forebay, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let mut poll = tokio::time::interval(Duration::from_millis(10));
    patiently(what, async {
        loop {
            let config = forebay.admin_get("/api/v1/config").await.json();
            if fits(&config) {
                return config;
            }
            poll.tick().await;
        }
    })
    .await
}

/// Waits until a file is there and fits.
pub async fn file_shows(path: &std::path::Path, fits: impl Fn(&str) -> bool) -> String {
    let mut poll = tokio::time::interval(Duration::from_millis(10));
    patiently(&format!("{} to be written", path.display()), async {
        loop {
            match std::fs::read_to_string(path) {
                Ok(text) if fits(&text) => return text,
                Ok(_) | Err(_) => drop(poll.tick().await),
            }
        }
    })
    .await
}

/// The value of a metric, with its labels as they are printed.
pub async fn metric(forebay: &Forebay, series: &str) -> Option<f64> {
    let text = forebay.admin_get("/metrics").await.text();
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}
