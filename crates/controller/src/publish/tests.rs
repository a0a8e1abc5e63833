//! The publisher told by plain calls, and its task in virtual time.

use std::time::Duration;

use api::UpstreamGroup;
use feed::Changes;
use k8s_openapi::api::networking::v1::Ingress;
use kube::runtime::watcher::Event;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::time::sleep;
use translate::Options;
use translate::kind::Kind as _;

use super::*;
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
        secrets: watch::Sender::new(()),
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
    Box::new(move |index| index.take::<K>(&ALL, Event::Apply(told)))
}

fn facts_of(facts: &Facts) -> GroupFacts {
    facts.read(|board| board.groups.values().next().map(|facts| GroupFacts::clone(facts))).unwrap()
}

#[test]
fn nothing_is_published_before_every_kind_is_known() {
    let parts = parts(Index::awaiting([(UpstreamGroup::KIND, ALL), (Ingress::KIND, ALL)]));
    let hub = parts.hub.clone();
    let (mut publisher, ready) = Publisher::new(parts);
    apply::<UpstreamGroup>(group("10.0.0.1:80", 1))(publisher.index());
    publisher.index().take::<UpstreamGroup>(&ALL, Event::InitDone);
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert!(hub.read(|published| matches!(published.changes_since(None), Changes::NotReady)));
    publisher.index().take::<Ingress>(&ALL, Event::InitDone);
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert!(*ready.borrow());
    assert!(hub.read(|published| matches!(published.changes_since(None), Changes::Everything)));
}

#[test]
fn a_refused_generation_leaves_the_last_good_one_published() {
    let parts = parts(Index::default());
    let (hub, facts) = (parts.hub.clone(), parts.facts.clone());
    let (mut publisher, _ready) = Publisher::new(parts);
    apply::<UpstreamGroup>(group("10.0.0.1:80", 1))(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    let good = facts_of(&facts);
    assert_eq!((good.generation, good.diagnostics.len()), (1, 0));
    let version = good.published.unwrap().version;

    apply::<UpstreamGroup>(group("127.0.0.1:80", 2))(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    let refused = facts_of(&facts);
    assert_eq!((refused.generation, refused.diagnostics.len()), (2, 1));
    assert_eq!(refused.published.unwrap().version, version);
    assert_eq!(hub.read(feed::Published::sequence), 1);
    assert_eq!(facts.take_dirty().groups.len(), 1);
}

#[test]
fn equal_content_and_our_own_status_are_not_published() {
    let parts = parts(Index::default());
    let (hub, facts) = (parts.hub.clone(), parts.facts.clone());
    let (mut publisher, _ready) = Publisher::new(parts);
    apply::<UpstreamGroup>(group("10.0.0.1:80", 1))(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    facts.take_dirty();
    let mut written = group("10.0.0.1:80", 1);
    written["status"] = json!({"observedGeneration": 1});
    apply::<UpstreamGroup>(written)(publisher.index());
    publisher.publish(Timestamp::UNIX_EPOCH);
    assert_eq!(hub.read(feed::Published::sequence), 1);
    assert_eq!(facts_of(&facts).status.unwrap().observed_generation, Some(1));
    assert_eq!(facts.take_dirty().groups.len(), 1);
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
        let last =
            published.resources().next().map(|(_, encoded)| String::from_utf8_lossy(encoded.line()).into_owned());
        (published.sequence(), last.unwrap())
    });
    assert!((15..=25).contains(&sequence), "{sequence}");
    assert!(last.contains("10.0.0.1:1000"), "{last}");
    drop(steps);
    task.await.unwrap();
}
