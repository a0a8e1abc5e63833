//! The arrangement of the TLS tests: Ingresses with certificates of an authority of the test's own, one upstream behind them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde_json::{Value, json};
use testkit::{
    Client, Forebay, Upstream, patiently,
    rig::Documents,
    tls::{self, Authority},
};

/// A Forebay with a TLS listener and a plain one, routed by Ingresses for `shop.example`, `*.shop.example` and any host.
pub struct TlsRig {
    pub forebay: Forebay,
    pub upstream: Upstream,
    pub authority: Authority,
    pub documents: Documents,
}

impl TlsRig {
    /// With certificates for `shop.example` and `*.shop.example` in Secrets of their own, and no default.
    pub async fn start(args: &[&str]) -> Self {
        Self::start_workers(1, args).await
    }

    /// The same with more workers.
    pub async fn start_workers(workers: usize, args: &[&str]) -> Self {
        let (authority, documents) = (Authority::new(), Documents::new());
        let upstream = Upstream::start("a").await;
        documents.write("group.yaml", &[group(&upstream)]);
        documents.write(
            "shop.yaml",
            &[ingress("shop", &["shop.example"]), authority.issue(&["shop.example"]).secret("shop")],
        );
        let wide = authority.issue(&["*.shop.example"]).secret("wide");
        documents.write("wide.yaml", &[ingress("wide", &["*.shop.example"]), wide]);
        documents.write("any.yaml", &[rules("any", &[None], &Value::Null)]);
        let forebay = Forebay::run(env!("CARGO_BIN_EXE_forebay"), documents.path()).listen().listen_tls();
        let forebay = forebay.args(["--error-log-level", "info", "--workers", &workers.to_string()]).args(args);
        Self { forebay: forebay.start().await, upstream, authority, documents }
    }

    /// An HTTP/1.1 connection to `host`.
    pub async fn client(&self, host: &str) -> Client {
        let stream = tls::connect(self.forebay.https(0), host, &self.authority.client(&[tls::HTTP1])).await;
        Client::on(stream.unwrap_or_else(|error| panic!("{host}: {error}")))
    }

    /// Replaces a file.
    pub fn replace(&self, name: &str, documents: &[Value]) {
        self.documents.write(name, documents);
    }

    /// Replaces a file and returns once the change is in force.
    pub async fn write(&self, name: &str, documents: &[Value]) {
        let before = self.revision().await;
        self.replace(name, documents);
        let mut poll = tokio::time::interval(std::time::Duration::from_millis(10));
        patiently("the change to be in force", async {
            while self.revision().await == before {
                poll.tick().await;
            }
        })
        .await;
    }

    async fn revision(&self) -> String {
        self.forebay.admin_get("/api/v1/config").await.json()["revision"].to_string()
    }

    /// The value of a series, 0 if there is none.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.forebay.admin_get("/metrics").await.text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }
}

pub fn group(upstream: &Upstream) -> Value {
    json!({
        "apiVersion": "forebay.dev/v1alpha1",
        "kind": "UpstreamGroup",
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {"servers": [{"name": "a", "address": upstream.address().to_string()}]},
    })
}

/// An Ingress for these hosts whose certificate is in the Secret of its own name.
pub fn ingress(name: &str, hosts: &[&str]) -> Value {
    let rules_of: Vec<_> = hosts.iter().map(|host| Some(*host)).collect();
    rules(name, &rules_of, &json!([{"hosts": hosts, "secretName": name}]))
}

/// An Ingress whose every path leads to the group.
pub fn rules(name: &str, hosts: &[Option<&str>], tls: &Value) -> Value {
    let backend = json!({"resource": {"apiGroup": "forebay.dev", "kind": "UpstreamGroup", "name": "app"}});
    let rule = |host: Option<&str>| {
        let mut rule = json!({"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
        if let Some(host) = host {
            rule["host"] = host.into();
        }
        rule
    };
    let mut spec = json!({"rules": hosts.iter().copied().map(rule).collect::<Vec<_>>()});
    if !tls.is_null() {
        spec["tls"] = tls.clone();
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    })
}
