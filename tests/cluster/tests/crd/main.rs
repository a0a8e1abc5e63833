//! The CRD before a real API server: accepted without a word, and of one mind with `forebay check` about every object.

mod bounds;
mod server;
mod verdicts;

#[path = "../../../../crates/api/tests/rules/table.rs"]
mod table;

use serde_json::{Value, json};

use server::Server;

const CRD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/crd/forebay.dev_upstreamgroups.yaml");

#[tokio::test]
async fn it_is_applied_and_created_without_a_warning() {
    let Some(server) = Server::find().await else { return };
    // `Server` has applied it. A second time changes nothing, and creating it says the same as applying it.
    let said = server.kubectl().call(["apply", "--server-side", "--warnings-as-errors", "-f", CRD], "");
    assert_eq!((said.stdout.contains("serverside-applied"), said.stderr.as_str()), (true, ""));
    let said = server.kubectl().call(["replace", "--dry-run=server", "--warnings-as-errors", "-f", CRD], "");
    assert_eq!((said.success, said.stderr.as_str()), (true, ""));
    let text = std::fs::read_to_string(CRD).unwrap();
    let renamed = text.replace("upstreamgroups", "othergroups").replace("upstreamgroup", "othergroup");
    let renamed = renamed.replace("UpstreamGroup", "OtherGroup").replace("- ug", "- og");
    let said = server.kubectl().call(["create", "--dry-run=server", "--warnings-as-errors", "-f", "-"], &renamed);
    assert_eq!((said.success, said.stderr.as_str()), (true, ""));
}

#[tokio::test]
async fn kubectl_knows_its_names_and_columns() {
    let Some(server) = Server::find().await else { return };
    let namespace = server.namespace("columns");
    let kubectl = |arguments: &[&str]| {
        let arguments = arguments.iter().copied().chain(["--namespace", &namespace]);
        server.kubectl().call(arguments, "").answer()
    };
    let group = json!({
        "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {"method": {"type": "LeastConn"}, "servers": [{"name": "a", "address": "10.0.0.1:80"}]},
    });
    server.kubectl().apply(&group.to_string());
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "Test", "message": "", "observedGeneration": 1,
               "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let status = json!({"status": {
        "observedGeneration": 1,
        "conditions": [condition("Accepted", "True"), condition("Programmed", "False")],
        "dataPlanes": {"connected": 3, "programmed": 2, "ready": "2/3", "revision": "7f3a"},
        "summary": {"servers": 4, "available": 3, "ready": "3/4", "activeTier": "Primary", "activeRequests": 0,
                    "requests": 0, "requestsPerSecond": 0, "failures": 0, "errorPercent": "0"},
    }});
    kubectl(&["patch", "ug", "app", "--subresource=status", "--type=merge", "-p", &status.to_string()]);

    let table = kubectl(&["get", "ug"]);
    let words = |line: Option<&str>| line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (header, row) = (words(table.lines().next()), words(table.lines().nth(1)));
    assert_eq!(header, ["NAME", "METHOD", "SERVERS", "TIER", "ACCEPTED", "PROGRAMMED", "AGE"]);
    assert_eq!(row[..6], ["app", "LeastConn", "3/4", "Primary", "True", "False"]);
    let wide = kubectl(&["get", "forebay", "-o", "wide"]);
    let (header, row) = (words(wide.lines().next()), words(wide.lines().nth(1)));
    assert_eq!(header[7..], ["PROXIES", "REVISION"]);
    assert_eq!(row[7..], ["2/3", "7f3a"]);
    let explained = kubectl(&["explain", "ug.spec.servers.weight"]);
    assert!(explained.contains("Default: 1"), "{explained}");
}

#[tokio::test]
async fn its_rules_are_those_of_check() {
    let Some(server) = Server::find().await else { return };
    let mut differences = Vec::new();
    for case in table::cases() {
        let theirs = server.verdict(&case.object).await;
        // A pattern may say the same in its own words.
        let said = |field: &str, message: &str| theirs.iter().any(|(f, m)| f == field && m.ends_with(message));
        let is_right = case.refused.map_or(theirs.is_empty(), |(field, message)| said(field, message));
        if !is_right {
            differences
                .push(format!("{}: {}\n  table {:?}, API server {theirs:?}", case.rule, case.object, case.refused));
        }
        differences.extend(verdicts::difference(&case.object, &theirs));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn its_bounds_are_those_of_check() {
    let Some(server) = Server::find().await else { return };
    let mut differences = Vec::new();
    let mut counts = bounds::Counts::default();
    for case in bounds::cases() {
        let theirs = server.verdict(&case.object).await;
        counts.note(&case, theirs.is_empty());
        differences.extend(verdicts::difference(&case.object, &theirs));
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), counts.cases, differences.join("\n"));
    counts.assert_two_sides();
}

#[tokio::test]
async fn its_defaults_are_those_of_check() {
    let Some(server) = Server::find().await else { return };
    for object in bounds::bases() {
        let created = server.create(&object).await.unwrap_or_else(|error| panic!("{object}: {error}"));
        let spec = |object: &Value| object["spec"].clone();
        assert_eq!(spec(&created), spec(&api::apply_defaults(&object)));
    }
}
