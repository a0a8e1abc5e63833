//! Whatever stands in the body of a report: it is refused, or the fleet takes it whole, once. The seeds are reports of each
//! release; `PROPTEST_CASES=100000` makes a longer run.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use testkit::edits;

mod holds;

use holds::as_report;

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let feed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../feed/tests");
    let mut seeds = edits::seeds([feed.join("golden/v1"), feed.join("fuzz_frames/corpus")]);
    seeds.retain(|seed| seed.windows(8).any(|window| window == b"\"extent\""));
    seeds
});

/// Pieces that mean something to a reader of reports.
const PIECES: [&str; 20] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\ud800",
    "null",
    "-1",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "\"full\"",
    "\"changes\"",
    "\"seq\":4294967296",
    "\"a/b\"",
    "\"a/b:80\"",
    "\u{0}",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in edits::noise()) {
        as_report(&bytes);
    }

    #[test]
    fn any_pieces(text in edits::of_pieces(&PIECES)) {
        as_report(text.as_bytes());
    }

    #[test]
    fn reports_with_faults(bytes in edits::with_faults(&SEEDS, &PIECES)) {
        as_report(&bytes);
    }
}

#[test]
fn the_seeds_themselves() {
    assert!(SEEDS.len() >= 2);
    SEEDS.iter().for_each(|seed| as_report(seed));
}
