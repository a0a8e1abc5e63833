//! `forebay run` as its operator meets it: what the error log says about a configuration, and which configuration is refused.

use std::process::Command;

use serde_json::json;
use testkit::{Client, Forebay, rig::Documents};

const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

fn group(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "forebay.dev/v1alpha1",
        "kind": "UpstreamGroup",
        "metadata": {"name": name},
        "spec": {"servers": [{"name": "a", "address": "unix:/nowhere/at/all"}]},
    })
}

#[tokio::test]
async fn a_listener_of_a_missing_group_is_warned_of_when_that_begins() {
    let documents = Documents::new();
    documents.write("app.yaml", &[group("app")]);
    let forebay = Forebay::run(FOREBAY, documents.path()).bind("default/ap").bind("default/app").start().await;
    let warning = forebay.logged("[FB4011]").await;
    let expected = format!(
        "--http {}=default/ap: the group does not exist; every request gets 503 [FB4011]; hint: ",
        forebay.http(0)
    );
    assert!(warning.contains("[warn] ") && warning.contains(&expected), "{warning}");
    assert!(warning.ends_with("did you mean default/app?"), "{warning}");
    let config = forebay.admin_get("/api/v1/config").await.json();
    assert!(config["problems"].to_string().contains("FB4011"), "{config}");

    documents.write("more.yaml", &[group("more")]);
    forebay.logged("2 group(s)").await;
    documents.write("ap.yaml", &[group("ap")]);
    forebay.logged("3 group(s)").await;
    assert_eq!(forebay.log().iter().filter(|line| line.contains("[FB4011]")).count(), 1);
    std::fs::remove_file(documents.path().join("ap.yaml")).unwrap();
    forebay.logged_times("2 group(s)", 2).await;
    assert_eq!(forebay.log().iter().filter(|line| line.contains("[FB4011]")).count(), 2);
}

#[tokio::test]
async fn an_empty_configuration_never_replaces_one_that_serves() {
    let documents = Documents::new();
    let refused = Command::new(FOREBAY)
        .args(["run", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"])
        .arg(documents.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    assert!(errors.contains("no document of a kind that Forebay reads [FB6004]"), "{errors}");

    documents.write("app.yaml", &[group("app")]);
    let forebay = Forebay::run(FOREBAY, documents.path()).bind("default/app").start().await;
    std::fs::remove_file(documents.path().join("app.yaml")).unwrap();
    forebay.logged("[FB6004]").await;
    forebay.logged("the last good one keeps serving").await;
    assert_eq!(Client::get(forebay.http(0), "/").await.status, 502, "the group is there, its server is not");
}

#[tokio::test]
async fn a_problem_is_one_line_of_the_error_log() {
    let documents = Documents::new();
    documents.write("app.yaml", &[group("app")]);
    let forebay = Forebay::run(FOREBAY, documents.path()).listen().start().await;
    documents.write_text(
        "bad.yaml",
        "apiVersion: forebay.dev/v1alpha1\nkind: UpstreamGroup\nmetadata: {name: x}\nspec: {servres: []}\n",
    );
    let line = forebay.logged("[FB2001]").await;
    let expected = "UpstreamGroup default/x: spec.servres: unknown field \"spec.servres\" [FB2001] in ";
    assert!(line.contains(" [error] ") && line.contains(expected), "{line}");
    assert!(line.ends_with("bad.yaml:4:8; hint: did you mean \"servers\"?"), "{line}");
    assert!(!forebay.log().iter().any(|line| line.contains("error[")), "{:?}", forebay.log());
}

#[tokio::test]
async fn a_zone_takes_the_endpoints_that_are_hinted_for_it() {
    let documents = Documents::new();
    let endpoint = |address: &str, zone: &str| json!({"addresses": [address], "hints": {"forZones": [{"name": zone}]}});
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "app"},
        "spec": {"ports": [{"port": 80}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "app", "labels": {"kubernetes.io/service-name": "app"}},
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [endpoint("10.0.0.1", "eu-1a"), endpoint("10.0.0.2", "eu-1b")],
    });
    let mut group = group("app");
    group["spec"]["servers"] = json!([{"name": "app", "service": {"name": "app", "port": 80}}]);
    documents.write("app.yaml", &[group, service, slice]);
    for (arguments, expected) in [([].as_slice(), [true, true]), (&["--zone", "eu-1b"], [false, true])] {
        let forebay = Forebay::run(FOREBAY, documents.path()).listen().args(arguments).start().await;
        let groups = forebay.admin_get("/api/v1/groups").await.json().to_string();
        assert_eq!(["10.0.0.1:8080", "10.0.0.2:8080"].map(|address| groups.contains(address)), expected, "{groups}");
    }
}

/// A set in which something is missing is valid, too: it is put in force, and said.
#[tokio::test]
async fn the_end_of_all_routes_is_warned_of() {
    let documents = Documents::new();
    documents.write("app.yaml", &[group("app")]);
    let backend = json!({"resource": {"apiGroup": "forebay.dev", "kind": "UpstreamGroup", "name": "app"}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web"},
        "spec": {"rules": [{"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
    });
    documents.write("web.yaml", &[ingress]);
    let forebay = Forebay::run(FOREBAY, documents.path()).listen().start().await;
    std::fs::remove_file(documents.path().join("web.yaml")).unwrap();
    let line = forebay.logged("are gone").await;
    assert!(line.contains("[warn] ") && line.contains("all host(s) with routes are gone: there were 1; "), "{line}");
}
