use std::sync::atomic::Ordering::Relaxed;

use admin::Pages as _;
use balance::{Inputs, Outcome, Rng};
use config::{Code, Diagnostic, HostPattern, HostRoutes, PathMatch, PathRoute, Routes, Severity, Target};
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::record::{Attempt, AttemptEnd, FailureReason};
use crate::snapshot::GroupView;
use crate::testing::Fixed;
use crate::{stats, testing as values};

struct First;

impl Rng for First {
    fn below(&mut self, _bound: u64) -> u64 {
        0
    }
}

fn pages(source: &Arc<Fixed>) -> DataPlane<Fixed> {
    let status = Arc::new(ConfigStatus::new());
    let metrics = Metrics::new(Registry::new(), source.clone(), status.clone()).unwrap();
    DataPlane { metrics, source: source.clone(), status }
}

/// `None`: there is no such page.
async fn look(pages: &DataPlane<Fixed>, path: &str) -> Option<(StatusCode, String)> {
    let (head, body) = pages.page(path).await?.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Some((head.status, String::from_utf8(body.to_vec()).unwrap()))
}

async fn get(pages: &DataPlane<Fixed>, path: &str) -> (StatusCode, String) {
    look(pages, path).await.expect(path)
}

async fn get_json(pages: &DataPlane<Fixed>, path: &str) -> Value {
    let (status, body) = get(pages, path).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    serde_json::from_str(&body).unwrap()
}

/// Two servers of which the first has just been ejected.
fn ejected() -> Arc<GroupView> {
    let mut record = values::record();
    let group = record.group.clone().unwrap();
    let now = record.started.now();
    let mut balance = group.cell.balance.lock();
    let mut request = balance::Request::new(&group.plan, &Inputs::default());
    let peer = balance.select(&group.plan, &mut request, now, &mut First).unwrap();
    assert!(balance.release(&group.plan, peer, Outcome::Failed, now).disabled);
    drop(balance);
    record.begin_attempt(Attempt::begin(group.servers[peer.position].clone(), record.started));
    record.end_attempt(AttemptEnd::Failed(FailureReason::Status(503)), true, record.finished);
    stats::request_ends(&record, &stats::ProcessStats::default());
    group
}

#[tokio::test]
async fn health_is_the_process_and_readiness_the_workers() {
    let source = Arc::new(Fixed::default());
    let pages = pages(&source);
    assert_eq!(get(&pages, "/healthz").await.0, StatusCode::OK);
    let unready = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    assert_eq!(get(&pages, "/readyz").await, unready("no configuration yet"));
    source.apply([]);
    assert_eq!(get(&pages, "/readyz").await, (StatusCode::OK, "ok\n".into()));
    source.stuck.store(true, Relaxed);
    assert_eq!(get(&pages, "/readyz").await, unready("worker 1 does not answer"));
    source.leaving.store(true, Relaxed);
    assert_eq!(get(&pages, "/readyz").await, unready("draining"));
}

#[tokio::test]
async fn groups_show_every_server_live() {
    let pages = pages(&Fixed::new([ejected(), values::group("a/first", &["127.0.0.1:3"])]));
    let all = get_json(&pages, "/api/v1/groups").await;
    let names: Vec<_> = all["groups"].as_array().unwrap().iter().map(|group| &group["name"]).collect();
    assert_eq!(names, ["first", "app"]);

    let group = get_json(&pages, "/api/v1/groups/shop/app").await;
    assert_eq!(group, all["groups"][1]);
    assert_eq!(group["active_tier"], "Primary");
    assert_eq!((&group["method"], &group["requests"]), (&json!("RoundRobin"), &json!(1)));
    let server = &group["servers"][0];
    assert_eq!((&server["name"], &server["address"]), (&json!("a"), &json!("127.0.0.1:1")));
    assert_eq!((&server["state"], &server["tier"]), (&json!("Ejected"), &json!("Primary")));
    assert_eq!(server["ejected_until"], "2026-11-22T10:00:11Z", "more than 10 s, in whole seconds");
    assert_eq!((&server["fails"], &server["failures"], &server["ejections"]), (&json!(1), &json!(1), &json!(1)));
    let failure = json!({"reason": "status", "status": 503, "time": "2026-11-22T10:00:00Z"});
    assert_eq!(server["last_failure"], failure);
    assert_eq!(group["servers"][1]["state"], "Up");
    assert_eq!(group["servers"][1]["last_failure"], Value::Null);
}

#[tokio::test]
async fn routes_say_where_hosts_and_paths_lead() {
    let path = |path, target| PathRoute { path, target, origin: "ingress shop/web".into() };
    let shop = HostRoutes {
        host: "shop.example".parse().unwrap(),
        paths: vec![
            path(PathMatch::Prefix("/".into()), Target::Group("shop/app".parse().unwrap())),
            path(PathMatch::Exact("/old".into()), Target::Unavailable { reason: "no Service shop/old".into() }),
        ],
        default: None,
    };
    let default = Some(Target::Group("shop/app".parse().unwrap()));
    let any = HostRoutes { host: HostPattern::Any, paths: Vec::new(), default };
    let source = Fixed::new([ejected()]);
    source.route(&Routes { hosts: vec![shop.into(), any.into()] });
    let all = get_json(&pages(&source), "/api/v1/routes").await;
    assert_eq!(all["revision"].as_str().unwrap().len(), 32);
    let any = json!({"host": "*", "certificate": null, "routes": [], "default": {"group": "shop/app"}});
    let certificate = json!({"namespace": "shop", "name": "tls", "expires": "2027-01-15T08:00:00Z"});
    let prefix = json!({"path": "/", "type": "Prefix", "group": "shop/app", "origin": "ingress shop/web"});
    let exact = json!({
        "path": "/old", "type": "Exact", "unavailable": "no Service shop/old", "origin": "ingress shop/web",
    });
    let shop = json!({"host": "shop.example", "certificate": certificate, "routes": [prefix, exact], "default": null});
    assert_eq!(all["hosts"], json!([any, shop]));
}

#[tokio::test]
async fn the_configuration_and_what_became_of_the_last_reload() {
    let pages = pages(&Fixed::new([ejected()]));
    let config = get_json(&pages, "/api/v1/config").await;
    assert_eq!((&config["last_reload"], &config["problems"]), (&Value::Null, &json!([])));
    assert_eq!(
        (&config["source"], &config["applied"]),
        (&json!("examples/quickstart"), &json!("2026-11-22T10:00:00Z"))
    );
    assert_eq!(config["revision"].as_str().unwrap().len(), 32);

    let code: Code = "FB2001";
    let problems = vec![Diagnostic::new(code, Severity::Error, "unknown field \"wieght\"")];
    pages.status.refused(problems, pages.source.now());
    let config = get_json(&pages, "/api/v1/config").await;
    assert_eq!((&config["age_seconds"], &config["feed"]), (&json!(0), &Value::Null));
    assert_eq!(config["last_reload"], json!({"result": "refused", "time": "2026-11-22T10:00:05Z"}));
    assert_eq!(config["problems"][0]["code"], code);
}

#[tokio::test]
async fn before_the_first_configuration_nothing_is_in_force() {
    let pages = pages(&Arc::new(Fixed::default()));
    assert_eq!(get_json(&pages, "/api/v1/groups").await["groups"], json!([]));
    assert_eq!(get_json(&pages, "/api/v1/config").await["revision"], Value::Null);
    assert_eq!(get_json(&pages, "/api/v1/routes").await, json!({"revision": null, "hosts": []}));
    assert_eq!(get(&pages, "/metrics").await.0, StatusCode::OK);
}

#[tokio::test]
async fn names_in_paths_are_whole_and_may_be_encoded() {
    let pages = pages(&Fixed::new([values::group("shop/app:http", &["127.0.0.1:3"])]));
    for path in ["/api", "/api/v1/groups/", "/api/v1/groups/shop", "/metrics/"] {
        assert_eq!(look(&pages, path).await, None, "{path}");
    }
    let (status, problem) = get(&pages, "/api/v1/groups/shop/none").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem.contains("no group shop/none; see /api/v1/groups"), "{problem}");
    assert_eq!(get_json(&pages, "/api/v1/groups/shop/app%3Ahttp").await["name"], "app:http");
}

#[tokio::test]
async fn is_scraped_on_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, Fixed::new([ejected()]), Arc::default(), Registry::new()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, metrics) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(metrics.contains("forebay_"), "{metrics}");
    serving.abort();
}
