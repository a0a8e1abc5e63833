//! The index told by plain calls.

use api::UpstreamGroup;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};

use super::*;

const ALL: Place = Place::Everywhere;

fn told<K: Kept>(value: Value) -> Told<K> {
    serde_json::from_value(value).unwrap()
}

fn group(name: &str, generation: i64, address: &str) -> Value {
    json!({
        "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup",
        "metadata": {"namespace": "shop", "name": name, "uid": name, "generation": generation, "resourceVersion": "1"},
        "spec": {"servers": [{"name": "a", "address": address}]},
    })
}

fn list<K: Kept>(index: &mut Index, place: &Place, items: impl IntoIterator<Item = Value>) {
    index.take::<K>(place, Event::Init);
    for item in items {
        index.take::<K>(place, Event::InitApply(told(item)));
    }
    index.take::<K>(place, Event::InitDone);
}

fn groups(index: &Index) -> Vec<String> {
    index.objects().upstream_groups.iter().map(|((_, name), _)| name.to_string()).collect()
}

fn dirty(news: &News) -> Vec<String> {
    news.translate.groups.iter().map(ToString::to_string).collect()
}

#[test]
fn a_new_list_is_in_force_when_it_is_complete_and_not_before() {
    let mut index = Index::awaiting([(UpstreamGroup::KIND, ALL)]);
    list::<UpstreamGroup>(&mut index, &ALL, [group("a", 1, "10.0.0.1:80"), group("b", 1, "10.0.0.2:80")]);
    assert!(index.awaited().is_empty());
    assert_eq!(dirty(&index.take_news()), ["shop/a", "shop/b"]);

    index.take::<UpstreamGroup>(&ALL, Event::Init);
    index.take::<UpstreamGroup>(&ALL, Event::InitApply(told(group("c", 1, "10.0.0.3:80"))));
    assert_eq!((groups(&index), index.has_news()), (vec!["a".to_owned(), "b".to_owned()], false));
    // It broke off; the next one begins anew.
    list::<UpstreamGroup>(&mut index, &ALL, [group("a", 1, "10.0.0.1:80"), group("d", 1, "10.0.0.4:80")]);
    assert_eq!(groups(&index), ["a", "d"]);
    assert_eq!(dirty(&index.take_news()), ["shop/b", "shop/d"]);
}

#[test]
fn a_list_of_one_namespace_says_nothing_of_others() {
    let place = |name: &str| Place::Namespace(name.into());
    let mut index = Index::awaiting([(UpstreamGroup::KIND, place("shop")), (UpstreamGroup::KIND, place("pay"))]);
    list::<UpstreamGroup>(&mut index, &place("shop"), [group("a", 1, "10.0.0.1:80")]);
    assert_eq!(index.awaited().len(), 1);
    list::<UpstreamGroup>(&mut index, &place("pay"), []);
    assert_eq!(groups(&index), ["a"]);
    assert!(index.awaited().is_empty());
}

#[test]
fn our_own_status_is_no_news_for_translation() {
    let mut index = Index::default();
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(group("a", 1, "10.0.0.1:80"))));
    index.take_news();
    let mut written = group("a", 1, "10.0.0.1:80");
    written["metadata"]["resourceVersion"] = "2".into();
    written["status"] = json!({"observedGeneration": 1});
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(written.clone())));
    let news = index.take_news();
    assert!(news.translate.is_empty());
    assert_eq!(news.groups.len(), 1);
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(written)));
    assert!(!index.has_news());
}

#[test]
fn a_service_is_news_only_in_what_is_read_of_it() {
    let service = |ports: Value, selector: &str| {
        json!({"metadata": {"namespace": "shop", "name": "app", "annotations": {"a": selector}},
               "spec": {"ports": ports, "selector": {"app": selector}}, "status": {"loadBalancer": {}}})
    };
    let mut index = Index::default();
    index.take::<Service>(&ALL, Event::Apply(told(service(json!([{"port": 80}]), "x"))));
    assert_eq!(index.take_news().translate.services.len(), 1);
    index.take::<Service>(&ALL, Event::Apply(told(service(json!([{"port": 80}]), "y"))));
    assert!(!index.has_news());
    index.take::<Service>(&ALL, Event::Apply(told(service(json!([{"port": 81}]), "y"))));
    assert!(index.has_news());
}

#[test]
fn a_slice_keeps_what_is_read_of_it() {
    let slice = json!({
        "metadata": {"namespace": "shop", "name": "app-1", "managedFields": [{"manager": "x"}],
                     "labels": {"kubernetes.io/service-name": "app", "other": "label"}},
        "addressType": "IPv4", "ports": [{"port": 80}],
        "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n", "hostname": "h"}],
    });
    let mut index = Index::default();
    index.take::<EndpointSlice>(&ALL, Event::Apply(told(slice)));
    let kept = index.objects().endpoint_slices.find("shop", "app-1").unwrap();
    assert_eq!(kept.metadata.labels.as_ref().unwrap().len(), 1);
    assert!(kept.metadata.managed_fields.is_none() && kept.endpoints[0].node_name.is_none());
    assert_eq!(kept.endpoints[0].addresses, ["10.0.0.1"]);
}

#[test]
fn what_cannot_be_read_leaves_the_last_version_and_counts_as_refused() {
    let mut index = Index::default();
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(group("a", 1, "10.0.0.1:80"))));
    index.take_news();
    let mut broken = group("a", 2, "10.0.0.1:80");
    broken["spec"]["servers"] = "none".into();
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(broken.clone())));
    assert_eq!((groups(&index), index.unread().len()), (vec!["a".to_owned()], 1));
    assert!(index.objects().is_refused(api::KIND, "shop", "a"));
    assert_eq!(index.unread().values().next().unwrap().generation, 2);
    assert_eq!(dirty(&index.take_news()), ["shop/a"]);

    // Another object of that name: the old one's version is nothing to go by.
    broken["metadata"]["uid"] = "other".into();
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(broken)));
    assert_eq!((groups(&index).len(), index.unread().len()), (0, 1));

    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(group("a", 3, "10.0.0.1:80"))));
    assert_eq!((groups(&index).len(), index.unread().len(), index.objects().refused.len()), (1, 0, 0));
    list::<UpstreamGroup>(&mut index, &ALL, []);
    assert!(groups(&index).is_empty());
}

fn secret(name: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "name": name}, "type": "kubernetes.io/tls",
           "data": {"tls.crt": "YQ==", "tls.key": "Yg==", "ca.crt": "Yw=="}})
}

fn ingress(secret: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": {"tls": [{"secretName": secret}]}})
}

#[test]
fn only_secrets_that_are_named_are_kept() {
    let held = |index: &Index, name: &str| {
        index.objects().secrets.find("shop", name).and_then(|secret| secret.data.as_ref()).map(BTreeMap::len)
    };
    let mut index = Index::default();
    list::<Ingress>(&mut index, &ALL, [ingress("one")]);
    assert_eq!(index.settle(), Settled::Complete);
    list::<Secret>(&mut index, &ALL, [secret("one"), secret("two")]);
    assert_eq!((held(&index, "one"), held(&index, "two")), (Some(2), None));

    index.take::<Ingress>(&ALL, Event::Apply(told(ingress("two"))));
    assert_eq!(index.settle(), Settled::SecretsMissing);
    assert_eq!(held(&index, "one"), None);
    list::<Secret>(&mut index, &ALL, [secret("one"), secret("two")]);
    assert_eq!((held(&index, "one"), held(&index, "two")), (None, Some(2)));
    assert_eq!(index.settle(), Settled::Complete);
}

#[test]
fn what_is_excused_is_not_waited_for() {
    let mut index = Index::awaiting([(Secret::KIND, ALL), (Ingress::KIND, ALL)]);
    index.excuse(Secret::KIND, &ALL);
    list::<Ingress>(&mut index, &ALL, []);
    assert!(index.awaited().is_empty());
    index.await_secrets();
    assert!(index.awaited().is_empty());
}
