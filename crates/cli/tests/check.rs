//! `forebay check`, `forebay crd` and `forebay version` as a user calls them: exit codes, both outputs, standard input.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
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
fn a_cluster_that_cannot_be_reached_exits_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    // Nobody listens on it.
    let port = testkit::Port::free().unwrap();
    let address = port.address();
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    });
    fs::write(&path, config.to_string()).unwrap();
    let output = forebay(&["check", "--cluster", "--kubeconfig", path.to_str().unwrap()], "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""), "{said}");
    assert!(said.contains("cannot list UpstreamGroup everywhere: the API server cannot be reached: "), "{said}");
    let output = forebay(&["check", "--cluster", "--kubeconfig", "/nowhere"], "");
    assert_eq!(output.status.code(), Some(2));
    // What is asked of a cluster alone.
    assert_eq!(forebay(&["check", "--namespace", "shop", "-"], GOOD).status.code(), Some(2));
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

#[test]
fn a_broken_rule_hides_nothing() {
    let input = "\
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: app}
spec:
  method: {type: Hash, hash: {key: $request_ury}}
  servers:
  - {name: a, address: 127.0.0.1:8081}
  - {name: b, address: 127.0.0.1:8082, backup: true}
  - {name: c, dns: {name: c.example, port: 80}}
  protocol: H2
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}}
spec: {defaultBackend: {resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: app}}}
";
    let output = forebay(&["check", "-o", "json", "-"], input);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said: Vec<_> = report["diagnostics"].as_array().unwrap().iter().map(|d| format!("{}", d["code"])).collect();
    let expected = ["FB3001", "FB3101", "FB3102", "FB4004", "FB4014", "FB5011"].map(|code| format!("{code:?}"));
    assert_eq!(said, expected, "{report:#}");
    let message = report["diagnostics"][3]["message"].as_str().unwrap();
    assert_eq!(message, "UpstreamGroup default/app is refused");
}

#[test]
fn a_slip_in_a_kind_is_an_error_and_a_foreign_kind_a_note() {
    let ingres = "apiVersion: networking.k8s.io/v1\nkind: Ingres\nmetadata: {name: web}\n---\n";
    let output = forebay(&["check", "-"], &format!("{ingres}{GOOD}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("  = hint: did you mean \"Ingress\"?\n"), "{}", stdout(&output));
    let policy = ingres.replace("Ingres", "NetworkPolicy");
    assert_eq!(forebay(&["check", "-"], &format!("{policy}{GOOD}")).status.code(), Some(0));
}

#[test]
fn no_document_at_all_is_an_error() {
    let empty = tempfile::tempdir().unwrap();
    for (arguments, input) in [(["check", "-"], "# nothing yet\n"), (["check", empty.path().to_str().unwrap()], "")] {
        let output = forebay(&arguments, input);
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        assert!(stdout(&output).contains("error[FB6004]: "), "{}", stdout(&output));
    }
}

/// YAML 1.1, which kubectl reads, takes `Off` for a boolean.
#[test]
fn off_without_quotes_is_explained() {
    let input = GOOD.to_owned() + "  nextUpstream: {conditions: [Off]}\n";
    let output = forebay(&["check", "-"], &input);
    assert_eq!(output.status.code(), Some(1));
    let hint = "  = hint: without quotes, YAML reads Off as false; write \"Off\"\n";
    assert!(stdout(&output).contains(hint), "{}", stdout(&output));
    assert_eq!(forebay(&["check", "-"], &input.replace("Off", "\"Off\"")).status.code(), Some(0));
}

#[test]
fn the_zone_is_a_flag_and_in_the_environment() {
    let nowhere = forebay(&["run", "--zone", "eu 1a", "--config", "-"], "");
    assert_eq!(nowhere.status.code(), Some(2));
    for command in ["run", "proxy", "explain"] {
        assert!(stdout(&forebay(&[command, "--help"], "")).contains("[env: FOREBAY_ZONE=]"), "{command}");
    }
}

#[test]
fn the_version_names_the_nginx_it_mirrors() {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("forebay {version}\nupstream behaviour of nginx 1.31.3\n");
    for arguments in [["version"].as_slice(), &["--version"]] {
        let output = forebay(arguments, "");
        assert_eq!((output.status.code(), stdout(&output)), (Some(0), text.as_str()), "{arguments:?}");
    }
    assert_eq!(stdout(&forebay(&["-V"], "")), format!("forebay {version}\n"));
    let json: Value = serde_json::from_slice(&forebay(&["version", "-o", "json"], "").stdout).unwrap();
    assert_eq!(json, serde_json::json!({"version": version, "nginx": "1.31.3"}));
}

/// What `| head -1` does: the reader takes a line and leaves.
#[test]
fn a_reader_that_leaves_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.yaml");
    fs::write(&file, GOOD.replace("127.0.0.1:8081", "unix:/nowhere/at/all")).unwrap();
    let file = file.to_str().unwrap();
    for arguments in [
        ["crd"].as_slice(),
        &["version"],
        &["check", "-"],
        &["explain", "default/app", "--config", file],
        &["demo", "--http", "127.0.0.1:0", "--config", file],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_forebay"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{arguments:?}");
        let output = child.wait_with_output().unwrap();
        let expected = i32::from(arguments[0] == "check");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*errors), (Some(expected), ""), "{arguments:?}");
    }
}

/// The codes of what `check` says, with the name of the object each is said of.
fn said(input: &str) -> Vec<(String, String)> {
    let output = forebay(&["check", "-o", "json", "-"], input);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let diagnostics = report["diagnostics"].as_array().unwrap().iter();
    diagnostics.map(|d| (text(&d["code"]), text(&d["field"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(code, field)| ((*code).to_owned(), (*field).to_owned())).collect()
}

#[test]
fn a_wrong_type_and_a_missing_field_hide_nothing() {
    let input = "\
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: app}
spec:
  method: {type: Hash, hash: {key: $request_ury}}
  servers:
  - {name: a, weight: heavy, address: 127.0.0.1:8081}
  - {name: b, service: {port: 80}}
  - {name: c, service: {name: gone, port: 80}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: A_B
    http: {paths: [{path: 7, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}]}
  - http: {paths: [{path: /, backend: {resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: app}}}]}
";
    let expected = [
        ("FB3101", "spec.method.hash.key"),
        ("FB2002", "spec.servers[0].weight"),
        ("FB2003", "spec.servers[1].service.name"),
        ("FB5005", "spec.rules[0].host"),
        ("FB2002", "spec.rules[0].http.paths[0].path"),
        ("FB2003", "spec.rules[1].http.paths[0].pathType"),
        ("FB4001", "spec.servers[2].service.name"),
        ("FB4001", "spec.rules[0].http.paths[0].backend.service.name"),
        ("FB4004", "spec.rules[1].http.paths[0].backend.resource.name"),
    ];
    let said: Vec<_> = said(input).into_iter().filter(|(code, _)| code != "FB3002").collect();
    assert_eq!(said, pairs(&expected));
}

#[test]
fn a_second_object_of_a_name_is_read_for_its_own_problems() {
    let group = |servers: &str| {
        format!(
            "apiVersion: forebay.dev/v1alpha1\nkind: UpstreamGroup\nmetadata: {{name: app}}\nspec: {{servers: [{servers}]}}\n"
        )
    };
    let good = group("{name: a, address: 127.0.0.1:80}");
    let second = group("{name: a, service: {name: gone, port: 80}}");
    let third = group("{name: a, service: {name: lost, port: 80}, weight: x}");
    let expected = [
        ("FB2010", "metadata.name"),
        ("FB2010", "metadata.name"),
        ("FB2002", "spec.servers[0].weight"),
        ("FB4001", "spec.servers[0].service.name"),
        ("FB4001", "spec.servers[0].service.name"),
    ];
    let said: Vec<_> =
        said(&[good, second, third].join("---\n")).into_iter().filter(|(code, _)| code != "FB3002").collect();
    assert_eq!(said, pairs(&expected));
}

/// An answer that nobody can read is none.
#[test]
fn what_cannot_be_written_exits_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.yaml");
    fs::write(&path, GOOD).unwrap();
    let path = path.to_str().unwrap();
    for args in [
        &["check", path][..],
        &["check", path, "-o", "json"],
        &["explain", "default/app", "--config", path],
        &["crd"],
        &["version"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
        let output = command.args(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = format!("forebay {}: cannot write: ", args[0]);
        assert!(
            output.status.code() == Some(2) && said.starts_with(&expected),
            "{args:?}: {:?}\n{said}",
            output.status
        );
    }
}
