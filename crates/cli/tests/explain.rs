//! `forebay explain` as an operator sees it: pages and JSON for fixed seeds, and exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn forebay(args: &[&str]) -> Output {
    let groups = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/explain/groups.yaml");
    Command::new(env!("CARGO_BIN_EXE_forebay"))
        .arg("explain")
        .args(args)
        .args(["--config".as_ref(), groups.as_os_str()])
        .output()
        .expect("the binary runs")
}

fn page(args: &[&str]) -> String {
    let output = forebay(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn refusal(args: &[&str]) -> (Option<i32>, String) {
    let output = forebay(args);
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn weights_take_turns() {
    insta::assert_snapshot!(page(&["shop/weighted", "--requests", "7"]));
}

#[test]
fn a_server_fails_is_left_alone_and_comes_back() {
    insta::assert_snapshot!(page(&["shop/weighted", "--requests", "24", "--fail", "two@0s..10s"]));
}

#[test]
fn the_backup_steps_in() {
    let fails = ["--fail", "one@1s..4s", "--fail", "two@1s..4s", "--fail", "127.0.0.1:9003@1s..4s"];
    insta::assert_snapshot!(page(&[&["shop/weighted", "--requests", "15"][..], &fails].concat()));
}

#[test]
fn a_timeout_keeps_its_request_waiting() {
    insta::assert_snapshot!(page(&["shop/weighted", "--requests", "4", "--fail", "one@0s..2s=timeout"]));
}

#[test]
fn least_conn_sees_who_is_slow() {
    let paces = ["--interval", "100ms", "--duration", "150ms", "--duration", "slow=600ms"];
    insta::assert_snapshot!(page(&[&["shop/busy", "--requests", "8"][..], &paces].concat()));
}

#[test]
fn a_key_of_many_variables() {
    insta::assert_snapshot!(page(&[
        "shop/keyed",
        "--requests",
        "6",
        "--uri",
        "/a//b/../{i}?user=x{i}",
        "--header",
        "X-Team: red",
        "--cookie",
        "sid=s{i}",
        "--client",
        "198.51.100.7,2001:db8::7",
    ]));
}

#[test]
fn a_browser_keeps_its_sticky_cookie() {
    let clients = ["--client", "198.51.100.7,198.51.100.8,198.51.100.9", "--fail", "a@6s..8s"];
    insta::assert_snapshot!(page(&[&["shop/sessions", "--requests", "9"][..], &clients].concat()));
}

#[test]
fn a_seed_replays_a_draw() {
    let drawn = |seed| page(&["shop/drawn", "--requests", "12", "--seed", seed, "--fail", "a@3s..6s=503"]);
    assert_eq!(drawn("7"), drawn("7"));
    assert_ne!(drawn("7"), drawn("8"));
    insta::assert_snapshot!(drawn("7"));
}

#[test]
fn everybody_out_is_a_502() {
    insta::assert_snapshot!(page(&["shop/drawn", "--requests", "3", "--fail", "a", "--fail", "b", "--method", "POST"]));
}

#[test]
fn as_json() {
    insta::assert_snapshot!(page(&["shop/weighted", "--requests", "2", "--fail", "one@0s..1s", "-o", "json"]));
}

#[test]
fn an_unknown_group_is_answered_with_a_suggestion() {
    let (code, text) = refusal(&["shop/wieghted"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("did you mean shop/weighted?"), "{text}");
    let (_, text) = refusal(&["elsewhere/x"]);
    assert!(text.contains("there are shop/busy, shop/drawn, shop/keyed"), "{text}");
}

#[test]
fn colours_are_for_terminals() {
    assert!(!page(&["shop/weighted"]).contains('\x1b'));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for wrong in [
        &["weighted"][..],
        &["shop/weighted", "--fail", "four@1s..2s"],
        &["shop/weighted", "--fail", "one@2s..1s"],
        &["shop/weighted", "--uri", "no-slash"],
        &["shop/weighted", "--header", "nothing"],
        &["shop/weighted", "--cookie", "nothing"],
        &["shop/weighted", "--host", "a\nb"],
        &["shop/weighted", "--requests", "0"],
    ] {
        assert_eq!(refusal(wrong).0, Some(2), "{wrong:?}");
    }
    let (_, text) = refusal(&["shop/weighted", "--fail", "four"]);
    assert!(text.contains("it has one, two, three, spare"), "{text}");
}

/// The second of two paths after one `--config`.
fn about_file(file: &Path) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let service = dir.path().join("service.yaml");
    std::fs::write(&service, "apiVersion: v1\nkind: Service\nmetadata: {name: app}\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    let output = command.args(["explain", "default/g", "--config"]).args([&service, file]).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn problems_of_the_documents_are_exit_code_1() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("bad.yaml");
    let group = "apiVersion: forebay.dev/v1alpha1\nkind: UpstreamGroup\nmetadata: {name: g}\nspec: ";
    std::fs::write(&file, format!("{group}{{}}\n")).unwrap();
    let (code, text) = about_file(&file);
    assert!(code == Some(1) && text.contains("spec.servers"), "{code:?}\n{text}");
    std::fs::write(&file, format!("{group}{{servers: [{{name: a, address: '127.0.0.1:1'}}]}}\n")).unwrap();
    assert_eq!(about_file(&file), (Some(0), String::new()));
}

#[test]
fn a_file_that_cannot_be_read_is_exit_code_2() {
    let (code, text) = about_file(Path::new("nowhere.yaml"));
    assert!(code == Some(2) && text.contains("[FB6001]"), "{code:?}\n{text}");
}

/// What is said of the group `app` of a document with this spec.
fn said_of(spec: &str, args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("group.yaml");
    let group = "apiVersion: forebay.dev/v1alpha1\nkind: UpstreamGroup\nmetadata: {name: app}\nspec:";
    std::fs::write(&path, format!("{group}\n{spec}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    let output = command.args(["explain", "default/app", "--config"]).arg(&path).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_learnt_session_is_forgotten_when_its_time_is_over() {
    let spec = "  servers: [{name: a, address: '127.0.0.1:1'}, {name: b, address: '127.0.0.1:2'}]
  sticky: {learn: {create: [$upstream_cookie_s], lookup: [$cookie_s], timeout: 10s}}
";
    let pinned = |interval| {
        let page = said_of(spec, &["--requests", "3", "--cookie", "s=1", "--interval", interval]);
        page.matches("the session names it").count()
    };
    assert_eq!((pinned("5s"), pinned("60s")), (2, 0));
}

#[test]
fn a_browser_forgets_a_cookie_that_expired() {
    let pinned = |expires: &str, interval| {
        let cookie = format!("  sticky: {{cookie: {{name: s{expires}}}}}\n");
        let spec =
            format!("  servers: [{{name: a, address: '127.0.0.1:1'}}, {{name: b, address: '127.0.0.1:2'}}]\n{cookie}");
        said_of(&spec, &["--requests", "3", "--interval", interval]).matches("the session names it").count()
    };
    // Each response begins its time anew.
    for (interval, kept) in [("9s", 2), ("10s", 0), ("60s", 0)] {
        assert_eq!(pinned(", expires: 10s", interval), kept, "{interval}");
    }
    assert_eq!((pinned("", "24h"), pinned(", expires: max", "24h")), (2, 2));
}

#[test]
fn a_host_is_what_the_data_plane_makes_of_it() {
    let spec = "  method: {type: Hash, hash: {key: $host}}
  servers: [{name: a, address: '127.0.0.1:1'}, {name: b, address: '127.0.0.1:2'}]
";
    for (given, host) in [("[::1]:80", "[::1]"), ("Shop.Example.:8080", "shop.example")] {
        let page = said_of(spec, &["--requests", "1", "--host", given]);
        assert!(page.contains(&format!("hash of {host}\n")), "{given}: {page}");
    }
}

/// A server that is down keeps its share of the numbers: nginx asks for the next one some twenty times.
#[test]
fn a_hash_that_misses_too_often_is_said_to_be_given_up() {
    let spec = "  method: {type: Hash, hash: {key: $uri}}
  servers:
  - {name: gone, address: '127.0.0.1:1', weight: 65535, down: true}
  - {name: a, address: '127.0.0.1:2'}
  - {name: b, address: '127.0.0.1:3'}
";
    let page = said_of(spec, &["--requests", "2"]);
    assert!(
        page.contains("too many misses, weight 1 against 1, first of equals") && !page.contains("hash of"),
        "{page}"
    );
}

#[test]
fn endpoints_are_chosen_for_a_zone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zones.yaml");
    let endpoint = |ip: &str, zone: &str| format!("{{addresses: [{ip}], hints: {{forZones: [{{name: {zone}}}]}}}}");
    let text = format!(
        "apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {{name: zoned}}
spec: {{servers: [{{name: app, service: {{name: app, port: 80}}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: app}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: app, labels: {{kubernetes.io/service-name: app}}}}
addressType: IPv4
ports: [{{port: 8080}}]
endpoints: [{}, {}]
",
        endpoint("10.0.0.1", "a"),
        endpoint("10.0.0.2", "b")
    );
    std::fs::write(&path, text).unwrap();
    let picked = |flags: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_forebay"))
            .args(["explain", "default/zoned", "--requests", "4", "-o", "json", "--config"])
            .arg(&path)
            .args(flags)
            .output()
            .expect("the binary runs");
        let page = String::from_utf8(output.stdout).expect("text");
        ["10.0.0.1:8080", "10.0.0.2:8080"].map(|address| page.contains(address))
    };
    assert_eq!(picked(&[]), [true, true]);
    assert_eq!(picked(&["--zone", "b", "--ingress-class", "forebay"]), [false, true]);
}

/// Without its addresses the picture is another: that must not be silent.
#[test]
fn a_name_that_is_not_looked_up_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("group.yaml");
    let group = "apiVersion: forebay.dev/v1alpha1\nkind: UpstreamGroup\nmetadata: {name: app}\n\
                 spec: {servers: [{name: a, address: '127.0.0.1:1'}, {name: b, dns: {name: b.example, port: 80}}]}\n";
    std::fs::write(&file, group).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["explain", "default/app", "--requests", "2", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("[FB4014]") && said.contains("b.example"), "{said}");
}
