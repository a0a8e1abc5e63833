//! The index told by plain calls.

use api::UpstreamGroup;
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
    assert_eq!(index.settle(), [].into());
    list::<Secret>(&mut index, &ALL, [secret("one"), secret("two")]);
    assert_eq!((held(&index, "one"), held(&index, "two")), (Some(3), None));

    index.take::<Ingress>(&ALL, Event::Apply(told(ingress("two"))));
    assert_eq!(index.settle(), [Secret::KIND].into());
    assert_eq!(held(&index, "one"), None);
    list::<Secret>(&mut index, &ALL, [secret("one"), secret("two")]);
    assert_eq!((held(&index, "one"), held(&index, "two")), (None, Some(3)));
    assert_eq!(index.settle(), [].into());
}

#[test]
fn what_is_excused_is_not_waited_for() {
    let mut index = Index::awaiting([(Secret::KIND, ALL), (Ingress::KIND, ALL)]);
    index.excuse(Secret::KIND, &ALL);
    list::<Ingress>(&mut index, &ALL, []);
    assert!(index.awaited().is_empty());
    index.await_anew(&[Secret::KIND].into());
    assert!(index.awaited().is_empty());
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
fn a_group_waits_for_the_content_of_what_it_names() {
    let held = |index: &Index, name: &str| {
        let map = index.objects().config_maps.find("shop", name)?;
        Some(map.data.as_ref()?.clone().into_values().collect::<Vec<_>>())
    };
    let names = |news: News| {
        let maps: Vec<_> = news.translate.config_maps.into_iter().map(|(_, name)| name.to_string()).collect();
        (news.translate.groups.into_iter().map(|id| id.name().to_owned()).collect::<Vec<_>>(), maps)
    };
    let mut index = Index::default();
    // Metadata alone.
    list::<ConfigMap>(&mut index, &ALL, [config_map("ca", None), config_map("other", None)]);
    assert!(!index.has_news());
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(believing("a", "ca"))));
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(group("b", 1, "10.0.0.1:80"))));
    assert_eq!(index.settle(), [ConfigMap::KIND].into());
    assert!(index.wanted_config_maps().find("shop", "ca").is_some() && index.wanted_config_maps().len() == 1);
    assert_eq!(names(index.take_news()), (vec!["b".to_owned()], vec![]), "others do not wait");
    list::<ConfigMap>(&mut index, &ALL, [config_map("ca", Some("one")), config_map("other", None)]);
    assert_eq!(index.settle(), [].into());
    assert_eq!(names(index.take_news()), (vec!["a".to_owned()], vec!["ca".to_owned()]));
    assert_eq!((held(&index, "ca"), held(&index, "other")), (Some(vec!["one".to_owned()]), None));

    // Named while its metadata were on the way: what is known stays, and it is asked for.
    index.take::<ConfigMap>(&ALL, Event::Apply(told(config_map("ca", None))));
    assert_eq!(held(&index, "ca"), Some(vec!["one".to_owned()]));
    assert_eq!(index.settle(), [ConfigMap::KIND].into());
    index.take::<ConfigMap>(&ALL, Event::Apply(told(config_map("ca", Some("two")))));
    assert_eq!(names(index.take_news()), (vec![], vec!["ca".to_owned()]));
    index.take::<ConfigMap>(&ALL, Event::Delete(told(config_map("ca", None))));
    assert_eq!((held(&index, "ca"), names(index.take_news())), (None, (vec![], vec!["ca".to_owned()])));

    // Nobody names it any more.
    index.take::<ConfigMap>(&ALL, Event::Apply(told(config_map("ca", Some("three")))));
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(group("a", 2, "10.0.0.1:80"))));
    assert_eq!(index.settle(), [].into());
    assert_eq!((held(&index, "ca"), index.wanted_config_maps().is_empty()), (None, true));
}

#[test]
fn a_group_waits_no_longer_than_there_is_hope() {
    let mut index = Index::default();
    list::<ConfigMap>(&mut index, &ALL, [config_map("ca", None)]);
    index.take::<UpstreamGroup>(&ALL, Event::Apply(told(believing("a", "ca"))));
    assert_eq!(index.settle(), [ConfigMap::KIND].into());
    assert!(index.take_news().translate.groups.is_empty());
    index.excuse(ConfigMap::KIND, &ALL);
    assert_eq!(index.take_news().translate.groups.len(), 1);
}
