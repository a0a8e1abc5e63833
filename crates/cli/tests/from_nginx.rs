//! `docs/from-nginx.md` is complete: every directive of nginx's two modules and every field of the API is in it.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

/// The directives that nginx 1.31.3 takes in `upstream {}`, the commercial ones its manual documents, and the parameters of
/// `server`.
const UPSTREAM: &str = "upstream server weight max_fails fail_timeout max_conns backup down drain route slow_start resolve \
    service id zone state hash ip_hash least_conn least_time random keepalive keepalive_requests keepalive_time \
    keepalive_timeout sticky queue ntlm health_check match resolver resolver_timeout";

/// The directives of its proxy module.
const PROXY: &str = "bind buffer_size buffering buffers busy_buffers_size cache cache_background_update cache_bypass \
    cache_convert_head cache_key cache_lock cache_lock_age cache_lock_timeout cache_max_range_offset cache_methods \
    cache_min_uses cache_path cache_purge cache_revalidate cache_use_stale cache_valid connect_timeout cookie_domain \
    cookie_flags cookie_path force_ranges headers_hash_bucket_size headers_hash_max_size hide_header http_version \
    ignore_client_abort ignore_headers intercept_errors limit_rate max_temp_file_size method next_upstream \
    next_upstream_timeout next_upstream_tries no_cache pass pass_header pass_request_body pass_request_headers \
    pass_trailers read_timeout redirect request_buffering send_lowat send_timeout set_body set_header socket_keepalive \
    socket_rcvbuf socket_sndbuf ssl_certificate ssl_certificate_cache ssl_certificate_key ssl_ciphers ssl_conf_command \
    ssl_crl ssl_name ssl_password_file ssl_protocols ssl_server_name ssl_session_reuse ssl_trusted_certificate ssl_verify \
    ssl_verify_depth store store_access temp_file_write_size temp_path";

/// What an administrator has created already.
const CLASS: &str = "\
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: forebay}
spec: {controller: forebay.dev/ingress-controller}
";

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/from-nginx.md");
    fs::read_to_string(path).expect("docs/from-nginx.md")
}

/// The words within backquotes, with the ends of directives and parameters taken off.
fn code_words(document: &str) -> BTreeSet<&str> {
    let spans = document.split('`').skip(1).step_by(2);
    spans.flat_map(|span| span.split(|c: char| c.is_whitespace() || "=;|(){}".contains(c))).collect()
}

#[test]
fn every_directive_is_mentioned() {
    let document = document();
    let words = code_words(&document);
    let proxy: Vec<String> = PROXY.split_whitespace().map(|name| format!("proxy_{name}")).collect();
    let missing: Vec<&str> = (UPSTREAM.split_whitespace().chain(proxy.iter().map(String::as_str)))
        .filter(|directive| !words.contains(directive))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_field_is_mentioned() {
    let document = document();
    let words = code_words(&document);
    let mut fields = Vec::new();
    leaves(&api::crd_schema()["properties"]["spec"], "", &mut fields);
    assert!(fields.len() > 50, "{fields:?}");
    let missing: Vec<&String> =
        fields.iter().filter(|field| !words.iter().any(|word| word.trim_end_matches(':') == *field)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn every_flag_exists() {
    let document = document();
    let help =
        Command::new(env!("CARGO_BIN_EXE_forebay")).args(["run", "--help"]).output().expect("forebay run --help");
    let help = String::from_utf8_lossy(&help.stdout);
    let words = code_words(&document);
    let flags: Vec<&&str> = words.iter().filter(|word| word.starts_with("--") && **word != "---").collect();
    assert!(flags.len() > 5, "{flags:?}");
    for flag in flags {
        assert!(help.split([' ', ',', '\n']).any(|word| word == *flag), "{flag} is not in\n{help}");
    }
}

#[test]
fn its_documents_are_clean() {
    let document = document();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let blocks: Vec<&str> = document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for (n, block) in blocks.iter().enumerate() {
        let path = dir.path().join(format!("{n}.yaml"));
        fs::write(&path, format!("{block}{CLASS}")).expect("a file in a temporary directory");
        let check =
            Command::new(env!("CARGO_BIN_EXE_forebay")).arg("check").arg(&path).output().expect("forebay check");
        let said = String::from_utf8_lossy(&check.stdout) + String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "{said}");
    }
}

/// The paths of the fields that hold values, as a person writes them: `servers[].weight`.
fn leaves(schema: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            leaves(property, &path, found);
        }
    } else if schema["items"]["properties"].is_object() {
        leaves(&schema["items"], &format!("{path}[]"), found);
    } else {
        found.push(path.to_owned());
    }
}
