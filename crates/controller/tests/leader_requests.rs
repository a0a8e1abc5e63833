//! What a leader asks of the API server, request by request.

#[allow(dead_code, reason = "another suite uses the rest")]
#[path = "support/apiserver.rs"]
mod apiserver;

use std::collections::BTreeMap;
use std::sync::Arc;

use apiserver::ApiServer;
use config::{Diagnostic, Group, GroupId, Millis, Revision, Server, Severity, Tier};
use controller::clock::Clock;
use controller::facts::{Facts, GroupFacts, IngressFacts, PublishedGroup, ServiceFacts};
use controller::fleet::Reports;
use controller::hub::Hub;
use controller::lease::{self, Election, Leadership, Timing};
use controller::status::budget::Limits;
use controller::status::{self, Sources, StatusMetrics};
use feed::Scope;
use feed::report::{Counters, Extent, GroupReport, Report, ServerReport, ServerState};
use http::{Method, StatusCode};
use k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/forebay/leases/forebay-controller";
const GROUP: &str = "/apis/forebay.dev/v1alpha1/namespaces/shop/upstreamgroups/app/status";
const INGRESS: &str = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web/status";

fn id() -> GroupId {
    GroupId::new("shop", "app")
}

fn line() -> Server {
    Server::new("s0", "10.0.0.1:80".parse().expect("an address"))
}

fn facts() -> Arc<Facts> {
    let facts = Arc::new(Facts::default());
    let group = PublishedGroup { group: Arc::new(Group::with_defaults(vec![line()])), version: Revision::of(b"v1") };
    let missing =
        Diagnostic::new(translate::codes::SECRET_MISSING, Severity::Warning, "Secret shop/tls does not exist");
    let ingress = IngressFacts { uid: "uid-2".into(), diagnostics: vec![missing], load_balancer: Vec::new() };
    let group =
        GroupFacts { uid: "uid-1".into(), generation: 4, diagnostics: vec![], published: Some(group), status: None };
    facts.update(|board| {
        board.groups.insert(id(), Arc::new(group));
        board.ingresses.insert(("shop".into(), "web".into()), Arc::new(ingress));
        board.load_balancer = Some(vec![IngressLoadBalancerIngress { ip: Some("192.0.2.1".into()), ..<_>::default() }]);
    });
    facts
}

fn report(state: ServerState) -> Report {
    let server = ServerReport {
        name: line().name,
        address: line().address,
        state,
        effective_weight: 1,
        active: 2,
        counters: Counters { requests: 1234, ..Counters::default() },
        last_failure: None,
    };
    let group = GroupReport { version: Some(Revision::of(b"v1")), active_tier: Tier::Primary, servers: vec![server] };
    Report {
        instance: "forebay/proxy-0".into(),
        epoch: 1,
        seq: 1,
        extent: Extent::Full,
        revision: Revision::of(b""),
        age: Millis(0),
        scope: Scope::All,
        zone: None,
        rejected: BTreeMap::new(),
        groups: [(id(), group.into())].into(),
    }
}

/// A replica that leads and writes.
struct Leader {
    api: ApiServer,
    facts: Arc<Facts>,
    leadership: watch::Sender<Leadership>,
    metrics: Registry,
    stop: CancellationToken,
}

fn leader(api: ApiServer) -> Leader {
    let clock = Clock::start();
    let reports = Reports::new(clock);
    reports.absorb(report(ServerState::Up));
    let leading = Leadership { until: Some(Millis(u64::MAX)), leader: None };
    let (sender, leadership) = watch::channel(leading);
    let (metrics, stop) = (Registry::new(), CancellationToken::new());
    let series = StatusMetrics::new(&metrics).expect("new series");
    let facts = facts();
    let sources = Sources { facts: facts.clone(), reports, leadership };
    let options =
        status::Options { limits: Limits::DEFAULT, publish_addresses: Vec::new(), identity: "controller-0_1".into() };
    let (client, stopped) = (api.client(), stop.clone());
    tokio::spawn(async move { status::run(client, sources, clock, &options, series, stopped).await });
    Leader { api, facts, leadership: sender, metrics, stop }
}

async fn api_with_objects() -> ApiServer {
    let api = ApiServer::start().await;
    for path in [GROUP, INGRESS] {
        api.state.lock().objects.insert(path.into(), json!({"metadata": {"resourceVersion": "1"}}));
    }
    api
}

fn sent(api: &ApiServer, method: &Method, path: &str) -> Vec<Value> {
    let state = api.state.lock();
    let of = |(m, p, _): &&(Method, String, Value)| m == method && p.split('?').next() == Some(path);
    state.requests.iter().filter(of).map(|(_, _, body)| body.clone()).collect()
}

#[tokio::test]
async fn statuses_are_applied_whole_and_events_told_once() {
    let leader = leader(api_with_objects().await);
    leader.api.arrived(3).await;
    let paths: Vec<_> = leader.api.state.lock().requests.iter().map(|(_, path, _)| path.clone()).collect();
    let applied = "?&force=true&fieldManager=forebay-controller";
    assert!(paths.contains(&format!("{GROUP}{applied}")), "{paths:?}");
    assert!(paths.contains(&format!("{INGRESS}{applied}")), "{paths:?}");

    let mut group = sent(&leader.api, &Method::PATCH, GROUP).remove(0);
    let conditions = group["status"]["conditions"].take();
    assert_eq!(
        group,
        json!({
            "apiVersion": "forebay.dev/v1alpha1",
            "kind": "UpstreamGroup",
            "metadata": {"name": "app", "uid": "uid-1"},
            "status": {
                "observedGeneration": 4,
                "conditions": null,
                "dataPlanes": {
                    "connected": 1, "programmed": 1, "ready": "1/1",
                    "revision": Revision::of(b"v1").to_string()[..12],
                },
                "summary": {
                    "servers": 1, "available": 1, "ready": "1/1", "activeTier": "Primary", "activeRequests": 2,
                    "requests": 1200, "requestsPerSecond": 0, "failures": 0, "errorPercent": "0",
                },
                "servers": [{
                    "name": "s0", "address": "10.0.0.1:80", "tier": "Primary", "weight": 1, "state": "Up", "upOn": "1/1",
                    "activeRequests": 2, "requests": 1200, "failures": 0, "ejections": 0,
                }],
            },
        })
    );
    let told: Vec<_> = conditions
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            format!("{}={}", one["type"].as_str().unwrap_or_default(), one["status"].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(told, ["Accepted=True", "ResolvedRefs=True", "Programmed=True", "Available=True", "UsingBackup=False"]);

    assert_eq!(
        sent(&leader.api, &Method::PATCH, INGRESS),
        [json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "web", "uid": "uid-2"},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        })]
    );

    let events = "/apis/events.k8s.io/v1/namespaces/shop/events";
    let mut event = sent(&leader.api, &Method::POST, events).remove(0);
    let name = event["metadata"]["name"].as_str().expect("a name").to_owned();
    assert!(name.starts_with("web.") && name.len() == 20, "{name}");
    assert!(event["eventTime"].take().is_string());
    assert_eq!(
        event,
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": "shop"},
            "eventTime": null,
            "type": "Warning",
            "reason": "SecretUnusable",
            "action": "Resolve",
            "note": "Secret shop/tls does not exist [FB4007]",
            "reportingController": "forebay.dev/controller",
            "reportingInstance": "controller-0_1",
            "regarding": {
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "namespace": "shop", "name": "web",
                "uid": "uid-2",
            },
        })
    );
    leader.stop.cancel();

    // A replica that comes after it tells the same under the same name, which the API server knows already.
    let next = self::leader(leader.api);
    next.api.arrived(6).await;
    let names: Vec<_> =
        sent(&next.api, &Method::POST, events).iter().map(|event| event["metadata"]["name"].clone()).collect();
    assert_eq!(names, [json!(name), json!(name)]);
    next.stop.cancel();
}

#[tokio::test]
async fn what_is_wrong_with_endpoints_is_told_of_their_service() {
    let leader = leader(api_with_objects().await);
    let fqdn = Diagnostic::new(translate::codes::SLICE_IGNORED, Severity::Warning, "addressType FQDN is not supported");
    leader.facts.update(|board| {
        let (name, facts) =
            (("shop".into(), "api".into()), ServiceFacts { uid: "uid-3".into(), diagnostics: vec![fqdn] });
        board.services.insert(name, Arc::new(facts));
    });
    // Whether or not the leader looked around already.
    leader.facts.update(|board| board.dirty.services.insert(("shop".into(), "api".into())));
    leader.api.arrived(4).await;
    let events = sent(&leader.api, &Method::POST, "/apis/events.k8s.io/v1/namespaces/shop/events");
    let about = json!({"apiVersion": "v1", "kind": "Service", "namespace": "shop", "name": "api", "uid": "uid-3"});
    let event = events.iter().find(|event| event["regarding"] == about).expect("an event on the Service");
    assert_eq!(
        (&event["reason"], &event["note"]),
        (&json!("EndpointsIgnored"), &json!("EndpointSlices: addressType FQDN is not supported [FB4005]"))
    );
    leader.stop.cancel();
}

#[tokio::test]
async fn an_api_server_that_is_busy_is_left_alone() {
    let api = api_with_objects().await;
    {
        let mut state = api.state.lock();
        (state.fault, state.retry_after) = (Some(StatusCode::TOO_MANY_REQUESTS), Some(250));
    }
    let leader = leader(api);
    // One status, refused; the event goes to another resource and is refused too. Then silence for both statuses.
    leader.api.arrived(2).await;
    let writes = sent(&leader.api, &Method::PATCH, GROUP).len() + sent(&leader.api, &Method::PATCH, INGRESS).len();
    assert_eq!(writes, 1);
    let throttled = leader.metrics.gather().into_iter().find(|family| family.name().ends_with("status_writes_total"));
    let throttled =
        throttled.expect("the series").get_metric().iter().map(|one| one.get_counter().get_value()).sum::<f64>();
    assert!((throttled - 1.0).abs() < f64::EPSILON);
    leader.stop.cancel();
}

#[tokio::test]
async fn who_does_not_lead_asks_nothing() {
    let api = api_with_objects().await;
    let leader = leader(api);
    leader.leadership.send_replace(Leadership::default());
    leader.facts.update(|board| board.dirty.groups.insert(id()));
    while leader.facts.read(|board| !board.dirty.groups.is_empty()) {
        tokio::task::yield_now().await;
    }
    leader.stop.cancel();
    assert_eq!(leader.api.asked("/apis"), 0);
}

#[tokio::test]
async fn the_lease_is_created_renewed_and_given_back() {
    let api = ApiServer::start().await;
    let (hub, clock, stop) = (Arc::new(Hub::default()), Clock::start(), CancellationToken::new());
    let options = lease::Options {
        namespace: "forebay".into(),
        name: "forebay-controller".into(),
        identity: "controller-0_1".into(),
        address: Some("10.0.0.9:9902".into()),
        timing: Timing { retry: Millis(20), ..Timing::DEFAULT },
    };
    let (election, mut leadership) = Election::new(api.client(), options, hub.clone(), clock);
    let running = tokio::spawn(election.run(stop.clone()));
    leadership.wait_for(|leadership| leadership.leads(clock.now())).await.expect("the election runs");
    let leader = leadership.borrow().leader.clone().expect("it is this one");
    assert_eq!((&*leader.identity, leader.address.as_deref()), ("controller-0_1", Some("10.0.0.9:9902")));
    api.arrived(4).await;
    stop.cancel();
    running.await.expect("it ends");
    assert!(!leadership.borrow().leads(clock.now()));

    let state = api.state.lock();
    let methods: Vec<_> = state.requests.iter().map(|(method, ..)| method.as_str()).collect();
    assert_eq!(methods[..3], ["GET", "POST", "PUT"]);
    let mut created = state.requests[1].2.clone();
    let renewed = created["spec"]["renewTime"].take();
    assert_eq!(created["spec"]["acquireTime"].take(), renewed);
    assert_eq!(
        created,
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": "forebay-controller", "namespace": "forebay",
                "annotations": {"forebay.dev/feed-address": "10.0.0.9:9902"},
            },
            "spec": {
                "holderIdentity": "controller-0_1", "leaseDurationSeconds": 15, "leaseTransitions": 0,
                "acquireTime": null, "renewTime": null,
            },
        })
    );
    assert_eq!(state.requests[2].2["metadata"]["resourceVersion"], "1", "a renewal names what it replaces");
    let left = &state.objects[LEASE];
    assert_eq!((&left["spec"]["holderIdentity"], &left["spec"]["leaseDurationSeconds"]), (&Value::Null, &json!(1)));
}
