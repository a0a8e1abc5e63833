//! The ledger of intended differences names tests; this checks that they exist, wherever they are in the repository.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// Keys of an entry, in the order every entry has them.
const KEYS: [&str; 5] = ["id", "nginx", "forebay", "reason", "test"];

#[test]
fn every_difference_is_pinned_by_a_test() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let ledger = fs::read_to_string(root.join("specs/nginx/ledger.toml")).expect("the ledger");
    let mut tests = HashSet::new();
    for directory in ["crates", "xtask"] {
        collect_tests(&root.join(directory), &mut tests);
    }
    let mut ids = HashSet::new();
    let entries: Vec<_> = ledger.split("[[difference]]").skip(1).collect();
    assert!(!entries.is_empty(), "an empty ledger");
    for entry in entries {
        let values: Vec<_> = entry.lines().filter_map(|line| line.split_once(" = ")).collect();
        let keys: Vec<_> = values.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, KEYS, "the keys of {entry}");
        let value = |at: usize| values[at].1.trim().trim_matches('"');
        assert!((0..KEYS.len()).all(|at| !value(at).is_empty()), "an empty value in {entry}");
        assert!(ids.insert(value(0).to_owned()), "{} is there twice", value(0));
        // One name, or a list of them.
        let named = value(4).trim_matches(['[', ']']).split(", ").map(|name| name.trim_matches('"'));
        for name in named {
            assert!(tests.contains(name), "{}: there is no test {name:?}", value(0));
        }
    }
}

/// Names of the functions under `#[test]` (or another test attribute), by text.
fn collect_tests(directory: &Path, tests: &mut HashSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect_tests(&path, tests);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let mut after_attribute = false;
            for line in text.lines().map(str::trim_start) {
                after_attribute |= line.starts_with("#[") && line.contains("test");
                let name =
                    line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
                if let Some(name) = name {
                    if after_attribute {
                        tests.insert(name.to_owned());
                    }
                    after_attribute = false;
                }
            }
        }
    }
}
