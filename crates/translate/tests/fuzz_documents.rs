//! Whatever stands in a file, reading it ends, panics nowhere and points only at places that exist. The seeds are the files of
//! `tests/documents/`; what once failed is kept beside this file. `PROPTEST_CASES=100000` makes a longer run of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use testkit::edits;
use translate::Documents;
use translate::document::codes;

#[path = "common/holds.rs"]
mod holds;

use holds::whatever_stands_in;

static SEEDS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| edits::seeds([Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents")]));

/// Pieces of YAML that mean something to a parser.
const PIECES: [&str; 28] = [
    "---\n",
    "...\n",
    ": ",
    "- ",
    "? ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "<<: *a\n",
    "!!str ",
    "!x ",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "#",
    "%YAML 1.2\n",
    "\t",
    "\n",
    "\u{feff}",
    "\u{0}",
    "kind: List\nitems:\n",
    "99999999999999999999",
    "~",
];

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in edits::noise()) {
        whatever_stands_in(&bytes);
    }

    #[test]
    fn any_pieces(text in edits::of_pieces(&PIECES)) {
        whatever_stands_in(text.as_bytes());
    }

    #[test]
    fn documents_with_faults(bytes in edits::with_faults(&SEEDS, &PIECES)) {
        whatever_stands_in(&bytes);
    }
}

#[test]
fn a_terminal_is_told_nothing() {
    whatever_stands_in(b"apiVersion: v1\nkind: Secret\nmetadata: {name: \"\\e[31m\", namespace: \"\\e\"}\n\"\\e[2J\": 1\n\"\\e[2J\": 2\n");
    whatever_stands_in(b"apiVersion: \"\\e[31m\"\nkind: \"\\e[31m\"\n");
}

/// Whether it is said that something is nested too deep, or expands to too much.
fn is_too_big(documents: &Documents) -> bool {
    documents.diagnostics.iter().any(|said| said.code == codes::TOO_BIG)
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        for (depth, code) in [
            (98, None),
            (101, Some(codes::TOO_BIG)),
            (254, Some(codes::TOO_BIG)),
            // Deeper than the parser goes.
            (300, Some(codes::SYNTAX)),
            (20_000, Some(codes::SYNTAX)),
        ] {
            let text = format!("apiVersion: v1\nkind: Service\nx:\n  {}1{}\n", open.repeat(depth), close.repeat(depth));
            let documents = whatever_stands_in(text.as_bytes());
            let refused = documents.diagnostics.iter().map(|said| said.code);
            let mut refused = refused.filter(|code| [codes::TOO_BIG, codes::SYNTAX].contains(code));
            assert_eq!(refused.next_back(), code, "{depth} times {open:?}");
        }
    }
}

#[test]
fn a_hundred_thousand_keys_are_read() {
    let mut text = String::from("apiVersion: v1\nkind: Secret\nmetadata: {name: many}\ndata:\n");
    for key in 0..100_000 {
        writeln!(text, "  k{key}: YQ==").unwrap();
    }
    let documents = whatever_stands_in(text.as_bytes());
    let secret = documents.objects.secrets.values().next().expect("one can be read");
    assert_eq!(secret.data.as_ref().map(BTreeMap::len), Some(100_000));
}

#[test]
fn a_chain_of_aliases_is_too_deep() {
    let chain = |links: usize| {
        let mut text = String::from("apiVersion: v1\nkind: Secret\nmetadata: {name: chain}\na0: &a0 {x: 1}\n");
        for link in 1..links {
            writeln!(text, "a{link}: &a{link} {{x: *a{}}}", link - 1).unwrap();
        }
        is_too_big(&whatever_stands_in(text.as_bytes()))
    };
    assert_eq!([90, 110, 2000].map(chain), [false, true, true]);
}
