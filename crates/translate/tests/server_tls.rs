//! `protocol: HTTPS` and `spec.tls` of groups: what references lead to, what is said of those that lead nowhere, and what stays
//! in force then.

mod common;

use common::{NOW, errors, group, objects, said};
use config::{CertificateId, Config, GroupId, ResourceKey, ServerTls, Trust};
use jiff::{Timestamp, ToSpan as _};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use translate::{ByName, Changed, Objects, Options, References, Touched, Translation, Translator, translate};

/// A self-signed certificate and its key that are valid until three days after `noon`, PEM.
fn pair(noon: Timestamp) -> (String, String) {
    let mut params = CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
    let date = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (date(noon - 24.hours()), date(noon + 72.hours()));
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn object(kind: &str, name: &str, key: &str, text: &str) -> Value {
    let data = if kind == "Secret" { "stringData" } else { "data" };
    json!({"kind": kind, "metadata": {"name": name}, data: {key: text}})
}

fn secret(name: &str, (chain, key): &(String, String)) -> Value {
    let data = json!({"tls.crt": chain, "tls.key": key});
    json!({"kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls", "stringData": data})
}

fn spec(name: &str, tls: &Value) -> Value {
    let servers = json!([{"name": "a", "address": "10.0.0.1:443"}]);
    let mut spec = json!({"servers": servers, "protocol": "HTTPS"});
    if !tls.is_null() {
        spec["tls"] = tls.clone();
    }
    json!({"kind": "UpstreamGroup", "metadata": {"name": name, "uid": name}, "spec": spec})
}

fn yaml(documents: &[Value]) -> String {
    documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n")
}

fn of(documents: &[Value]) -> Translation {
    translate(&objects(&yaml(documents)), &Options::for_cluster(NOW))
}

fn tls<'c>(config: &'c Config, name: &str) -> &'c ServerTls {
    group(config, &format!("default/{name}")).tls().expect("TLS to the servers")
}

fn authorities(config: &Config, name: &str) -> String {
    match &tls(config, name).trust {
        Trust::Authorities(pem) => pem.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_is_carried() {
    let (ca, client) = (pair(NOW), pair(NOW));
    let full = json!({
        "serverName": "app.example",
        "caCertificateRef": {"kind": "ConfigMap", "name": "ca"},
        "clientCertificateRef": {"name": "client"},
    });
    let translation = of(&[
        object("ConfigMap", "ca", "ca.crt", &format!("{}{}", ca.0, ca.1)),
        object("Secret", "ca", "ca.crt", &ca.0),
        secret("client", &client),
        spec("full", &full),
        spec("secret", &json!({"caCertificateRef": {"name": "ca"}})),
        spec("system", &Value::Null),
        spec("anybody", &json!({"insecureSkipVerify": true})),
    ]);
    assert_eq!(said(&translation), [""; 0]);
    let config = translation.config;
    let id = CertificateId::new("default", "client");
    let full = tls(&config, "full");
    assert_eq!(full.server_name.as_ref().map(config::ServerName::as_str), Some("app.example"));
    assert_eq!(full.client_certificate, Some(id.clone()));
    assert_eq!(authorities(&config, "full"), ca.0.replace('\r', ""), "and no key that stands beside it");
    assert_eq!(authorities(&config, "secret"), authorities(&config, "full"));
    assert_eq!((&tls(&config, "system").trust, &tls(&config, "anybody").trust), (&Trust::System, &Trust::Anybody));
    let shown = &config.certificates[&id];
    assert_eq!((&*shown.chain, shown.key.pem(), shown.hosts.len()), (&*client.0, &*client.1, 0));
    let resources: Vec<_> = config.resources().map(|one| String::from_utf8(one.to_json()).unwrap()).collect();
    assert_eq!(resources.iter().filter(|json| json.contains("PRIVATE")).count(), 1, "the certificate alone");
}

#[test]
fn what_leads_nowhere_refuses_its_group_alone() {
    let (ours, theirs) = (pair(NOW), pair(NOW));
    let ca = |kind: &str, name: &str| json!({"caCertificateRef": {"kind": kind, "name": name}});
    let shown = |name: &str| json!({"clientCertificateRef": {"name": name}});
    let translation = of(&[
        object("ConfigMap", "empty", "ca.pem", &ours.0),
        object("ConfigMap", "text", "ca.crt", "no certificate"),
        object("ConfigMap", "broken", "ca.crt", &ours.0.replace("MII", "AII")),
        object("Secret", "opaque", "tls.crt", &ours.0),
        secret("mixed", &(ours.0.clone(), theirs.1.clone())),
        spec("a", &ca("ConfigMap", "none")),
        spec("b", &ca("ConfigMap", "empty")),
        spec("c", &ca("ConfigMap", "text")),
        spec("d", &ca("ConfigMap", "broken")),
        spec("e", &ca("Secret", "none")),
        spec("f", &ca("Secret", "opaque")),
        spec("g", &shown("none")),
        spec("h", &shown("opaque")),
        spec("i", &shown("mixed")),
        spec("j", &json!({"insecureSkipVerify": true, "caCertificateRef": {"name": "none"}})),
        spec("whole", &Value::Null),
    ]);
    let field =
        |name: &str, code: &str, field: &str| format!("{code} error UpstreamGroup default/{name} spec.tls{field}");
    let (ca, shown) = (".caCertificateRef.name", ".clientCertificateRef.name");
    let expected = [
        field("a", "FB4016", ca),
        field("b", "FB4017", ca),
        field("c", "FB4017", ca),
        field("d", "FB4017", ca),
        field("e", "FB4007", ca),
        field("f", "FB4008", ca),
        field("g", "FB4007", shown),
        field("h", "FB4008", shown),
        field("i", "FB4008", shown),
        field("j", "FB3103", ""),
    ];
    assert_eq!(said(&translation), expected);
    assert_eq!(translation.config.groups.keys().map(ToString::to_string).collect::<Vec<_>>(), ["default/whole"]);
    let all: String = translation.diagnostics.iter().map(ToString::to_string).collect();
    assert!(!all.contains("BEGIN") && !all.contains(theirs.1.lines().nth(1).unwrap()), "{all}");
}

#[test]
fn what_has_expired_is_said_and_used() {
    let old = pair(NOW - 240.hours());
    let both = json!({"caCertificateRef": {"name": "old"}, "clientCertificateRef": {"name": "client"}});
    let translation = of(&[object("Secret", "old", "ca.crt", &old.0), secret("client", &old), spec("g", &both)]);
    let field = |name: &str| format!("FB4012 warning UpstreamGroup default/g spec.tls.{name}.name");
    assert_eq!(said(&translation), [field("caCertificateRef"), field("clientCertificateRef")]);
    // One that is valid beside it is enough.
    let text = old.0.clone() + &pair(NOW).0;
    let translation =
        of(&[object("Secret", "old", "ca.crt", &text), spec("g", &json!({"caCertificateRef": {"name": "old"}}))]);
    assert_eq!(said(&translation), [""; 0]);
}

/// The documents there are now, of which these are other than before.
fn update(translator: &mut Translator, documents: &[Value], changed: &Changed) -> Touched {
    translator.update(&objects(&yaml(documents)), changed)
}

fn changed(kind: &str, name: &str) -> Changed {
    let name: translate::Name = ("default".into(), name.into());
    match kind {
        "ConfigMap" => Changed { config_maps: [name].into(), ..Changed::default() },
        "Secret" => Changed { secrets: [name].into(), ..Changed::default() },
        _ => Changed { groups: [GroupId::new("default", &name.1)].into(), ..Changed::default() },
    }
}

#[test]
fn what_a_reference_led_to_stays_while_it_leads_nowhere() {
    let (first, second) = (pair(NOW), pair(NOW));
    let map = |text: &str| object("ConfigMap", "ca", "ca.crt", text);
    let group = spec("g", &json!({"caCertificateRef": {"kind": "ConfigMap", "name": "ca"}}));
    let other = spec("other", &json!({"insecureSkipVerify": true}));
    let mut translator = Translator::new(Options::for_cluster(NOW));
    let id = GroupId::new("default", "g");
    let everything = Changed { groups: [id.clone(), GroupId::new("default", "other")].into(), ..Changed::default() };

    // Not there yet: nothing is known, so data planes keep what they have.
    update(&mut translator, &[group.clone(), other.clone()], &everything);
    assert!(translator.group(&id).is_none() && translator.is_unknown(&ResourceKey::Group(id.clone())));

    let touched = update(&mut translator, &[map(&first.0), group.clone(), other.clone()], &changed("ConfigMap", "ca"));
    assert_eq!((touched.groups, touched.resources), ([id.clone()].into(), [ResourceKey::Group(id.clone())].into()));
    assert_eq!(translator.said_of_group(&id), []);
    let config = |translator: &Translator| translator.translation().config;
    assert_eq!(authorities(&config(&translator), "g"), first.0.replace('\r', ""));

    // Gone, malformed, gone again: warnings, and nothing is touched.
    for (documents, code) in [
        (vec![group.clone(), other.clone()], "FB4016"),
        (vec![map("nothing"), group.clone(), other.clone()], "FB4017"),
        (vec![group.clone(), other.clone()], "FB4016"),
    ] {
        let touched = update(&mut translator, &documents, &changed("ConfigMap", "ca"));
        assert_eq!(touched.resources, [].into());
        let told: Vec<_> = translator.said_of_group(&id).iter().map(|said| (said.code, said.severity)).collect();
        assert_eq!(told, [(code, config::Severity::Warning)]);
        assert_eq!(authorities(&config(&translator), "g"), first.0.replace('\r', ""));
    }
    // Whoever names another object meanwhile has nothing to go on with, but the version before.
    let moved = spec("g", &json!({"caCertificateRef": {"kind": "Secret", "name": "ca"}}));
    update(&mut translator, &[moved, other.clone()], &changed("UpstreamGroup", "g"));
    assert_eq!(errors(&translator.translation()), 1);
    assert_eq!(authorities(&config(&translator), "g"), first.0.replace('\r', ""));

    let documents = [map(&second.0), group, other];
    update(&mut translator, &documents, &changed("UpstreamGroup", "g"));
    assert_eq!(authorities(&config(&translator), "g"), second.0.replace('\r', ""));
    assert_eq!(config(&translator).revision(), of(&documents).config.revision());
}

#[test]
fn the_certificate_that_is_shown_is_a_resource_of_its_own() {
    let (first, second) = (pair(NOW), pair(NOW));
    let shows = |name: &str| spec(name, &json!({"clientCertificateRef": {"name": "client"}}));
    let key = ResourceKey::Certificate(CertificateId::new("default", "client"));
    let mut translator = Translator::new(Options::for_cluster(NOW));
    let groups = ["a", "b"].map(|name| GroupId::new("default", name));

    let both = Changed { groups: groups.clone().into(), ..Changed::default() };
    let touched = update(&mut translator, &[shows("a"), shows("b")], &both);
    assert!(touched.resources.contains(&key) && translator.is_unknown(&key), "what data planes have of it they keep");
    update(&mut translator, &[secret("client", &first), shows("a"), shows("b")], &changed("Secret", "client"));
    let chain = |translator: &Translator| match translator.resource(&key) {
        Some(config::Resource::Certificate(_, one)) => one.chain.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(chain(&translator), first.0);
    // Renewed: the groups are as they were.
    let touched =
        update(&mut translator, &[secret("client", &second), shows("a"), shows("b")], &changed("Secret", "client"));
    assert_eq!((touched.resources, chain(&translator)), ([key.clone()].into(), second.0.clone()));
    // Gone: it stays as long as a group shows it.
    update(&mut translator, &[shows("a"), shows("b")], &changed("Secret", "client"));
    update(&mut translator, &[shows("b")], &changed("UpstreamGroup", "a"));
    assert_eq!(chain(&translator), second.0);
    let touched = update(&mut translator, &[], &changed("UpstreamGroup", "b"));
    assert!(touched.resources.contains(&key) && translator.resource(&key).is_none() && !translator.is_unknown(&key));
}

#[test]
fn a_certificate_that_was_kept_for_a_refused_group_goes_with_it() {
    let shows = |name: &str| spec("g", &json!({"clientCertificateRef": {"name": name}}));
    let key = ResourceKey::Certificate(CertificateId::new("default", "client"));
    for after in [vec![], vec![spec("g", &Value::Null)], vec![shows("other")]] {
        let mut translator = Translator::new(Options::for_cluster(NOW));
        update(&mut translator, &[shows("client")], &changed("UpstreamGroup", "g"));
        assert!(translator.is_unknown(&key));
        let touched = update(&mut translator, &after, &changed("UpstreamGroup", "g"));
        assert!(touched.resources.contains(&key) && !translator.is_unknown(&key), "data planes are told");
        assert!(translator.references().secrets.find("default", "client").is_none(), "and it is forgotten");
    }
}

#[test]
fn an_object_made_anew_and_refused_does_not_keep_the_one_before_in_force() {
    let client = secret("client", &pair(NOW));
    let made = |uid: &str, address: &str| {
        let mut group = spec("g", &json!({"clientCertificateRef": {"name": "client"}}));
        group["metadata"]["uid"] = uid.into();
        group["spec"]["servers"][0]["address"] = address.into();
        [client.clone(), group]
    };
    let id = GroupId::new("default", "g");
    let keys = [ResourceKey::Certificate(CertificateId::new("default", "client")), ResourceKey::Group(id.clone())];
    let mut translator = Translator::new(Options::for_cluster(NOW));
    update(&mut translator, &made("one", "10.0.0.1:443"), &changed("UpstreamGroup", "g"));
    assert!(translator.group(&id).is_some());
    for documents in [made("two", "127.0.0.1:443"), made("two", "127.0.0.2:443"), made("three", "127.0.0.2:443")] {
        update(&mut translator, &documents, &changed("UpstreamGroup", "g"));
        assert!(translator.group(&id).is_none() && keys.iter().all(|key| !translator.is_unknown(key)));
    }
    // Nor is one unknown that was not there before.
    update(&mut translator, &made("one", "127.0.0.1:443")[..1], &changed("UpstreamGroup", "g"));
    update(&mut translator, &made("four", "127.0.0.1:443"), &changed("UpstreamGroup", "g"));
    assert!(translator.group(&id).is_none() && keys.iter().all(|key| !translator.is_unknown(key)));
}

/// The objects, while the content of some is on its way.
fn fetching(documents: &[Value], references: &References) -> Objects {
    Objects { fetching: references.clone(), ..objects(&yaml(documents)) }
}

#[test]
fn a_group_waits_for_all_that_it_names_and_stays_as_it_is() {
    let pair = pair(NOW);
    let map = object("ConfigMap", "ca", "ca.crt", &pair.0);
    let plain = spec("g", &Value::Null);
    let both =
        json!({"caCertificateRef": {"kind": "ConfigMap", "name": "ca"}, "clientCertificateRef": {"name": "client"}});
    let both = spec("g", &both);
    let id = GroupId::new("default", "g");
    let mut translator = Translator::new(Options::for_cluster(NOW));
    update(&mut translator, &[plain], &changed("UpstreamGroup", "g"));
    let bare = [object("ConfigMap", "ca", "x", ""), object("Secret", "client", "x", ""), both.clone()];
    let mut on_its_way = References::of(&objects(&yaml(std::slice::from_ref(&both))));
    let touched = translator.update(&fetching(&bare, &on_its_way), &changed("UpstreamGroup", "g"));
    assert_eq!((touched, translator.is_waiting(&id)), (Touched::default(), true));
    // One of the two is here, and something else of the group changes.
    on_its_way.config_maps = ByName::default();
    let half = [map.clone(), object("Secret", "client", "x", ""), both.clone()];
    for changed in [changed("ConfigMap", "ca"), changed("UpstreamGroup", "g")] {
        let touched = translator.update(&fetching(&half, &on_its_way), &changed);
        assert_eq!((touched, translator.is_waiting(&id)), (Touched::default(), true));
        assert_eq!(tls(&translator.translation().config, "g").trust, Trust::System, "as it was");
        assert_eq!(translator.said_of_group(&id), []);
    }
    let touched = update(&mut translator, &[map, secret("client", &pair), both.clone()], &changed("Secret", "client"));
    assert_eq!((touched.groups, touched.references), ([id.clone()].into(), true));
    assert_eq!((translator.is_waiting(&id), translator.said_of_group(&id)), (false, &[][..]));
    assert_eq!(translator.references(), References::of(&objects(&both.to_string())));
}

#[test]
fn time_alone_changes_what_is_said() {
    let old = pair(NOW);
    let both = json!({"caCertificateRef": {"name": "ca"}, "clientCertificateRef": {"name": "client"}});
    let objects = objects(&yaml(&[object("Secret", "ca", "ca.crt", &old.0), secret("client", &old), spec("g", &both)]));
    let mut translator = Translator::new(Options::for_cluster(NOW));
    translator.update(&objects, &Changed::everything(&objects));
    let until = translator.until().expect("they expire");
    assert_eq!(translator.advance(until - 1.nanosecond(), &objects), Touched::default());
    let touched = translator.advance(until, &objects);
    assert_eq!((touched.groups.len(), touched.resources.len()), (1, 0));
    assert_eq!(translator.said_of_group(&GroupId::new("default", "g")).len(), 2);
    assert_eq!(translator.until(), None);
    assert_eq!(translator.translation().diagnostics, translate(&objects, &Options::for_cluster(until)).diagnostics);
}
