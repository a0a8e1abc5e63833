//! `forebay check` and `forebay crd` as a user calls them: exit codes, both outputs, standard input.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const GOOD: &str = "\
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: app}
spec:
  servers: [{name: a, address: 127.0.0.1:8081}]
";
const DANGLING: &str = "\
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: app}
spec:
  servers: [{name: a, service: {name: nowhere, port: 80}}]
";
const BAD: &str = "\
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: app}
spec:
  servers: [{name: a, address: 127.0.0.1:8081, wieght: 2}]
  timeouts: {connect: soon}
";

fn forebay(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may refuse its arguments before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn what_is_good_exits_0() {
    let output = forebay(&["check", "-"], GOOD);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "no problems in 1 file\n"));
}

#[test]
fn an_error_exits_1_and_every_problem_is_shown() {
    let output = forebay(&["check", "-"], BAD);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    for part in [
        "error[FB2001]: UpstreamGroup default/app: spec.servers[0].wieght: unknown field \"spec.servers[0].wieght\"",
        " --> (standard input):5:48",
        "  = hint: did you mean \"weight\"?",
        "error[FB2006]: UpstreamGroup default/app: spec.timeouts.connect: Invalid value: \"soon\"",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.ends_with("\n2 errors in 1 file\n"), "{text}");
}

#[test]
fn a_warning_exits_1() {
    let output = forebay(&["check", "-"], DANGLING);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).ends_with("\n1 warning in 1 file\n"), "{}", stdout(&output));
}

#[test]
fn what_cannot_be_read_or_understood_exits_2() {
    assert_eq!(forebay(&["check", "/nowhere/at/all.yaml"], "").status.code(), Some(2));
    assert_eq!(forebay(&["check"], "").status.code(), Some(2));
    assert_eq!(forebay(&["check", "--wrong", "-"], "").status.code(), Some(2));
}

#[test]
fn files_and_directories_are_checked_together() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), GOOD).unwrap();
    fs::write(folder.path().join("b.yaml"), BAD.replace("name: app", "name: other")).unwrap();
    let output = forebay(&["check", folder.path().to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).ends_with("\n2 errors in 2 files\n"), "{}", stdout(&output));
}

#[test]
fn json_is_what_the_documentation_says() {
    let output = forebay(&["check", "-o", "json", "-"], BAD);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["version"], &report["files"], &report["errors"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!((&report["warnings"], &report["notes"]), (&0.into(), &0.into()));
    let first = &report["diagnostics"][0];
    assert_eq!((&first["code"], &first["severity"]), (&"FB2001".into(), &"error".into()));
    assert_eq!(first["object"]["name"], "app");
    assert_eq!((&first["location"]["line"], &first["location"]["column"]), (&5.into(), &48.into()));
}

#[test]
fn crd_prints_what_is_committed() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/crd/forebay.dev_upstreamgroups.yaml");
    let output = forebay(&["crd"], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output) == fs::read_to_string(committed).unwrap());
}
