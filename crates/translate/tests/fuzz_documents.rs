//! Whatever stands in a file, reading it ends, panics nowhere and points only at places that exist. The seeds are the files of
//! `tests/documents/`; what once failed is kept beside this file. `PROPTEST_CASES=100000` makes a longer run of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

#[path = "common/holds.rs"]
mod holds;

use holds::whatever_stands_in;

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
});

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

#[derive(Clone, Debug)]
enum Edit {
    Delete { at: usize, length: usize },
    Insert { at: usize, piece: usize },
    Repeat { at: usize, length: usize, times: usize },
    Byte { at: usize, byte: u8 },
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<usize>(), 1..40usize).prop_map(|(at, length)| Edit::Delete { at, length }),
        (any::<usize>(), 0..PIECES.len()).prop_map(|(at, piece)| Edit::Insert { at, piece }),
        (any::<usize>(), 1..60usize, 1..20usize).prop_map(|(at, length, times)| Edit::Repeat { at, length, times }),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte { at, byte }),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let place = |at: usize| at % (bytes.len() + 1);
    match *edit {
        Edit::Delete { at, length } => {
            let start = place(at);
            bytes.drain(start..(start + length).min(bytes.len()));
        }
        Edit::Insert { at, piece } => {
            let start = place(at);
            bytes.splice(start..start, PIECES[piece].bytes());
        }
        Edit::Repeat { at, length, times } => {
            let start = place(at);
            let piece = bytes[start..(start + length).min(bytes.len())].repeat(times);
            bytes.splice(start..start, piece);
        }
        Edit::Byte { at, byte } => {
            let start = place(at);
            if let Some(target) = bytes.get_mut(start) {
                *target = byte;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        whatever_stands_in(&bytes);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(0..PIECES.len(), 0..80)) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        whatever_stands_in(text.as_bytes());
    }

    #[test]
    fn documents_with_faults(seed in any::<usize>(), edits in prop::collection::vec(edit(), 1..6)) {
        let mut bytes = SEEDS[seed % SEEDS.len()].clone();
        for edit in &edits {
            apply(&mut bytes, edit);
        }
        whatever_stands_in(&bytes);
    }
}

#[test]
fn a_terminal_is_told_nothing() {
    whatever_stands_in(b"apiVersion: v1\nkind: Secret\nmetadata: {name: \"\\e[31m\", namespace: \"\\e\"}\n\"\\e[2J\": 1\n\"\\e[2J\": 2\n");
    whatever_stands_in(b"apiVersion: \"\\e[31m\"\nkind: \"\\e[31m\"\n");
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        for depth in [99, 101, 254, 300, 20_000] {
            let text = format!("apiVersion: v1\nkind: Service\nx:\n  {}1{}\n", open.repeat(depth), close.repeat(depth));
            whatever_stands_in(text.as_bytes());
        }
    }
}

#[test]
fn many_keys_are_read_in_linear_time() {
    let mut text = String::from("apiVersion: v1\nkind: Secret\nmetadata: {name: many}\ndata:\n");
    for key in 0..100_000 {
        writeln!(text, "  k{key}: YQ==").unwrap();
    }
    whatever_stands_in(text.as_bytes());
}

#[test]
fn a_chain_of_aliases_stays_shallow_and_small() {
    let mut text = String::from("apiVersion: v1\nkind: Secret\nmetadata: {name: chain}\na0: &a0 {x: 1}\n");
    for link in 1..2000 {
        writeln!(text, "a{link}: &a{link} {{x: *a{}}}", link - 1).unwrap();
    }
    whatever_stands_in(text.as_bytes());
}
