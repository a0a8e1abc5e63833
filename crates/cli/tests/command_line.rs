//! What the command line refuses, and in which words: the usage, and exit code 2.

use std::process::Command;

/// What is said of a command line with these variables in the environment, and its exit code.
fn said(args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    let folder = tempfile::tempdir().unwrap();
    command.args(args).current_dir(&folder).env_clear().envs(variables.iter().copied());
    let output = command.env("HOME", folder.path()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn refused(args: &[&str], variables: &[(&str, &str)], words: &str) {
    let (code, said) = said(args, variables);
    assert!(code == Some(2) && said.contains(words), "{args:?} {variables:?}: {code:?}\n{said}");
}

#[test]
fn values_that_make_no_sense() {
    for (flag, value, words) in [
        ("--client-max-header-size", "0", "0 is less than 1Ki"),
        ("--client-max-header-size", "1023", "1023 is less than 1Ki"),
        ("--upstream-max-header-size", "0", "0 is less than 1Ki"),
        ("--client-max-headers", "0", "0 is not in 1..=65535"),
        ("--workers", "0", "is not a number from 1 to 1024"),
        ("--workers", "auto", "leave it out"),
        ("--zone", "", "\"\" is not a zone"),
        ("--ingress-class", "", "a value is required for '--ingress-class <NAME>'"),
    ] {
        refused(&["run", "--config", "x", flag, value], &[], words);
    }
}

#[test]
fn a_variable_that_cannot_be_used_is_named() {
    let line = ["run", "--config", "x"];
    for (variable, value) in
        [("FOREBAY_HTTPS", "nowhere"), ("FOREBAY_WORKERS", "0"), ("FOREBAY_RESOLVER_IPV6", "maybe")]
    {
        refused(&line, &[(variable, value)], &format!("The value is that of the environment variable {variable}."));
    }
    let (_, said) = said(&["run", "--config", "x", "--workers", "0"], &[("FOREBAY_WORKERS", "4")]);
    assert!(!said.contains("environment"), "it was typed: {said}");
}

/// The files are read, and are not there: the command line was understood.
#[test]
fn a_variable_that_says_nothing_is_unset() {
    let empty =
        ["HTTP", "HTTPS", "WORKERS", "ADMIN", "DRAIN_TIMEOUT", "RESOLVER", "ACCESS_LOG", "CLIENT_MAX_HEADERS", "ZONE"];
    let empty: Vec<_> = empty.iter().map(|name| format!("FOREBAY_{name}")).collect();
    let variables: Vec<_> = empty.iter().map(|name| (name.as_str(), "")).collect();
    let (code, said) = said(&["run", "--config", "nowhere.yaml"], &variables);
    assert!(code == Some(1) && said.contains("[FB6001]"), "{code:?}\n{said}");
}

#[test]
fn flags_that_would_do_nothing() {
    for (flag, value) in [
        ("--context", "y"),
        ("--watch-namespace", "y"),
        ("--namespace", "y"),
        ("--identity", "y"),
        ("--lease", "y"),
        ("--publish-service", "y/z"),
        ("--publish-address", "203.0.113.7"),
        ("--status-interval", "1s"),
    ] {
        let words = format!("{flag} does nothing without --in-cluster or --kubeconfig");
        refused(&["run", "--config", "x", flag, value], &[], &words);
    }
    for flag in ["--kubeconfig", "--context", "--namespace"] {
        refused(&["check", "x.yaml", flag, "y"], &[], &format!("{flag} does nothing without --cluster"));
    }
    let proxy = ["proxy", "--controller", "https://localhost:1", "--controller-ca", "x", "--token", "x"];
    refused(&[&proxy[..], &["--boot-wait", "1s"]].concat(), &[], "--boot-wait does nothing without --state-dir");
    let words = "'--in-cluster' cannot be used with '--context <NAME>'";
    refused(&["run", "--in-cluster", "--context", "y"], &[], words);
}

/// The files are read, and are not there: the command line was understood.
#[test]
fn a_variable_may_be_there_for_another_command() {
    for (variable, value) in [
        ("FOREBAY_KUBECONFIG", "y"),
        ("FOREBAY_IN_CLUSTER", "true"),
        ("FOREBAY_NAMESPACE", "y"),
        ("FOREBAY_PUBLISH_ADDRESS", "203.0.113.7"),
    ] {
        for args in [&["run", "--config", "nowhere.yaml"][..], &["run", "--config=nowhere.yaml"]] {
            let (code, said) = said(args, &[(variable, value)]);
            assert!(code == Some(1) && said.contains("[FB6001]"), "{variable}: {code:?}\n{said}");
        }
        let (code, said) = said(&["check", "nowhere.yaml"], &[(variable, value)]);
        assert!(code == Some(2) && said.is_empty(), "{variable}: {code:?}\n{said}");
    }
    let (code, words) = said(&["run"], &[("FOREBAY_CONFIG", "nowhere.yaml"), ("FOREBAY_IN_CLUSTER", "false")]);
    assert!(code == Some(1) && words.contains("[FB6001]"), "{code:?}\n{words}");
    let (code, said) = said(&["run", "--in-cluster"], &[("FOREBAY_CONFIG", "x"), ("FOREBAY_KUBECONFIG", "y")]);
    assert!(code == Some(1) && said.contains("this is no pod: "), "{code:?}\n{said}");
    refused(&["run"], &[("FOREBAY_CONFIG", "x"), ("FOREBAY_KUBECONFIG", "y")], "cannot be used with");
}

#[test]
fn in_a_cluster_means_in_a_pod() {
    let (code, said) = said(&["run", "--in-cluster"], &[]);
    assert!(code == Some(1) && said.contains("this is no pod: "), "{code:?}\n{said}");
}
