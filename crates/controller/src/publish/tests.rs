//! The publisher told by plain calls, and its task in virtual time.

use std::time::Duration;

use api::UpstreamGroup;
use config::Millis;
use feed::{Changes, Grant, Namespaces, PrivateKeys, ServerOptions, Subscriber};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::runtime::watcher::Event;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::time::sleep;
use translate::kind::Kind as _;
use translate::{Name, Options};

use super::*;
use crate::facts::{GroupFacts, IngressFacts};
use crate::index::{Kept, Place};
use crate::names::{self, Dns};

const ALL: Place = Place::Everywhere;

fn parts(index: Index) -> Parts {
    Parts {
        index,
        translator: Translator::new(Options::for_cluster(Timestamp::UNIX_EPOCH)),
        hub: Arc::default(),
        facts: Arc::default(),
        metrics: Metrics::new(&Registry::new()).unwrap(),
        asks: crate::watch::asks().0,
    }
}

fn group(address: &str, generation: i64) -> Value {
    json!({
        "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup",
        "metadata": {"namespace": "shop", "name": "app", "uid": "u", "generation": generation},
        "spec": {"servers": [{"name": "a", "address": address}]},
    })
}

fn apply<K: Kept>(value: Value) -> Step {
    let told = serde_json::from_value(value).unwrap();
    Step::new(move |index| index.take::<K>(&ALL, Event::Apply(told)))
}

fn apply_delete(value: Value) -> Step {
    let told = serde_json::from_value(value).unwrap();
    Step::new(move |index| index.take::<UpstreamGroup>(&ALL, Event::Delete(told)))
}

fn facts_of(facts: &Facts) -> GroupFacts {
    facts.read(|board| board.groups.values().next().map(|facts| GroupFacts::clone(facts))).unwrap()
}

#[test]
fn nothing_is_published_before_every_kind_is_known() {
    let parts = parts(Index::awaiting([(UpstreamGroup::KIND, ALL), (Ingress::KIND, ALL)]));
    let hub = parts.hub.clone();
    let (mut publisher, ready) = Publisher::new(parts);
    apply::<UpstreamGroup>(group("10.0.0.1:80", 1)).apply(publisher.index());
    publisher.index().take::<UpstreamGroup>(&ALL, Event::InitDone);
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert!(hub.read(|published| matches!(published.changes_since(None), Changes::NotReady)));
    publisher.index().take::<Ingress>(&ALL, Event::InitDone);
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert!(ready.borrow().is_published());
    assert!(hub.read(|published| matches!(published.changes_since(None), Changes::Everything)));
}

#[test]
fn a_refused_generation_leaves_the_last_good_one_published() {
    let parts = parts(Index::default());
    let (hub, facts) = (parts.hub.clone(), parts.facts.clone());
    let (mut publisher, _ready) = Publisher::new(parts);
    apply::<UpstreamGroup>(group("10.0.0.1:80", 1)).apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    let good = facts_of(&facts);
    assert_eq!((good.generation, good.diagnostics.len()), (1, 0));
    let version = good.published.unwrap().version;

    apply::<UpstreamGroup>(group("127.0.0.1:80", 2)).apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    let refused = facts_of(&facts);
    assert_eq!((refused.generation, refused.diagnostics.len()), (2, 1));
    assert_eq!(refused.published.unwrap().version, version);
    assert_eq!(hub.read(feed::Published::sequence), 1);
    assert_eq!(facts.take_dirty().groups.len(), 1);
}

/// What a data plane that has this much is told, kind and name.
fn told(hub: &Hub, have: &[&str]) -> Vec<String> {
    let have: BTreeMap<_, _> = have.iter().map(|name| (*name, "0".repeat(32))).collect();
    let hello = json!({"hello": {"protocol": [1, 1], "instance": "proxy-1", "scope": "all", "have": have}});
    let grant = Grant { namespaces: Namespaces::All, private_keys: PrivateKeys::Allowed, instance: None };
    let mut subscriber = Subscriber::new(Arc::new(ServerOptions::default()), grant, Millis(0));
    hub.read(|published| {
        subscriber.receive((hello.to_string() + "\n").as_bytes(), Millis(0)).unwrap();
        let lines = std::iter::from_fn(|| subscriber.poll(published, Millis(0)));
        let lines = lines.map(|line| serde_json::from_slice::<Value>(&line).unwrap());
        let named = lines.filter_map(|line| {
            let kind = ["put", "del"].into_iter().find(|kind| line[kind].is_object())?;
            Some(format!("{kind} {}", line[kind]["key"].as_str()?))
        });
        named.collect()
    })
}

#[test]
fn what_an_earlier_controller_told_of_a_refused_ingress_is_left_to_data_planes() {
    let parts = parts(Index::default());
    let hub = parts.hub.clone();
    let (mut publisher, _ready) = Publisher::new(parts);
    let ingress = |path: &str| {
        apply::<Ingress>(json!({
            "metadata": {"namespace": "shop", "name": "web", "uid": "i"},
            "spec": {"ingressClassName": "forebay", "rules": [{"host": "a.example", "http": {"paths": [
                {"path": path, "pathType": "Prefix", "backend": {"service": {"name": "app", "port": {"number": 80}}}},
            ]}}]},
        }))
    };
    apply::<IngressClass>(json!({
        "metadata": {"name": "forebay"}, "spec": {"controller": "forebay.dev/ingress-controller"},
    }))
    .apply(publisher.index());
    apply::<Service>(json!({
        "metadata": {"namespace": "shop", "name": "app"}, "spec": {"ports": [{"port": 80}]},
    }))
    .apply(publisher.index());
    ingress("no-slash").apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    let have = ["group/shop/app:80", "route/a.example", "route/b.example"];
    // The group behind it goes on following its endpoints.
    assert_eq!(told(&hub, &have), ["put group/shop/app:80", "del route/b.example"]);
    assert_eq!(told(&hub, &[]), ["put group/shop/app:80"]);

    ingress("/").apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert_eq!(told(&hub, &have), ["put group/shop/app:80", "put route/a.example", "del route/b.example"]);
}

/// A group of two lines, by their names and addresses.
fn named_group(lines: &Value) -> Step {
    apply::<UpstreamGroup>(json!({
        "metadata": {"namespace": "shop", "name": "app", "uid": "u"},
        "spec": {"servers": lines},
    }))
}

fn answered(name: &str, ip: &str) -> Names {
    [(Arc::from(name), [ip.parse().unwrap()])].into_iter().collect()
}

/// The DNS fails while a controller starts.
#[test]
fn servers_by_a_name_that_nobody_answers_are_left_to_data_planes() {
    let parts = parts(Index::default());
    let hub = parts.hub.clone();
    let (mut publisher, _ready) = Publisher::new(parts);
    let by_name = json!({"name": "a", "dns": {"name": "a.example", "port": 80}});
    named_group(&json!([by_name])).apply(publisher.index());
    let given_up = || Names::default().give_up([Arc::from("a.example")].into());
    for names in [Names::default(), given_up()] {
        publisher.names = Some(names);
        publisher.publish(Timestamp::UNIX_EPOCH);
        assert_eq!(told(&hub, &["group/shop/app", "group/shop/gone"]), ["del group/shop/gone"]);
    }
    // What has other servers is of use without these, and must go on following its endpoints.
    named_group(&json!([by_name, {"name": "b", "address": "10.0.0.9:80"}])).apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert_eq!(told(&hub, &["group/shop/app"]), ["put group/shop/app"]);

    publisher.names = Some(answered("a.example", "10.0.0.1"));
    named_group(&json!([by_name])).apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert_eq!(told(&hub, &["group/shop/app"]), ["put group/shop/app"]);
}

#[test]
fn a_version_with_a_new_name_is_published_with_its_answer_or_when_it_is_given_up() {
    for (outcome, servers) in [
        (answered("new.example", "10.0.0.2"), vec!["10.0.0.2:80"]),
        (answered("old.example", "10.0.0.1").give_up([Arc::from("new.example")].into()), vec![]),
    ] {
        let parts = parts(Index::default());
        let facts = parts.facts.clone();
        let (mut publisher, _ready) = Publisher::new(parts);
        let line = |name: &str| json!([{"name": "a", "dns": {"name": name, "port": 80}}]);
        let published = || {
            let group = facts_of(&facts).published.unwrap().group;
            group.servers.iter().map(|server| server.address.to_string()).collect::<Vec<_>>()
        };
        publisher.names = Some(answered("old.example", "10.0.0.1"));
        named_group(&line("old.example")).apply(publisher.index());
        publisher.publish(Timestamp::UNIX_EPOCH);
        named_group(&line("new.example")).apply(publisher.index());
        publisher.publish(Timestamp::UNIX_EPOCH);
        assert_eq!(published(), ["10.0.0.1:80"]);
        assert!(publisher.parts.translator.names().contains("new.example"), "it is asked for");
        publisher.names = Some(outcome);
        publisher.publish(Timestamp::UNIX_EPOCH);
        assert_eq!(published(), servers);
    }
}

#[test]
fn equal_content_and_our_own_status_are_not_published() {
    let parts = parts(Index::default());
    let (hub, facts) = (parts.hub.clone(), parts.facts.clone());
    let (mut publisher, _ready) = Publisher::new(parts);
    apply::<UpstreamGroup>(group("10.0.0.1:80", 1)).apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    facts.take_dirty();
    let mut written = group("10.0.0.1:80", 1);
    written["status"] = json!({"observedGeneration": 1});
    apply::<UpstreamGroup>(written).apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert_eq!(hub.read(feed::Published::sequence), 1);
    assert_eq!(facts_of(&facts).status.unwrap().observed_generation, Some(1));
    assert_eq!(facts.take_dirty().groups.len(), 1);
}

/// A pair as a Secret of this name.
fn pair(name: &str) -> Value {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["a.example".into()]).unwrap();
    let bytes = |text: String| ByteString(text.into_bytes());
    json!({
        "metadata": {"namespace": "shop", "name": name},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": bytes(cert.pem()), "tls.key": bytes(signing_key.serialize_pem())},
    })
}

fn ingress_with(secret: &str) -> Step {
    apply::<Ingress>(json!({
        "metadata": {"namespace": "shop", "name": "web", "uid": "i"},
        "spec": {
            "ingressClassName": "forebay",
            "tls": [{"hosts": ["a.example"], "secretName": secret}],
            "rules": [{"host": "a.example"}],
        },
    }))
}

/// Grants the only wish for a Secret.
fn fetch(publisher: &mut Publisher, secret: &Value) {
    let [secrets, config_maps] = publisher.index().wishes();
    assert_eq!((secrets.len(), config_maps.len()), (1, 0));
    let (name, round) = secrets.into_iter().next().unwrap();
    let told = serde_json::from_value(secret.clone()).unwrap();
    publisher.index().fetched::<Secret>(&name, round, Some(told));
}

#[test]
fn an_ingress_that_names_another_secret_is_never_without_one() {
    let parts = parts(Index::default());
    let hub = parts.hub.clone();
    let (mut publisher, ready) = Publisher::new(parts);
    let (old, new) = (pair("old"), pair("new"));
    apply::<IngressClass>(json!({
        "metadata": {"name": "forebay"}, "spec": {"controller": "forebay.dev/ingress-controller"},
    }))
    .apply(publisher.index());
    apply::<Secret>(old.clone()).apply(publisher.index());
    apply::<Secret>(new.clone()).apply(publisher.index());
    ingress_with("old").apply(publisher.index());
    let now = Timestamp::UNIX_EPOCH;
    publisher.publish(now);
    assert!(!ready.borrow().is_published(), "data planes may have it from an earlier controller");
    fetch(&mut publisher, &old);
    publisher.publish(now);
    let have = ["cert/shop/new", "cert/shop/old"];
    assert_eq!(told(&hub, &have), ["put cert/shop/old", "put route/a.example", "del cert/shop/new"]);

    ingress_with("new").apply(publisher.index());
    publisher.publish(now);
    assert_eq!(told(&hub, &have), ["put cert/shop/old", "put route/a.example", "del cert/shop/new"]);
    fetch(&mut publisher, &new);
    publisher.publish(now);
    assert_eq!(told(&hub, &have), ["put cert/shop/new", "put route/a.example", "del cert/shop/old"]);
    let held = publisher.index().objects().secrets.find("shop", "old").unwrap();
    assert!(held.data.is_none(), "nothing names it any more");
}

#[test]
fn what_only_the_version_in_force_names_is_followed() {
    let parts = parts(Index::default());
    let (hub, facts) = (parts.hub.clone(), parts.facts.clone());
    let (mut publisher, _ready) = Publisher::new(parts);
    let showing = |generation: i64, secret: &str| {
        let mut group = group("10.0.0.1:443", generation);
        group["spec"]["protocol"] = "HTTPS".into();
        group["spec"]["tls"] = json!({"clientCertificateRef": {"name": secret}});
        apply::<UpstreamGroup>(group)
    };
    let shown = || {
        let key = "cert/shop/a".parse().unwrap();
        hub.read(|published| published.resource(&key).map(feed::Encoded::version))
    };
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    apply::<Secret>(pair("a")).apply(publisher.index());
    showing(1, "a").apply(publisher.index());
    publisher.publish(now);
    fetch(&mut publisher, &pair("a"));
    publisher.publish(now);
    let first = shown();
    // There is no such Secret.
    showing(2, "b").apply(publisher.index());
    publisher.publish(now);
    assert_eq!((facts_of(&facts).diagnostics.len(), shown()), (1, first));
    apply::<Secret>(pair("a")).apply(publisher.index());
    publisher.publish(now);
    let second = shown();
    assert!(second.is_some() && second != first, "it was renewed");
    // The other comes: it is taken, and the first is forgotten.
    apply::<Secret>(pair("b")).apply(publisher.index());
    publisher.publish(now);
    assert_eq!((facts_of(&facts).diagnostics.len(), shown()), (0, None));
    let held = publisher.index().objects().secrets.find("shop", "a").unwrap();
    assert!(held.data.is_none());
}

#[test]
fn nothing_is_said_of_a_group_while_what_it_names_is_on_its_way() {
    let parts = parts(Index::default());
    let facts = parts.facts.clone();
    let (mut publisher, _ready) = Publisher::new(parts);
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    apply::<Secret>(pair("a")).apply(publisher.index());
    apply::<UpstreamGroup>(group("10.0.0.1:80", 1)).apply(publisher.index());
    publisher.publish(now);
    let mut showing = group("10.0.0.1:443", 2);
    showing["spec"]["protocol"] = "HTTPS".into();
    showing["spec"]["tls"] = json!({"clientCertificateRef": {"name": "a"}});
    for _ in 0..2 {
        apply::<UpstreamGroup>(showing.clone()).apply(publisher.index());
        publisher.publish(now);
        assert_eq!(facts_of(&facts).generation, 1);
        showing["status"] = json!({"observedGeneration": 1});
    }
    fetch(&mut publisher, &pair("a"));
    publisher.publish(now);
    let facts = facts_of(&facts);
    assert_eq!((facts.generation, facts.diagnostics.len()), (2, 0));
    assert_eq!(facts.status.unwrap().observed_generation, Some(1));
}

#[test]
fn a_group_made_anew_and_refused_is_taken_from_data_planes() {
    let parts = parts(Index::default());
    let hub = parts.hub.clone();
    let (mut publisher, _ready) = Publisher::new(parts);
    apply::<UpstreamGroup>(group("10.0.0.1:80", 1)).apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert_eq!(told(&hub, &["group/shop/app"]), ["put group/shop/app"]);
    // kubectl replace --force
    apply_delete(group("10.0.0.1:80", 1)).apply(publisher.index());
    let mut anew = group("127.0.0.1:80", 1);
    anew["metadata"]["uid"] = "another".into();
    apply::<UpstreamGroup>(anew).apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert_eq!(told(&hub, &["group/shop/app"]), ["del group/shop/app"]);
}

/// Nothing happens in the cluster: time passes.
#[test]
fn a_certificate_that_expires_is_said_against_its_ingress() {
    let parts = parts(Index::default());
    let facts = parts.facts.clone();
    let (mut publisher, _ready) = Publisher::new(parts);
    apply::<IngressClass>(json!({
        "metadata": {"name": "forebay"}, "spec": {"controller": "forebay.dev/ingress-controller"},
    }))
    .apply(publisher.index());
    ingress_with("tls").apply(publisher.index());
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    // Content of a Secret that nothing names is not kept.
    publisher.publish(now);
    apply::<Secret>(pair("tls")).apply(publisher.index());
    publisher.publish(now);
    let said = || {
        let is_said = |one: &Arc<IngressFacts>| one.diagnostics.iter().any(|said| said.code == "FB4012");
        facts.read(|board| board.ingresses.values().filter(|one| is_said(one)).count())
    };
    assert_eq!(said(), 0);
    facts.take_dirty();
    let until = publisher.parts.translator.until().unwrap();
    assert!(publisher.is_due(until) && !publisher.is_due(now));
    publisher.publish(until);
    assert_eq!(said(), 1);
    assert_eq!(facts.take_dirty().ingresses.len(), 1);
}

#[test]
fn what_is_wrong_with_slices_and_classes_is_known_of_what_is_referred_to() {
    let parts = parts(Index::default());
    let facts = parts.facts.clone();
    let (mut publisher, _ready) = Publisher::new(parts);
    let slice = |service: &str, kind: &str| {
        apply::<EndpointSlice>(json!({
            "metadata": {"namespace": "shop", "name": service, "labels": {"kubernetes.io/service-name": service}},
            "addressType": kind, "endpoints": [], "ports": [],
        }))
    };
    for name in ["api", "unused"] {
        apply::<Service>(json!({
            "metadata": {"namespace": "shop", "name": name, "uid": name}, "spec": {"ports": [{"port": 80}]},
        }))
        .apply(publisher.index());
        slice(name, "FQDN").apply(publisher.index());
    }
    for name in ["one", "two"] {
        apply::<IngressClass>(json!({
            "metadata": {"name": name, "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "forebay.dev/ingress-controller"},
        }))
        .apply(publisher.index());
    }
    let mut value = group("10.0.0.1:80", 1);
    value["spec"]["servers"] = json!([{"name": "a", "service": {"name": "api", "port": 80}}]);
    apply::<UpstreamGroup>(value).apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    let problems = || {
        let object = |said: &Diagnostic| said.object.as_ref().map(ToString::to_string).unwrap_or_default();
        let all = |board: &crate::facts::Board| {
            board.problems().map(|said| format!("{} {}", said.code, object(said))).collect::<BTreeSet<_>>()
        };
        facts.read(all)
    };
    let (fqdn, defaults) = ("FB4005 EndpointSlice shop/api".to_owned(), "FB5004 IngressClass two".to_owned());
    let found = problems();
    assert!(found.contains(&fqdn) && found.contains(&defaults), "{found:?}");
    assert!(!found.iter().any(|said| said.contains("unused")), "{found:?}");
    let api: Name = ("shop".into(), "api".into());
    assert_eq!(facts.take_dirty().services, [api.clone()].into());
    assert_eq!(facts.read(|board| board.services[&api].uid.clone()), "api".into());

    // A change of it alone.
    slice("api", "IPv4").apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert!(!problems().contains(&fqdn));
    assert_eq!(facts.take_dirty().services, [api].into());
    slice("api", "IPv4").apply(publisher.index());
    slice("unused", "IPv4").apply(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert_eq!(facts.take_dirty().services, BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_burst_costs_few_publications_and_its_last_state_is_published() {
    let parts = parts(Index::default());
    let hub = parts.hub.clone();
    let (publisher, _ready) = Publisher::new(parts);
    let (steps, receiver) = mpsc::channel(16);
    let options = names::Options { families: Vec::new(), valid: None };
    let resolver = Resolver::start(Dns::new(&["127.0.0.1:53".parse().unwrap()]), options);
    let task = tokio::spawn(publisher.run(receiver, resolver, Clock::start()));
    for port in 1..=1000 {
        steps.send(apply::<UpstreamGroup>(group(&format!("10.0.0.1:{port}"), port))).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(SPACING.0)).await;
    let (sequence, last) = hub.read(|published| {
        let last = published
            .resources()
            .next()
            .map(|(_, encoded)| String::from_utf8_lossy(encoded.line(feed::Versions::OURS.newest())).into_owned());
        (published.sequence(), last.unwrap())
    });
    assert!((15..=25).contains(&sequence), "{sequence}");
    assert!(last.contains("10.0.0.1:1000"), "{last}");
    drop(steps);
    task.await.unwrap();
}
