//! The index told by plain calls.

use api::{CaReferenceKind, UpstreamGroup};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
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
    index.settle(&References::default());
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

fn in_force(secrets: &[&str]) -> References {
    let mut references = References::default();
    references.extend("shop", secrets.iter().map(|name| (CaReferenceKind::Secret, *name)));
    references
}

/// The one object whose content is wished for, of either kind.
fn wish(index: &Index) -> Option<(Name, u64)> {
    let wishes: Vec<_> = index.wishes().into_iter().flatten().collect();
    assert!(wishes.len() <= 1, "{wishes:?}");
    wishes.into_iter().next()
}

#[test]
fn only_secrets_that_are_named_are_kept() {
    let held = |index: &Index, name: &str| {
        index.objects().secrets.find("shop", name).and_then(|secret| secret.data.as_ref()).map(BTreeMap::len)
    };
    let mut index = Index::default();
    list::<Ingress>(&mut index, &ALL, [ingress("one")]);
    index.settle(&in_force(&[]));
    list::<Secret>(&mut index, &ALL, [secret("one"), secret("two")]);
    assert_eq!((held(&index, "one"), held(&index, "two"), wish(&index)), (Some(3), None, None));

    // What is in force stays until the next is here.
    index.take::<Ingress>(&ALL, Event::Apply(told(ingress("two"))));
    index.settle(&in_force(&["one"]));
    let (name, round) = wish(&index).unwrap();
    assert_eq!((&*name.1, held(&index, "one")), ("two", Some(3)));
    assert!(index.objects().fetching.secrets.find("shop", "two").is_some());
    index.take_news();
    index.fetched::<Secret>(&name, round, Some(told(secret("two"))));
    assert!(index.take_news().translate.routes);
    index.settle(&in_force(&["two"]));
    assert_eq!((held(&index, "one"), held(&index, "two"), wish(&index)), (None, Some(3), None));
    assert!(index.objects().fetching.is_empty());
}

#[test]
fn what_the_watch_told_later_is_not_replaced_by_what_was_fetched_before() {
    let held = |index: &Index| index.objects().secrets.find("shop", "one").map(|one| one.data.clone());
    let renewed = |text: &str| {
        let mut secret = secret("one");
        secret["data"]["tls.crt"] = text.into();
        secret
    };
    let mut index = Index::default();
    list::<Secret>(&mut index, &ALL, [secret("one")]);
    list::<Ingress>(&mut index, &ALL, [ingress("one")]);
    index.settle(&in_force(&[]));
    let (name, first) = wish(&index).unwrap();
    // While it was on its way it was named no more, changed, and is named again.
    list::<Ingress>(&mut index, &ALL, []);
    index.settle(&in_force(&[]));
    index.take::<Secret>(&ALL, Event::Apply(told(renewed("Mg=="))));
    list::<Ingress>(&mut index, &ALL, [ingress("one")]);
    index.settle(&in_force(&[]));
    index.fetched::<Secret>(&name, first, Some(told(secret("one"))));
    assert_eq!(held(&index), Some(None), "that was of a version before");
    let (name, second) = wish(&index).unwrap();
    index.take::<Secret>(&ALL, Event::Apply(told(renewed("Mw=="))));
    let newest = held(&index);
    index.fetched::<Secret>(&name, second, Some(told(renewed("Mg=="))));
    assert_eq!((held(&index), index.is_unsettled()), (newest, true));
    index.settle(&in_force(&[]));
    assert_eq!(wish(&index), None);
}

#[test]
fn what_is_excused_is_not_waited_for() {
    let mut index = Index::awaiting([(Secret::KIND, ALL), (Ingress::KIND, ALL)]);
    index.excuse(Secret::KIND, &ALL);
    assert!(!index.knows_references());
    list::<Ingress>(&mut index, &ALL, []);
    assert!(index.awaited().is_empty() && index.knows_references());
}

fn believing(name: &str, config_map: &str) -> Value {
    let mut group = group(name, 1, "10.0.0.1:443");
    group["spec"]["protocol"] = "HTTPS".into();
    group["spec"]["tls"] = json!({"caCertificateRef": {"kind": "ConfigMap", "name": config_map}});
    group
}

fn config_map(name: &str, data: Option<&str>) -> Value {
    let mut map = json!({"metadata": {"namespace": "shop", "name": name}});
    if let Some(text) = data {
        map["data"] = json!({"ca.crt": text, "other": "large"});
    }
    map
}

#[test]
fn nothing_is_looked_for_anew_unless_something_else_is_named() {
    let mut index = Index::default();
    list::<ConfigMap>(&mut index, &ALL, [config_map("ca", None)]);
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(believing("a", "ca"))));
    assert!(index.is_unsettled());
    index.settle(&in_force(&[]));
    let asked = index.wishes();
    let mut written = believing("a", "ca");
    written["status"] = json!({"observedGeneration": 1});
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(written)));
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(believing("b", "ca"))));
    index.settle(&in_force(&[]));
    assert_eq!(index.wishes(), asked, "what is on its way goes on");
    let mut written = believing("b", "ca");
    written["status"] = json!({"observedGeneration": 1});
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(written)));
    assert!(!index.is_unsettled());
}

#[test]
fn the_content_of_a_config_map_is_fetched_whenever_its_metadata_change() {
    let held = |index: &Index, name: &str| {
        let map = index.objects().config_maps.find("shop", name)?;
        Some(map.data.as_ref()?.clone().into_values().collect::<Vec<_>>())
    };
    let fetch = |index: &mut Index, text: &str| {
        let mut map: Told<ConfigMap> = told(config_map("ca", Some(text)));
        map.0.as_mut().unwrap().fill();
        let (name, round) = wish(index).unwrap();
        index.fetched(&name, round, Some(map));
        index.settle(&in_force(&[]));
    };
    let maps =
        |news: News| news.translate.config_maps.into_iter().map(|(_, name)| name.to_string()).collect::<Vec<_>>();
    let mut index = Index::default();
    list::<ConfigMap>(&mut index, &ALL, [config_map("ca", None), config_map("other", None)]);
    assert!(!index.has_news());
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(believing("a", "ca"))));
    index.settle(&in_force(&[]));
    assert!(index.objects().fetching.config_maps.find("shop", "ca").is_some());
    index.take_news();
    fetch(&mut index, "one");
    assert_eq!((maps(index.take_news()), wish(&index)), (vec!["ca".to_owned()], None));
    assert_eq!((held(&index, "ca"), held(&index, "other")), (Some(vec!["one".to_owned()]), None));

    // What is known stays meanwhile, and nobody waits.
    index.take::<ConfigMap>(&ALL, Event::Apply(told(config_map("ca", None))));
    index.settle(&in_force(&[]));
    assert_eq!((held(&index, "ca"), index.objects().fetching.is_empty()), (Some(vec!["one".to_owned()]), true));
    fetch(&mut index, "two");
    assert_eq!(maps(index.take_news()), ["ca"]);
    // It is gone when it is looked for, or the watch says so.
    index.take::<ConfigMap>(&ALL, Event::Apply(told(config_map("ca", None))));
    index.settle(&in_force(&[]));
    let (name, round) = wish(&index).unwrap();
    index.fetched::<ConfigMap>(&name, round, None);
    index.take::<ConfigMap>(&ALL, Event::Delete(told(config_map("ca", None))));
    assert_eq!((held(&index, "ca"), maps(index.take_news())), (None, vec!["ca".to_owned()]));

    // Nobody names it any more.
    index.take::<ConfigMap>(&ALL, Event::Apply(told(config_map("ca", None))));
    index.settle(&in_force(&[]));
    fetch(&mut index, "three");
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(group("a", 2, "10.0.0.1:80"))));
    index.settle(&in_force(&[]));
    assert_eq!((held(&index, "ca"), index.wanted_config_maps().is_empty(), wish(&index)), (None, true, None));
}

#[test]
fn nobody_waits_longer_than_there_is_hope() {
    let mut index = Index::default();
    list::<ConfigMap>(&mut index, &ALL, [config_map("ca", None)]);
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(believing("a", "ca"))));
    index.settle(&in_force(&[]));
    index.take_news();
    let (name, round) = wish(&index).unwrap();
    index.give_up::<ConfigMap>(&name, round);
    index.settle(&in_force(&[]));
    assert!(index.objects().fetching.is_empty());
    assert_eq!(index.take_news().translate.config_maps, [name.clone()].into());
    index.give_up::<ConfigMap>(&name, round);
    assert!(!index.has_news(), "that is known");
    // And yet it is taken when it comes.
    assert_eq!(wish(&index), Some((name.clone(), round)));
    index.fetched::<ConfigMap>(&name, round, Some(told(config_map("ca", Some("one")))));
    assert_eq!(index.take_news().translate.config_maps, [name].into());
}
