//! Whole directories, as a user has them, to configurations and what is said: read by the front end, so places are right too.
//! What a cluster's controller keeps of the same objects comes to the same.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use translate::document::{SourceFile, read};
use translate::{Documents, Options, translate_documents};

#[path = "common/trimmed.rs"]
mod trimmed;

use trimmed::{assert_same, trimmed};

/// Within the life of the certificates in these directories.
const NOW: Timestamp = Timestamp::constant(1_893_456_000, 0);

/// The configuration as JSON and every diagnostic as it is printed.
fn translated(directory: &str, options: &Options) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(directory);
    let mut names: Vec<_> =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let file = |name: &String| SourceFile {
        name: format!("{directory}/{name}").into(),
        text: fs::read_to_string(path.join(name)).unwrap(),
    };
    let documents = read(&names.iter().map(file).collect::<Vec<_>>());
    let translation = translate_documents(&documents, options);
    let trimmed = Documents { objects: trimmed(&documents.objects), ..documents.clone() };
    assert_same(&translation, &translate_documents(&trimmed, options));
    let mut text = serde_json::to_string_pretty(&translation.config).unwrap();
    for diagnostic in documents.diagnostics.iter().chain(&translation.diagnostics) {
        write!(text, "\n\n{diagnostic}").unwrap();
    }
    text
}

#[test]
fn a_shop_with_a_standby_and_sticky_sessions() {
    insta::assert_snapshot!(translated("shop", &Options::for_files(NOW)));
}

#[test]
fn a_canary_by_shared_weights() {
    insta::assert_snapshot!(translated("canary", &Options::for_files(NOW)));
}

#[test]
fn a_cluster_that_another_controller_serves() {
    insta::assert_snapshot!("nobody_asked", translated("migration", &Options::for_files(NOW)));
    let asked = Options { ingress_class: Some("nginx".into()), ..Options::for_files(NOW) };
    insta::assert_snapshot!("asked_for_by_class", translated("migration", &asked));
}

#[test]
fn everything_wrong_is_said_at_once_and_once() {
    insta::assert_snapshot!(translated("everything", &Options::for_files(NOW)));
}

#[test]
fn mistakes_are_said_where_they_stand() {
    insta::assert_snapshot!(translated("mistakes", &Options::for_files(NOW)));
}
