//! Whatever bytes arrive, at either end and in whatever pieces: the machines end, panic nowhere, keep what they may keep and
//! say only lines that the other end reads. The seeds are the files of `corpus/`; `PROPTEST_CASES=100000` makes a longer run.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

mod holds;
#[path = "../support/mod.rs"]
mod support;

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folders = [tests.join("fuzz_frames/corpus"), tests.join("golden/v1")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut paths: Vec<_> = files.collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
});

/// Pieces that mean something to a reader of frames.
const PIECES: [&str; 30] = [
    "\n",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"put\"",
    "\"del\"",
    "\"commit\"",
    "\"seq\"",
    "\"have\"",
    "\"key\"",
    "\"version\"",
    "\"00112233445566778899aabbccddeeff\"",
    "\"group/a/b\"",
    "\"route/*\"",
    "\"cert/a/b\"",
    "\u{0}",
    "\u{7f}",
    "é",
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
        (any::<usize>(), 1..60usize).prop_map(|(at, length)| Edit::Delete { at, length }),
        (any::<usize>(), 0..PIECES.len()).prop_map(|(at, piece)| Edit::Insert { at, piece }),
        (any::<usize>(), 1..80usize, 1..20usize).prop_map(|(at, length, times)| Edit::Repeat { at, length, times }),
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

fn heard(bytes: &[u8], cut: usize) {
    holds::at_controller(bytes, cut);
    holds::at_data_plane(bytes, cut);
    holds::as_last_good(bytes);
    holds::as_report(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in any::<usize>()) {
        heard(&bytes, cut);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(0..PIECES.len(), 0..80), cut in any::<usize>()) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        heard(text.as_bytes(), cut);
    }

    #[test]
    fn frames_with_faults(
        seed in any::<usize>(), edits in prop::collection::vec(edit(), 1..6), cut in any::<usize>()
    ) {
        let mut bytes = SEEDS[seed % SEEDS.len()].clone();
        for edit in &edits {
            apply(&mut bytes, edit);
        }
        heard(&bytes, cut);
    }
}

#[test]
fn the_seeds_themselves() {
    assert!(SEEDS.len() >= 8);
    for seed in SEEDS.iter() {
        heard(seed, seed.len() / 2);
    }
}

#[test]
fn deep_nesting_and_long_numbers() {
    for value in ["[".repeat(100_000), "{\"a\":".repeat(100_000), "9".repeat(100_000), "\"".repeat(99_999)] {
        heard(format!("{{\"put\":{{\"key\":\"group/a/b\",\"value\":{value}}}}}\n").as_bytes(), 10);
        heard(format!("{{\"welcome\":{{\"protocol\":1,\"server\":\"c\"}}}}\n{{\"hint\":{value}}}\n").as_bytes(), 10);
    }
}
