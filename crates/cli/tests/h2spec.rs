//! Every case of h2spec, the conformance suite of RFC 7540 and RFC 7541, the strict ones too, put to a TLS listener. None is
//! excepted.

mod tls_rig;

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use tls_rig::{TlsRig, rules};

/// `FOREBAY_H2SPEC`, or the one in `PATH`.
fn command() -> Command {
    Command::new(std::env::var_os("FOREBAY_H2SPEC").map_or_else(|| PathBuf::from("h2spec"), PathBuf::from))
}

#[tokio::test]
async fn every_case_passes() {
    if let Err(error) = command().arg("--version").output() {
        let missing =
            format!("no h2spec ({error}): GOBIN=DIR go -C tests/tools install tool, and FOREBAY_H2SPEC=DIR/h2spec");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("SKIPPED: {missing}");
        return;
    }
    let rig = TlsRig::start(&[]).await;
    // It asks for no host: an address is none (RFC 6066 section 3).
    let default = rig.authority.issue(&["127.0.0.1"]).secret("any");
    rig.write("any.yaml", &[rules("any", &[None], &json!([{"secretName": "any"}])), default]).await;

    let mut h2spec = command();
    h2spec.args(["--strict", "--tls", "--insecure", "--host", "127.0.0.1", "--timeout", "20", "--path", "/bytes/100"]);
    h2spec.args(["--port", &rig.forebay.https(0).port().to_string()]);
    let output = tokio::task::spawn_blocking(move || h2spec.output().expect("h2spec")).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("146 tests, 146 passed, 0 skipped, 0 failed"), "{said}");
}
