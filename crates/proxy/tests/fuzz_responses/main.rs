//! Whatever a server sends, in whatever pieces: it is read as hyper's client reads it, or refused. The seeds are the files of
//! `corpus/`; `PROPTEST_CASES=100000` makes a longer run.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use holds::holds;
use proptest::prelude::*;
use testkit::edits;

mod holds;

static SEEDS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| edits::seeds([Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_responses/corpus")]));

/// Pieces that mean something to a reader of responses.
const PIECES: [&str; 24] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    ";",
    "0",
    "0\r\n\r\n",
    "a",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 ",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "204",
    "304",
    "Content-Length: 5\r\n",
    "Content-Length: +5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Connection: close\r\n",
    "ffffffffffffffff",
    "\u{0}",
    "é",
];

proptest! {
    #[test]
    fn a_damaged_response_is_read_alike_or_refused(
        bytes in edits::with_faults(&SEEDS, &PIECES),
        cut in any::<usize>(),
        to_head in any::<bool>(),
    ) {
        holds(&bytes, cut, to_head);
    }

    #[test]
    fn noise_is_read_alike_or_refused(bytes in edits::noise(), cut in any::<usize>()) {
        holds(&bytes, cut, false);
    }

    #[test]
    fn a_body_in_chunks_of_any_size_is_whole(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..2000), 0..8),
        cut in any::<usize>(),
    ) {
        let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            bytes.extend_from_slice(format!("{:X} ; note\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let seen = holds(&bytes, cut, false);
        prop_assert_eq!(seen.map(|seen| (seen.complete, seen.body)), Some((true, chunks.concat())));
    }
}

#[test]
fn every_seed_is_whole_or_cut_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_responses/corpus");
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let seen = holds(&fs::read(&path).unwrap(), 0, false);
        let is = seen.as_ref().map_or("refused", |seen| if seen.complete { "whole" } else { "cut" });
        assert!(name.starts_with(is), "{name} is {is}: {seen:?}");
    }
}
