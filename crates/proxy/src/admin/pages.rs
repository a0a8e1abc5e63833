//! The pages: which path shows what.

use std::sync::Arc;

use admin::{Answer, Pages, exposition, json, text};
use config::Millis;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{groups, routes};
use crate::clock::Moment;
use crate::config_status::ConfigStatus;
use crate::metrics::Metrics;
use crate::observed::Observed;
use crate::source::FeedStatus;
use crate::variables::{percent_decode, rfc3339_utc};

/// What the pages are made from.
pub(super) struct DataPlane<S> {
    pub(super) source: Arc<S>,
    pub(super) status: Arc<ConfigStatus>,
    pub(super) metrics: Metrics,
}

impl<S: Observed> Pages for DataPlane<S> {
    const INDEX: &'static str = "\
forebay admin

/healthz                            the process lives
/readyz                             every worker answers and a configuration is in force, not older than --max-stale
/metrics                            Prometheus metrics
/api/v1/groups                      every group and server, live
/api/v1/groups/NAMESPACE/NAME       one group
/api/v1/routes                      every host and path: the group it leads to, and the host's certificate
/api/v1/config                      what is in force, where it comes from, and what became of the last change
";

    async fn page(&self, path: &str) -> Option<Answer> {
        Some(match path {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness().await,
            "/metrics" => exposition(self.metrics.render()),
            "/api/v1/groups" => self.groups(),
            "/api/v1/routes" => self.routes(),
            "/api/v1/config" => json(StatusCode::OK, &self.config()),
            _ => {
                let (namespace, name) = path.strip_prefix("/api/v1/groups/")?.split_once('/')?;
                let decoded = |text: &str| String::from_utf8(percent_decode(text.as_bytes())?).ok();
                self.group(&decoded(namespace)?, &decoded(name)?)
            }
        })
    }
}

impl<S: Observed> DataPlane<S> {
    async fn readiness(&self) -> Answer {
        let unready = |why: String| text(StatusCode::SERVICE_UNAVAILABLE, why + "\n");
        if self.source.is_leaving() {
            return unready("draining".into());
        }
        if self.source.snapshot().is_none() {
            let problem = self.status.feed().and_then(|feed| feed.standing().problem);
            return unready(
                problem.map_or("no configuration yet".into(), |why| format!("no configuration yet; {why}")),
            );
        }
        if let Some(stale) = self.status.feed().and_then(|feed| feed.stale(self.source.now())) {
            return unready(stale);
        }
        let workers = self.source.ping_workers().await;
        match workers.iter().position(Option::is_none) {
            Some(stuck) => unready(format!("worker {stuck} does not answer")),
            None => text(StatusCode::OK, "ok\n"),
        }
    }

    fn groups(&self) -> Answer {
        let Some(snapshot) = self.source.snapshot() else {
            return json(StatusCode::OK, &json!({"revision": null, "groups": []}));
        };
        let mut views: Vec<_> = snapshot.groups.values().collect();
        views.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let now = self.source.now();
        let groups: Vec<_> = views.into_iter().map(|view| groups::picture(view, now)).collect();
        json(StatusCode::OK, &json!({"revision": snapshot.revision.to_string(), "groups": groups}))
    }

    fn group(&self, namespace: &str, name: &str) -> Answer {
        let snapshot = self.source.snapshot();
        let id = config::GroupId::new(namespace, name);
        match snapshot.as_ref().and_then(|snapshot| snapshot.groups.get(&id)) {
            Some(view) => json(StatusCode::OK, &groups::picture(view, self.source.now())),
            None => json(StatusCode::NOT_FOUND, &json!({"error": format!("no group {id}; see /api/v1/groups")})),
        }
    }

    fn routes(&self) -> Answer {
        let snapshot = self.source.snapshot();
        let revision = snapshot.as_ref().map(|snapshot| snapshot.revision.to_string());
        let hosts = snapshot.as_deref().map(routes::hosts).unwrap_or_default();
        json(StatusCode::OK, &json!({"revision": revision, "hosts": hosts}))
    }

    fn config(&self) -> Value {
        let (now, last) = (self.source.now(), self.status.last());
        let snapshot = self.source.snapshot();
        let snapshot = snapshot.as_deref();
        json!({
            "revision": snapshot.map(|snapshot| snapshot.revision.to_string()),
            "source": snapshot.map(|snapshot| &snapshot.source),
            "applied": snapshot.map(|snapshot| rfc3339_utc(snapshot.applied)),
            "age_seconds": snapshot.and_then(|_| self.status.age(now)).map(|age| age.as_secs()),
            "groups": snapshot.map(|snapshot| snapshot.groups.len()),
            "last_reload": last.as_ref().map(|last| json!({
                "result": last.result.name(),
                "time": rfc3339_utc(last.at),
            })),
            "problems": last.as_ref().map_or(&[][..], |last| &last.problems),
            "feed": self.status.feed().map(feed),
        })
    }
}

/// How it stands with its controllers.
fn feed(feed: &FeedStatus) -> Value {
    let standing = feed.standing();
    let time = |at: Millis| rfc3339_utc(Moment::from(at.0.saturating_mul(1000)));
    let rejected = standing
        .rejected
        .iter()
        .map(|(key, rejection)| (key.clone(), json!({"version": rejection.version, "problem": rejection.problem})));
    json!({
        "synced": standing.synced,
        "controller": standing.controller.map(|controller| json!({
            "url": controller.url,
            "address": controller.address,
            "name": controller.name,
        })),
        "problem": standing.problem,
        "rejected": rejected.collect::<Map<_, _>>(),
        "last_good": {"current_at": standing.last_good_at.map(time), "problem": standing.last_good_problem},
    })
}
