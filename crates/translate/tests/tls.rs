//! `spec.tls`: which certificate a host gets, and what is said of Secrets that cannot be used or should not be.

mod common;

use std::time::Duration;

use common::{NOW, objects, said};
use config::Certificate;
use jiff::{Timestamp, ToSpan as _};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use translate::{Changed, Options, Touched, Translation, Translator, look_again_in, translate};

/// A certificate for these names that is valid for a day around [`NOW`], and its key, both PEM.
fn pair(names: &[&str]) -> (String, String) {
    pair_at(names, NOW)
}

fn pair_at(names: &[&str], noon: Timestamp) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let date = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = date(noon - 24.hours());
    params.not_after = date(noon + 48.hours());
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn secret(name: &str, (chain, key): &(String, String)) -> Value {
    json!({
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": chain, "tls.key": key},
    })
}

/// An Ingress with rules for `hosts` (`*` is any) and these entries of `spec.tls`.
fn ingress(name: &str, hosts: &[&str], tls: &Value) -> Value {
    let backend = json!({"service": {"name": "app", "port": {"number": 80}}});
    let rule = |host: &&str| {
        let mut rule =
            json!({"http": {"paths": [{"path": format!("/{name}"), "pathType": "Prefix", "backend": backend}]}});
        if *host != "*" {
            rule["host"] = (*host).into();
        }
        rule
    };
    let rules: Vec<_> = hosts.iter().map(rule).collect();
    json!({"kind": "Ingress", "metadata": {"name": name}, "spec": {"rules": rules, "defaultBackend": backend, "tls": tls}})
}

fn created(mut object: Value, time: &str) -> Value {
    object["metadata"]["creationTimestamp"] = time.into();
    object
}

fn of(documents: &[Value]) -> Translation {
    let mut all = vec![
        json!({"kind": "Service", "metadata": {"name": "app"}, "spec": {"ports": [{"name": "http", "port": 80}]}}),
        json!({
            "kind": "EndpointSlice",
            "metadata": {"name": "app-1", "labels": {"kubernetes.io/service-name": "app"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"addresses": ["10.0.0.1"]}],
        }),
    ];
    all.extend_from_slice(documents);
    let yaml: Vec<String> = all.iter().map(ToString::to_string).collect();
    translate(&objects(&yaml.join("\n---\n")), &Options::for_files(NOW))
}

/// Who is answered with what, as `HOST=SECRET`.
fn served(translation: &Translation) -> Vec<String> {
    let of = |certificate: &Certificate| certificate.hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let all = translation.config.certificates.iter();
    all.flat_map(|(id, one)| of(one).into_iter().map(move |host| format!("{host}={}", id.name()))).collect()
}

#[test]
fn the_hosts_of_an_entry_get_its_certificate() {
    let ours = pair(&["shop.example", "*.shop.example"]);
    let entry = json!([{"hosts": ["shop.example", "*.shop.example"], "secretName": "shop"}]);
    let translation = of(&[secret("shop", &ours), ingress("web", &["shop.example", "*.shop.example"], &entry)]);
    assert_eq!(said(&translation), Vec::<String>::new());
    assert_eq!(served(&translation), ["shop.example=shop", "*.shop.example=shop"]);
    let certificate = translation.config.certificates.values().next().unwrap();
    assert_eq!((&*certificate.chain, certificate.key.pem()), (ours.0.as_str(), ours.1.as_str()));
    assert!(!format!("{translation:?}").contains(ours.1.lines().nth(1).unwrap()), "a key is printed");
}

#[test]
fn an_ingress_keeps_its_certificate_until_the_next_is_here() {
    let (old, new) = (secret("old", &pair(&["a.example"])), secret("new", &pair(&["a.example"])));
    let bare = json!({"kind": "Secret", "metadata": {"name": "new"}, "type": "kubernetes.io/tls"});
    let names = |secret: &str| ingress("web", &["a.example"], &json!([{"hosts": ["a.example"], "secretName": secret}]));
    let routes = Changed { routes: true, ..Changed::default() };
    let mut translator = Translator::new(Options::for_files(NOW));
    let mut update = |documents: &[Value], is_here: bool| {
        let yaml: Vec<String> = documents.iter().map(ToString::to_string).collect();
        let mut objects = objects(&yaml.join("\n---\n"));
        if !is_here {
            objects.fetching.secrets.insert("default", "new", ());
        }
        let touched = translator.update(&objects, &routes);
        let secrets = translator.references().secrets;
        let kept: Vec<_> = secrets.iter().map(|((_, name), ())| name.to_string()).collect();
        let translation = translator.translation();
        let said = said(&translation).into_iter().filter(|said| !said.contains("service")).collect::<Vec<_>>();
        (served(&translation), said, kept, touched.references)
    };
    let of = |secret: &str, other| (vec![format!("a.example={secret}")], Vec::new(), vec![secret.to_owned()], other);
    assert_eq!(update(&[old.clone(), names("old")], true), of("old", true));
    assert_eq!(update(&[old.clone(), bare, names("new")], false), of("old", false));
    assert_eq!(update(&[old, new, names("new")], true), of("new", true));
}

#[test]
fn hosts_that_no_entry_lists_get_a_certificate_that_covers_them() {
    let wide = pair(&["*.shop.example"]);
    let other = pair(&["other.example"]);
    let entries = json!([{"secretName": "wide"}, {"hosts": ["other.example"], "secretName": "other"}]);
    let hosts = ["a.shop.example", "b.shop.example", "x.y.shop.example", "other.example"];
    let translation = of(&[secret("wide", &wide), secret("other", &other), ingress("web", &hosts, &entries)]);
    assert_eq!(said(&translation), Vec::<String>::new());
    assert_eq!(served(&translation), ["other.example=other", "a.shop.example=wide", "b.shop.example=wide"]);
}

#[test]
fn an_entry_without_hosts_for_any_host_is_the_default() {
    for hosts in [&["*"][..], &[]] {
        let documents = [secret("fallback", &pair(&[])), ingress("web", hosts, &json!([{"secretName": "fallback"}]))];
        let translation = of(&documents);
        assert_eq!(said(&translation), Vec::<String>::new());
        assert_eq!(served(&translation), ["*=fallback"]);
    }
    let named = [secret("fallback", &pair(&[])), ingress("web", &["a.example"], &json!([{"secretName": "fallback"}]))];
    assert_eq!(served(&of(&named)), Vec::<String>::new());
}

#[test]
fn the_older_ingress_keeps_a_host() {
    let (old, new) = (pair(&["a.example", "b.example"]), pair(&["a.example", "b.example"]));
    let entry = |hosts: &[&str], secret: &str| json!([{"hosts": hosts, "secretName": secret}]);
    let documents = [
        secret("old", &old),
        secret("new", &new),
        created(ingress("a", &[], &entry(&["a.example", "b.example"], "new")), "2026-02-02T00:00:00Z"),
        created(ingress("z", &[], &entry(&["a.example"], "old")), "2026-01-01T00:00:00Z"),
    ];
    let translation = of(&documents);
    assert_eq!(served(&translation), ["b.example=new", "a.example=old"]);
    let conflicts: Vec<_> = said(&translation).into_iter().filter(|said| said.starts_with("FB5012")).collect();
    assert_eq!(conflicts, ["FB5012 warning Ingress default/a spec.tls[0]"]);
    let message = &translation.diagnostics.iter().find(|one| one.code == "FB5012").unwrap().message;
    assert_eq!(
        message,
        "the certificate of a.example is already Secret default/old, by ingress default/z; default/new is not used for it"
    );
}

#[test]
fn what_cannot_be_used_is_said_and_harms_nobody_else() {
    let good = pair(&["good.example"]);
    let (chain, _) = pair(&["other.example"]);
    let data = |name: &str, data: Value| json!({"kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls", "stringData": data});
    let mut opaque = secret("opaque", &good);
    opaque["type"] = "Opaque".into();
    let mut foreign = secret("foreign", &good);
    foreign["metadata"]["namespace"] = "elsewhere".into();
    let bad = [
        ("gone", "FB4007", "does not exist"),
        ("foreign", "FB4007", "does not exist"),
        ("opaque", "FB4008", "is of type Opaque, not kubernetes.io/tls"),
        ("half", "FB4008", "has no tls.key"),
        ("garbage", "FB4008", "has no certificate in tls.crt"),
        ("torn", "FB4008", "cannot be used"),
        ("keyless", "FB4008", "has no private key in tls.key"),
        ("mixed", "FB4008", "does not match its certificate"),
    ];
    let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let mut documents = vec![
        secret("good", &good),
        foreign,
        opaque,
        data("half", json!({"tls.crt": good.0})),
        data("garbage", json!({"tls.crt": "not PEM", "tls.key": good.1})),
        data("torn", json!({"tls.crt": torn, "tls.key": good.1})),
        data("keyless", json!({"tls.crt": good.0, "tls.key": "no key"})),
        data("mixed", json!({"tls.crt": chain, "tls.key": good.1})),
    ];
    let entry = |name: &str| json!({"hosts": [format!("{name}.example")], "secretName": name});
    let entries: Vec<_> = ["good"].into_iter().chain(bad.map(|(name, ..)| name)).map(entry).collect();
    documents.push(ingress("web", &["good.example"], &entries.into()));
    let translation = of(&documents);
    assert_eq!(served(&translation), ["good.example=good"]);
    assert_eq!(translation.diagnostics.len(), bad.len(), "{:?}", translation.diagnostics);
    for (n, (name, code, words)) in bad.into_iter().enumerate() {
        let field = format!("spec.tls[{}].secretName", n + 1);
        let found = translation.diagnostics.iter().find(|one| one.field.as_deref() == Some(&field)).unwrap();
        assert_eq!(found.code, code, "{name}: {}", found.message);
        assert!(found.message.contains(words), "{name}: {}", found.message);
        assert!(!found.message.contains(good.1.lines().nth(1).unwrap()));
    }
}

#[test]
fn an_expired_early_or_foreign_certificate_is_served_with_a_warning() {
    let documents = [
        secret("expired", &pair_at(&["a.example"], NOW - 240.hours())),
        secret("early", &pair_at(&["b.example"], NOW + 240.hours())),
        secret("other", &pair(&["elsewhere.example", "*.c.example"])),
        ingress(
            "web",
            &["a.example"],
            &json!([
                {"hosts": ["a.example"], "secretName": "expired"},
                {"hosts": ["b.example"], "secretName": "early"},
                {"hosts": ["c.example", "x.c.example", "*.c.example", "y.x.c.example"], "secretName": "other"},
            ]),
        ),
    ];
    let translation = of(&documents);
    assert_eq!(
        said(&translation),
        [
            "FB4012 warning Ingress default/web spec.tls[0].secretName",
            "FB4012 warning Ingress default/web spec.tls[1].secretName",
            "FB4013 warning Ingress default/web spec.tls[2].hosts[0]",
            "FB4013 warning Ingress default/web spec.tls[2].hosts[3]",
        ]
    );
    let message = |n: usize| translation.diagnostics[n].message.as_str();
    assert!(message(0).contains("expired at 2026-11-14T00:00:00Z"), "{}", message(0));
    assert!(message(1).contains("is not valid before 2026-12-01T00:00:00Z"), "{}", message(1));
    assert!(message(2).contains("is not for c.example; it is for elsewhere.example, *.c.example"), "{}", message(2));
    assert_eq!(translation.config.certificates.len(), 3);
}

#[test]
fn hosts_are_checked_as_the_api_server_does() {
    let good = secret("good", &pair(&["a.example"]));
    let entry = json!([{"hosts": ["", "*", "A.example"], "secretName": "good"}]);
    let translation = of(&[good, ingress("web", &["a.example"], &entry)]);
    let hosts: Vec<_> = said(&translation).into_iter().filter(|said| said.starts_with("FB5005")).collect();
    assert_eq!(hosts, [0, 1, 2].map(|n| format!("FB5005 error Ingress default/web spec.tls[0].hosts[{n}]")));
    assert_eq!(served(&translation), Vec::<String>::new(), "a refused Ingress claims nothing");
}

/// The API server takes them.
#[test]
fn an_address_is_nobodys_name_and_harms_no_other_host() {
    let good = secret("good", &pair(&["a.example"]));
    let entry = json!([{"hosts": ["10.0.0.1", "a.example", "fd00::1"], "secretName": "good"}]);
    let translation = of(&[good, ingress("web", &["a.example"], &entry)]);
    let hosts: Vec<_> = said(&translation).into_iter().filter(|said| said.starts_with("FB50")).collect();
    assert_eq!(hosts, [0, 2].map(|n| format!("FB5013 warning Ingress default/web spec.tls[0].hosts[{n}]")));
    assert_eq!(served(&translation), ["a.example=good"]);
}

#[test]
fn objects_are_printed_by_name_alone() {
    let ours = pair(&["a.example"]);
    let printed = format!("{:?}", objects(&secret("shop", &ours).to_string()));
    assert!(printed.contains(r#""shop": Secret default/shop}"#), "{printed}");
}

#[test]
fn string_data_precedes_data() {
    let (ours, theirs) = (pair(&["a.example"]), pair(&["a.example"]));
    let mut both = secret("both", &ours);
    let base64 = |text: &str| {
        // The tests have no encoder at hand, and the API's own type has one.
        serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap()
    };
    both["data"] = json!({"tls.crt": base64(&theirs.0), "tls.key": base64(&theirs.1)});
    let entry = json!([{"hosts": ["a.example"], "secretName": "both"}]);
    let translation = of(&[both, ingress("web", &["a.example"], &entry)]);
    assert_eq!(translation.config.certificates.values().next().unwrap().key.pem(), ours.1);
}

/// Files are replaced in pieces: whoever reads them gives what was in force.
#[test]
fn a_secret_that_cannot_be_used_has_its_hosts_keep_what_it_held() {
    let (ours, theirs) = (pair(&["a.example"]), pair(&["a.example"]));
    let entry = json!([{"hosts": ["a.example"], "secretName": "a"}]);
    let with = |secret: Option<Value>| {
        let all = [Some(ingress("web", &["a.example"], &entry)), secret];
        objects(&all.into_iter().flatten().map(|one| one.to_string()).collect::<Vec<_>>().join("\n---\n"))
    };
    let before = translate(&with(Some(secret("a", &ours))), &Options::for_files(NOW)).config;
    let after = |secret| {
        let held = before.certificates.clone();
        translate(&with(secret), &Options { held, ..Options::for_files(NOW) })
    };
    for (bad, why) in [
        (None, "does not exist"),
        (Some(secret("a", &(ours.0.clone(), theirs.1.clone()))), "does not match"),
        (Some(secret("a", &("garbage".into(), ours.1.clone()))), "has no certificate in tls.crt"),
    ] {
        let translation = after(bad);
        assert_eq!(translation.config.certificates, before.certificates, "{why}");
        let said = translation.diagnostics.iter().find(|one| one.field.as_deref() == Some("spec.tls[0].secretName"));
        let said = said.expect("it is said");
        assert!(said.message.contains(why), "{}", said.message);
        assert!(said.message.ends_with("; the certificate that it held before is served on"), "{}", said.message);
        assert_eq!(said.severity, config::Severity::Warning);
    }
    let next = after(Some(secret("a", &theirs))).config;
    assert_eq!(next.certificates.values().next().unwrap().key.pem(), theirs.1, "what can be used comes first");
    let entries = json!([]);
    let without = translate(
        &objects(&ingress("web", &["a.example"], &entries).to_string()),
        &Options { held: before.certificates.clone(), ..Options::for_files(NOW) },
    );
    assert_eq!(without.config.certificates.len(), 0, "nobody asks for it any more");
}

/// What stays true until a moment is said to, and what is kept up to date past it says what is read anew then.
#[test]
fn time_alone_changes_what_is_said() {
    let entry = json!([{"hosts": ["a.example"], "secretName": "a"}]);
    let documents = [secret("a", &pair(&["a.example"])), ingress("web", &["a.example"], &entry)];
    let objects = objects(&documents.map(|document| document.to_string()).join("\n---\n"));
    let mut translator = Translator::new(Options::for_files(NOW - 240.hours()));
    translator.update(&objects, &Changed::everything(&objects));
    let name = ("default".into(), "web".into());
    let mut seen = Vec::new();
    while let Some(until) = translator.until() {
        assert!(!translator.is_outdated(until - 1.nanosecond()) && translator.is_outdated(until));
        let before = translator.advance(until - 1.nanosecond(), &objects);
        assert_eq!(before, Touched::default(), "nothing changes before {until}");
        let touched = translator.advance(until, &objects);
        assert_eq!((touched.ingresses.len(), touched.resources.len()), (1, 0));
        let anew = translate(&objects, &Options::for_files(until));
        assert_eq!(translator.translation().diagnostics, anew.diagnostics);
        let said = translator.said_of_ingress(&name).unwrap();
        seen.push((until.to_string(), said.iter().filter(|said| said.code == "FB4012").count()));
    }
    assert_eq!(seen, [("2026-11-21T00:00:00Z".to_owned(), 0), ("2026-11-24T00:00:01Z".to_owned(), 1)]);
    let (hour, second) = (Duration::from_hours(1), Duration::from_secs(1));
    for (until, rest) in [(NOW + 240.hours(), hour), (NOW + 90.seconds(), 90 * second), (NOW - 1.hour(), second)] {
        assert_eq!(look_again_in(until, NOW), rest);
    }
}
