//! Whatever bytes arrive, at either end and in whatever pieces: the machines end, panic nowhere, keep what they may keep and
//! say only lines that the other end reads. The seeds are the files of `corpus/`; `PROPTEST_CASES=100000` makes a longer run.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use testkit::edits;

mod holds;
#[path = "../support/mod.rs"]
mod support;

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    edits::seeds([tests.join("fuzz_frames/corpus"), tests.join("golden/v1")])
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

fn heard(bytes: &[u8], cut: usize) {
    holds::at_controller(bytes, cut);
    holds::at_data_plane(bytes, cut);
    holds::as_last_good(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in edits::noise(), cut in any::<usize>()) {
        heard(&bytes, cut);
    }

    #[test]
    fn any_pieces(text in edits::of_pieces(&PIECES), cut in any::<usize>()) {
        heard(text.as_bytes(), cut);
    }

    #[test]
    fn frames_with_faults(bytes in edits::with_faults(&SEEDS, &PIECES), cut in any::<usize>()) {
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
