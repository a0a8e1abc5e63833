//! Every file of `tests/documents/`: the good ones give their objects without an error, the bad ones exactly the diagnostics
//! of their snapshot, and those that surprise both.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use config::Severity;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use translate::document::{Documents, Located, SourceFile, read};
use translate::{Options, translate_documents};

/// The files whose names begin with `prefix`, in the order of their names.
fn files(prefix: &str) -> Vec<SourceFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().into();
    paths.iter().map(|path| SourceFile { name: name(path), text: fs::read_to_string(path).unwrap() }).collect()
}

fn summary(documents: &Documents) -> String {
    let objects = &documents.objects;
    let mut text = format!(
        "{} UpstreamGroup, {} Ingress, {} IngressClass, {} Secret, {} Service, {} EndpointSlice\n",
        objects.upstream_groups.len(),
        objects.ingresses.len(),
        objects.ingress_classes.len(),
        objects.secrets.len(),
        objects.services.len(),
        objects.endpoint_slices.len()
    );
    for diagnostic in &documents.diagnostics {
        write!(text, "\n{diagnostic}\n").unwrap();
    }
    text
}

#[test]
fn good_documents_give_objects() {
    for file in files("good") {
        let documents = read(std::slice::from_ref(&file));
        assert!(documents.diagnostics.iter().all(|d| d.severity == Severity::Note), "{}", summary(&documents));
        insta::assert_snapshot!(&*file.name.clone(), summary(&documents));
    }
}

#[test]
fn bad_documents_are_told_everything_at_once() {
    for file in files("bad") {
        let documents = read(std::slice::from_ref(&file));
        assert!(documents.diagnostics.iter().any(|d| d.severity == Severity::Error), "{}", file.name);
        insta::assert_snapshot!(&*file.name.clone(), summary(&documents));
    }
}

#[test]
fn surprising_documents_are_used_and_warned_of() {
    for file in files("warned") {
        let documents = read(std::slice::from_ref(&file));
        assert!(documents.diagnostics.iter().all(|d| d.severity == Severity::Warning), "{}", summary(&documents));
        insta::assert_snapshot!(&*file.name.clone(), summary(&documents));
    }
}

#[test]
fn later_problems_find_their_line() {
    let text = "\
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: app}
spec:
  servers:
  - name: a
    address: 10.0.0.1:80
";
    let documents = read(&[SourceFile { name: "app.yaml".into(), text: text.into() }]);
    let group = documents.objects.upstream_groups.values().next().unwrap();
    let place = |path: &str| group.locate(path).map(|at| (at.line, at.column, at.snippet.to_string())).unwrap();
    assert_eq!(place("spec.servers[0].address"), (7, 14, "    address: 10.0.0.1:80".into()));
    // What was left out: the server it would stand in.
    assert_eq!(place("spec.servers[0].weight"), (6, 5, "  - name: a".into()));
    assert_eq!(place("spec.servers"), (5, 3, "  servers:".into()));
    assert_eq!(place("metadata.namespace"), (3, 1, "metadata: {name: app}".into()));
}

/// An API server stores no field that it does not know. What a hand writes is a slip, and an `UpstreamGroup` for this release to do.
#[test]
fn an_unknown_field_is_an_error_unless_an_api_server_wrote_it() {
    let severities = |text: &str| -> Vec<_> {
        let documents = read(&[SourceFile { name: "app.yaml".into(), text: text.into() }]);
        documents.diagnostics.iter().map(|said| (said.code, said.severity)).collect()
    };
    let slice =
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: app}, addressType: IPv4, port: 80}";
    let group = "{apiVersion: forebay.dev/v1alpha1, kind: UpstreamGroup, metadata: {name: app}, \
                 spec: {server: 1, servers: [{name: a, address: 10.0.0.1:80}]}}";
    let stored = |text: &str| text.replace("{name: app}", "{name: app, uid: 5a9c8f0a-0000-4000-8000-000000000000}");
    assert_eq!(severities(slice), [("FB2001", Severity::Error)]);
    assert_eq!(severities(&stored(slice)), [("FB2001", Severity::Note)]);
    assert_eq!(severities(group), [("FB2001", Severity::Error)]);
    assert_eq!(severities(&stored(group)), [("FB2001", Severity::Error)]);
}

#[test]
fn of_what_is_missing_the_nearest_was_likely_meant() {
    let text = "
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: app}
spec:
  servers: [{name: a, service: {name: ap, port: 80}}, {name: b, service: {name: elsewhere, port: 80}}]
  protocol: HTTPS
  tls: {caCertificateRef: {kind: ConfigMap, name: root}, clientCertificateRef: {name: pear}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: served}
spec:
  ingressClassName: forebay
  tls: [{hosts: [a.example], secretName: pairs}]
  rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: unserved}
spec: {ingressClassName: forbay, defaultBackend: {service: {name: web, port: {number: 80}}}}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: forebay}, spec: {controller: forebay.dev/ingress-controller}}
---
{apiVersion: v1, kind: Service, metadata: {name: app}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: elsewhere, namespace: other}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Secret, metadata: {name: pair}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: roots}}
";
    let documents = read(&[SourceFile { name: "app.yaml".into(), text: text.into() }]);
    assert!(documents.diagnostics.is_empty(), "{}", summary(&documents));
    let options = Options::for_files(Timestamp::UNIX_EPOCH);
    let said = translate_documents(&documents, &options).diagnostics;
    let hints: Vec<_> = said.iter().map(|said| (said.code, said.hint.as_deref().unwrap())).collect();
    let create = "create it, or correct the name";
    assert_eq!(
        hints,
        [
            ("FB4001", create),
            ("FB4007", "did you mean pair?"),
            ("FB5001", "did you mean forebay?"),
            ("FB4001", "did you mean app?"),
            ("FB4001", create),
            ("FB4016", "did you mean roots?"),
            ("FB4007", "did you mean pair?"),
        ]
    );
}

#[test]
fn objects_of_a_cluster_stand_nowhere() {
    let located = Located::from(Service::default());
    assert_eq!(located.locate("spec"), None);
}

#[test]
fn aliases_and_merge_keys_mean_what_they_name() {
    let anchors = files("good-anchors");
    let documents = read(&anchors);
    let servers = &documents.objects.upstream_groups.values().next().unwrap().spec.servers;
    let told: Vec<_> =
        servers.iter().map(|server| (server.name.as_str(), server.weight, server.fail_timeout.as_str())).collect();
    assert_eq!(told, [("a", 5, "30s"), ("b", 5, "30s"), ("c", 1, "30s")]);
    assert_eq!(servers[1].address.as_deref(), Some("10.0.0.2:80"));
}

#[test]
fn an_object_stands_once_in_all_files() {
    let file = |name: &str| SourceFile {
        name: name.into(),
        text: "apiVersion: v1\nkind: Service\nmetadata: {name: app}\n".into(),
    };
    let documents = read(&[file("a.yaml"), file("b.yaml")]);
    assert_eq!(documents.objects.services.len(), 1);
    let duplicate = &documents.diagnostics[0];
    assert_eq!(duplicate.location.as_ref().unwrap().file.as_ref(), "b.yaml");
    assert_eq!(duplicate.hint.as_deref(), Some("the first is at a.yaml:3; keep one of them"));
}
