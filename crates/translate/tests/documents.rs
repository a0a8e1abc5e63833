//! Every file of `tests/documents/`: the good ones give their objects without an error, the bad ones exactly the diagnostics
//! of their snapshot, and those that surprise both.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use config::Severity;
use k8s_openapi::api::core::v1::Service;
use translate::document::{Documents, Located, SourceFile, read};

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
