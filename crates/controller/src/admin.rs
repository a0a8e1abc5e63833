//! The admin interface of a controller: health, readiness, metrics, and what it knows as JSON.
//!
//! Ready is who knows its cluster and has published it, once: neither leading nor an API server that answers is asked for,
//! since data planes are served without either.

use std::sync::Arc;

use admin::{Answer, Pages, exposition, json, text};
use config::Diagnostic;
use http::StatusCode;
use prometheus::{Registry, TextEncoder};
use serde::Serialize;
use tokio::sync::watch;

use crate::facts::Facts;
use crate::hub::Hub;
use crate::metrics;
use crate::publish::Readiness;
use crate::serve::Server;

/// What the interface shows.
pub struct Admin {
    /// How far the cluster is known.
    pub readiness: watch::Receiver<Readiness>,
    /// What is published.
    pub hub: Arc<Hub>,
    /// What was found.
    pub facts: Arc<Facts>,
    /// Who is served.
    pub server: Arc<Server>,
    /// What operators scrape.
    pub registry: Registry,
}

/// What is published, for people.
#[derive(Serialize)]
struct Published {
    /// Publications that changed something.
    sequence: u64,
    resources: Vec<Resource>,
    problems: Vec<Diagnostic>,
}

#[derive(Serialize)]
struct Resource {
    key: String,
    version: String,
}

impl Pages for Admin {
    const INDEX: &'static str = "\
forebay admin

/healthz               the process lives
/readyz                the cluster is known and published
/metrics               Prometheus metrics
/api/v1/config         what is published, and what was wrong with the objects it is made from
/api/v1/dataplanes     who is served, and what each has in force
";

    async fn page(&self, path: &str) -> Option<Answer> {
        Some(match path {
            "/healthz" | "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match &*self.readiness.borrow() {
                Readiness::Published => text(StatusCode::OK, "ok\n"),
                waiting @ (Readiness::Lists(_) | Readiness::Contents | Readiness::Names) => {
                    text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {waiting}\n"))
                }
            },
            "/metrics" => exposition(self.metrics()),
            "/api/v1/config" => json(StatusCode::OK, &self.published()),
            "/api/v1/dataplanes" => json(StatusCode::OK, &self.server.roster().seen()),
            _ => return None,
        })
    }
}

impl Admin {
    fn published(&self) -> Published {
        let (sequence, resources) = self.hub.read(|published| {
            let resource = |(key, encoded): (&Arc<config::ResourceKey>, &feed::Encoded)| Resource {
                key: key.to_string(),
                version: encoded.version().to_string(),
            };
            (published.sequence(), published.resources().map(resource).collect())
        });
        let problems = self.facts.read(|board| board.problems().cloned().collect());
        Published { sequence, resources, problems }
    }

    fn metrics(&self) -> prometheus::Result<String> {
        let families = [self.registry.gather(), metrics::of_feed(&self.server)?].concat();
        TextEncoder::new().encode_to_string(&families)
    }
}
