//! The pages: which path shows what.

use std::sync::Arc;

use config::Millis;
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Response, groups, routes};
use crate::clock::Moment;
use crate::config_status::ConfigStatus;
use crate::metrics::{self, Metrics};
use crate::observed::Observed;
use crate::source::FeedStatus;
use crate::variables::{percent_decode, rfc3339_utc};

/// What the pages are made from.
pub(super) struct Pages<S> {
    pub(super) source: Arc<S>,
    pub(super) status: Arc<ConfigStatus>,
    pub(super) metrics: Metrics,
}

/// A path that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Page {
    Index,
    Healthz,
    Readyz,
    Metrics,
    Groups,
    Group { namespace: String, name: String },
    Routes,
    Config,
}

const INDEX: &str = "\
forebay admin

/healthz                            the process lives
/readyz                             every worker answers and a configuration is in force, not older than --max-stale
/metrics                            Prometheus metrics
/api/v1/groups                      every group and server, live
/api/v1/groups/NAMESPACE/NAME       one group
/api/v1/routes                      every host and path: the group it leads to, and the host's certificate
/api/v1/config                      what is in force, where it comes from, and what became of the last change
";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

impl Page {
    fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Index,
            "/healthz" => Self::Healthz,
            "/readyz" => Self::Readyz,
            "/metrics" => Self::Metrics,
            "/api/v1/groups" => Self::Groups,
            "/api/v1/routes" => Self::Routes,
            "/api/v1/config" => Self::Config,
            _ => {
                let (namespace, name) = path.strip_prefix("/api/v1/groups/")?.split_once('/')?;
                let decoded = |text: &str| String::from_utf8(percent_decode(text.as_bytes())?).ok();
                Self::Group { namespace: decoded(namespace)?, name: decoded(name)? }
            }
        })
    }
}

impl<S: Observed> Pages<S> {
    /// The answer to a request; its body is ignored.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response {
        let Some(page) = Page::at(request.uri().path()) else {
            return text(StatusCode::NOT_FOUND, "not found; see / for what there is\n".into());
        };
        // hyper leaves the body of an answer to HEAD out.
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match page {
            Page::Index => text(StatusCode::OK, INDEX.into()),
            Page::Healthz => text(StatusCode::OK, "ok\n".into()),
            Page::Readyz => self.readiness().await,
            Page::Metrics => match self.metrics.render() {
                Ok(rendered) => respond(StatusCode::OK, metrics::CONTENT_TYPE, rendered),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            Page::Groups => self.groups(),
            Page::Group { namespace, name } => self.group(&namespace, &name),
            Page::Routes => self.routes(),
            Page::Config => json(StatusCode::OK, &self.config()),
        }
    }

    async fn readiness(&self) -> Response {
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
            None => text(StatusCode::OK, "ok\n".into()),
        }
    }

    fn groups(&self) -> Response {
        let Some(snapshot) = self.source.snapshot() else {
            return json(StatusCode::OK, &json!({"revision": null, "groups": []}));
        };
        let mut views: Vec<_> = snapshot.groups.values().collect();
        views.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let now = self.source.now();
        let groups: Vec<_> = views.into_iter().map(|view| groups::picture(view, now)).collect();
        json(StatusCode::OK, &json!({"revision": snapshot.revision.to_string(), "groups": groups}))
    }

    fn group(&self, namespace: &str, name: &str) -> Response {
        let snapshot = self.source.snapshot();
        let id = config::GroupId::new(namespace, name);
        match snapshot.as_ref().and_then(|snapshot| snapshot.groups.get(&id)) {
            Some(view) => json(StatusCode::OK, &groups::picture(view, self.source.now())),
            None => json(StatusCode::NOT_FOUND, &json!({"error": format!("no group {id}; see /api/v1/groups")})),
        }
    }

    fn routes(&self) -> Response {
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

fn text(status: StatusCode, body: String) -> Response {
    respond(status, TEXT, body)
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(body) {
        Ok(body) => respond(status, JSON, body + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
