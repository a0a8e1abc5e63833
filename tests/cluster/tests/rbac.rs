//! The rules of `manifests/rbac.yaml` and of `manifests/namespaced/rbac.yaml`: with all of them a controller wants nothing, and
//! without any one of them it says what it may not do. So no rule is missing and none is there for nothing.
//!
//! One API server for all rules of a file: each case is a namespace of its own in which a controller runs under the same rules less
//! one verb, and another namespace that it watches, so that all run at once.

use std::path::PathBuf;

use cluster::forebay::{ADMIN, FEED};
use cluster::{Cluster, Forebay, Tools, forebay, required, until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use serde_json::{Value, json};

const RBAC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/rbac.yaml");
const NAMESPACED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/namespaced/rbac.yaml");
const CRD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/crd");
const CLASS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/ingressclass.yaml");

/// A controller with its namespaces.
struct Case {
    /// The controller's own.
    namespace: String,
    /// The one that it watches.
    watched: String,
    without: Option<Lacking>,
    /// What the roles allow: in the cluster, in the own namespace, in the watched one.
    rules: [Value; 3],
}

/// The verb that is missing, of what, and in which namespace if that is told by a role of one.
struct Lacking {
    verb: String,
    resource: String,
    namespace: Option<String>,
}

#[tokio::test]
async fn every_rule_is_needed_and_none_is_missing() {
    prove(RBAC).await;
}

#[tokio::test]
async fn so_is_every_rule_for_some_namespaces() {
    prove(NAMESPACED).await;
}

async fn prove(rbac: &str) {
    let Some(tools) = required(Tools::find()) else { return };
    forebay::binary();
    let cluster = Cluster::light(tools).await.expect("an API server starts");
    cluster.enter();
    let kubectl = cluster.kubectl();
    kubectl.run(&["apply", "--server-side", "-f", CRD, "-f", CLASS]);
    let documents = kubectl.run(&["create", "--dry-run=client", "-o", "json", "-f", rbac]);
    let cases = cases(&documents);
    let objects: Vec<Value> = cases.iter().flat_map(Case::objects).collect();
    kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string());

    let started: Vec<_> = cases.iter().zip(1..).map(|(case, n)| (case, case.start(&cluster, n))).collect();
    let (whole, less) = started.split_first().expect("there are cases");
    for (case, controller) in less {
        let Some(Lacking { verb, resource, namespace }) = &case.without else {
            panic!("{} lacks nothing", case.namespace)
        };
        if (verb.as_str(), resource.as_str()) == ("patch", "events") {
            // Only what is told again is patched.
            tell_again(&cluster, &case.watched).await;
        }
        let wanting = format!("cannot {verb} resource \"{resource}\"");
        let place = namespace.as_ref().map(|namespace| format!("in the namespace \"{namespace}\"")).unwrap_or_default();
        let data_plane = case.data_plane(&cluster, controller).await;
        let what = format!("what {} without {verb} {resource} says", case.namespace);
        let heard = until(&what, async || {
            let said = controller.log() + &data_plane.as_ref().map(Forebay::log).unwrap_or_default();
            said.lines().find(|line| line.contains(&wanting) && line.contains(&place)).map(str::to_owned)
        })
        .await;
        let rule =
            format!("verbs: [{}]", if ["list", "watch"].contains(&verb.as_str()) { "list, watch" } else { verb });
        let is_sentence = heard.contains("give the controller's ServiceAccount a") && heard.contains(&rule);
        assert!(is_sentence && !heard.contains("ApiError"), "{heard}");
        println!("without {verb} {resource} {place}: {}", heard.split("#0: ").nth(1).unwrap_or(&heard));
    }
    let (case, controller) = whole;
    tell_again(&cluster, &case.watched).await;
    until("a second Rejected to be counted", async || {
        let events = kubectl.run(&["get", "events.events.k8s.io", "-n", &case.watched, "-o", "json"]);
        let events: Value = serde_json::from_str(&events).ok()?;
        events["items"].as_array()?.iter().any(|event| event["series"]["count"] == 2).then_some(())
    })
    .await;
    let data_plane = case.proxy(&cluster, controller).await;
    data_plane.logged("in force").await;
    let log = controller.log();
    assert!(!log.contains("forbidden") && !log.contains("cannot "), "{log}");
}

/// Has the group `app` refused, mended and refused again, each seen in its status.
async fn tell_again(cluster: &Cluster, namespace: &str) {
    let kubectl = cluster.kubectl();
    for (address, accepted) in [("127.0.0.1:80", "False"), ("10.0.0.1:80", "True"), ("127.0.0.1:80", "False")] {
        kubectl.apply(&group(namespace, address).to_string());
        let generation = kubectl.run(&["get", "ug", "app", "-n", namespace, "-o", "jsonpath={.metadata.generation}"]);
        until("the status of that generation", async || {
            let path = "jsonpath={.status.conditions[?(@.type==\"Accepted\")].status} {.status.observedGeneration}";
            let said = kubectl.call(["get", "ug", "app", "-n", namespace, "-o", path], "").stdout;
            (said == format!("{accepted} {generation}")).then_some(())
        })
        .await;
        if accepted == "False" {
            until("the event", async || {
                let path = "jsonpath={.items[*].reason}";
                let said = kubectl.call(["get", "events.events.k8s.io", "-n", namespace, "-o", path], "").stdout;
                said.contains("Rejected").then_some(())
            })
            .await;
        }
    }
}

fn group(namespace: &str, address: &str) -> Value {
    json!({
        "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup", "metadata": {"name": "app", "namespace": namespace},
        "spec": {"servers": [{"name": "app", "address": address}]},
    })
}

/// An authority that is to be replaced, and its key.
fn expired() -> (String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let key = KeyPair::generate().expect("a key");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

/// All the rules, then all but one verb of one resource.
fn cases(documents: &str) -> Vec<Case> {
    let mut stream = serde_json::Deserializer::from_str(documents).into_iter::<Value>();
    let list: Vec<Value> = stream.by_ref().map(|one| one.expect("kubectl prints JSON")).collect();
    let objects: Vec<Value> =
        list.into_iter().flat_map(|one| one["items"].as_array().cloned().unwrap_or_else(|| vec![one])).collect();
    let role = |kind: &str, is_own: bool| {
        let is_it =
            |object: &&Value| object["kind"] == kind && (object["metadata"]["namespace"] == "forebay") == is_own;
        objects.iter().find(is_it).map_or_else(|| json!([]), |role| role["rules"].clone())
    };
    let rules = [role("ClusterRole", false), role("Role", true), role("Role", false)];
    let roles = objects.iter().filter(|object| object["rules"].is_array()).count();
    assert_eq!(roles, rules.iter().filter(|rules| **rules != json!([])).count(), "a role that is looked at nowhere");
    let mut cases = vec![Case::new(0, None, rules.clone())];
    for role in 0..rules.len() {
        for (rule, of) in rules[role].as_array().expect("a list of rules").iter().enumerate() {
            for (place, verb) in of["verbs"].as_array().expect("verbs").iter().enumerate() {
                let mut less = rules.clone();
                less[role][rule]["verbs"].as_array_mut().expect("verbs").remove(place);
                let resources = of["resources"].as_array().expect("resources");
                assert_eq!(resources.len(), 1, "one resource in a rule, so that each can be told apart: {of}");
                let text = |value: &Value| value.as_str().expect("a text").to_owned();
                let without = (role, text(verb), text(&resources[0]));
                cases.push(Case::new(cases.len(), Some(without), less));
            }
        }
    }
    cases
}

impl Case {
    /// The `n`th, without this verb of this resource in the role of this number.
    fn new(n: usize, without: Option<(usize, String, String)>, rules: [Value; 3]) -> Self {
        let (namespace, watched) = (format!("case-{n}"), format!("case-{n}-watched"));
        let without = without.map(|(role, verb, resource)| Lacking {
            verb,
            resource,
            namespace: [None, Some(&namespace), Some(&watched)][role].cloned(),
        });
        Self { namespace, watched, without, rules }
    }

    /// The namespaces with the account and its rules, and what makes a controller use each of them.
    fn objects(&self) -> Vec<Value> {
        let Self { namespace, watched, .. } = self;
        let allow = |kind: &str, place: &str, rules: &Value| {
            let rules: Vec<_> =
                rules.as_array().into_iter().flatten().filter(|rule| rule["verbs"] != json!([])).collect();
            let metadata = json!({"name": namespace, "namespace": place});
            let role = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "rules": rules, "metadata": metadata,
            });
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"), "metadata": metadata,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": namespace},
                "subjects": [{"kind": "ServiceAccount", "name": "forebay-controller", "namespace": namespace}],
            });
            [role, binding]
        };
        let [of_cluster, own, elsewhere] = &self.rules;
        let account = |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}});
        let path = json!({"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "lost", "port": {"number": 80}}}});
        let mut objects = vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": watched}}),
            account("forebay-controller"),
            account("forebay-proxy"),
            group(watched, "10.0.0.1:80"),
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": "web", "namespace": watched},
                "spec": {"ingressClassName": "forebay", "rules": [{"http": {"paths": [path]}}]},
            }),
        ];
        objects.extend(allow("ClusterRole", namespace, of_cluster));
        objects.extend(allow("Role", namespace, own));
        objects.extend(allow("Role", watched, elsewhere));
        // What is there already and not as it must be is updated.
        let found = match &self.without {
            Some(Lacking { verb, resource, .. }) if verb == "update" => Some(resource.as_str()),
            Some(_) | None => None,
        };
        let metadata = |name: &str| json!({"name": name, "namespace": namespace});
        objects.extend(match found {
            Some("secrets") => {
                let (certificate, key) = expired();
                Some(json!({
                    "apiVersion": "v1", "kind": "Secret", "metadata": metadata("forebay-controller-ca"),
                    "type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key},
                }))
            }
            Some("configmaps") => {
                Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("forebay-ca")}))
            }
            // A lease is renewed anyway.
            Some(_) | None => None,
        });
        objects
    }

    fn start(&self, cluster: &Cluster, n: u8) -> Forebay {
        let kubeconfig = cluster.service_account(&self.namespace, "forebay-controller").expect("a kubeconfig");
        let address = format!("10.99.7.{n}");
        let arguments = [
            "controller".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--watch-namespace={}", self.watched),
            // The Service is watched, and has no address yet.
            format!("--publish-service={}/forebay", self.namespace),
            "--publish-address=192.0.2.1".to_owned(),
            format!("--feed={address}:{FEED}"),
            format!("--admin={address}:{ADMIN}"),
        ];
        Forebay::start(cluster, (&self.namespace, &format!("controller-{}", self.namespace)), &address, arguments)
    }

    /// A data plane where only it would find out.
    async fn data_plane(&self, cluster: &Cluster, controller: &Forebay) -> Option<Forebay> {
        let only_it = self.without.as_ref().is_some_and(|lacking| lacking.resource == "tokenreviews");
        if only_it { Some(self.proxy(cluster, controller).await) } else { None }
    }

    async fn proxy(&self, cluster: &Cluster, controller: &Forebay) -> Forebay {
        let kubectl = cluster.kubectl();
        let file = |name: &str| -> PathBuf { cluster.namespaces().folder().join(format!("{}.{name}", self.namespace)) };
        let bundle = until("the ConfigMap forebay-ca", async || {
            let path = "jsonpath={.data.ca\\.crt}";
            let said = kubectl.call(["get", "configmap", "forebay-ca", "-n", &self.namespace, "-o", path], "");
            Some(said.stdout).filter(|bundle| !bundle.is_empty())
        });
        std::fs::write(file("ca"), bundle.await).unwrap();
        std::fs::write(file("token"), cluster.token(&self.namespace, "forebay-proxy", Some("forebay.dev"))).unwrap();
        let arguments = [
            "proxy".to_owned(),
            format!("--controller=https://{}", controller.port(FEED)),
            format!("--controller-ca={}", file("ca").display()),
            format!("--token={}", file("token").display()),
            format!("--http={}:0", controller.address),
            format!("--admin={}:0", controller.address),
        ];
        Forebay::start(cluster, (&self.namespace, &format!("proxy-{}", self.namespace)), &controller.address, arguments)
    }
}
