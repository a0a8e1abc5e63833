//! `docs/diagnostics.md` explains every code there is, once, and none that there is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The text of every source file below `folder`.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_code_is_explained() {
    let mut text = String::new();
    for package in fs::read_dir(root().join("crates")).unwrap() {
        sources(&package.unwrap().path().join("src"), &mut text);
    }
    let codes = |pattern: &str, text: &str| -> Vec<String> {
        Regex::new(pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
    };
    let used: BTreeSet<_> = codes(r#": Code = "(FB\d{4})""#, &text).into_iter().collect();
    let rows = codes(r"(?m)^\| (FB\d{4}) \|", &fs::read_to_string(root().join("docs/diagnostics.md")).unwrap());
    let explained: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), explained.len(), "a code is explained twice: {rows:?}");
    assert_eq!(used.difference(&explained).collect::<Vec<_>>(), Vec::<&String>::new(), "not explained");
    assert_eq!(explained.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "explained, not used");
}

#[test]
fn a_code_means_one_thing() {
    let mut text = String::new();
    sources(&root().join("crates/translate/src"), &mut text);
    let pattern = Regex::new(r#"pub const \w+: Code = "(FB\d{4})""#).unwrap();
    let mut codes: Vec<_> = pattern.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    let all = codes.len();
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), all);
}
