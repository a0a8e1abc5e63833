//! The benchmark's command: it reads its arguments and says what it would measure. Measuring itself is nobody's test.

use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Option<Output> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/run");
    match Command::new("python3").arg(script).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "python3: {error}");
            eprintln!("SKIPPED: python3 is needed: {error}");
            None
        }
    }
}

#[test]
fn it_says_what_it_would_measure() {
    let Some(output) =
        bench(&["--check", "--without", "haproxy", "--forebay", "mine=/nowhere", "--workloads", "get1k,close"])
    else {
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "nginx, mine: cpu, instructions, syscalls, memory of get1k, close");
}

#[test]
fn it_names_the_workloads_it_knows() {
    let Some(output) = bench(&["--check", "--workloads", "get2k"]) else { return };
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no workload 'get2k'; there are get1k, get64k, get1m, post16k, close, tls, handshake, http2"),
        "{said}"
    );
}
