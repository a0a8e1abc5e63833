//! Whatever a server sends, in whatever pieces: it is read as hyper's client reads it, or refused. The seeds are the files of
//! `corpus/`; `PROPTEST_CASES=100000` makes a longer run.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use holds::holds;
use proptest::prelude::*;

mod holds;

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_responses/corpus");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
});

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

#[derive(Clone, Debug)]
enum Edit {
    Delete { at: usize, length: usize },
    Insert { at: usize, piece: usize },
    Byte { at: usize, byte: u8 },
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<usize>(), 1..20usize).prop_map(|(at, length)| Edit::Delete { at, length }),
        (any::<usize>(), 0..PIECES.len()).prop_map(|(at, piece)| Edit::Insert { at, piece }),
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
            let at = place(at);
            bytes.splice(at..at, PIECES[piece].bytes());
        }
        Edit::Byte { at, byte } => {
            let at = place(at);
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
    }
}

proptest! {
    #[test]
    fn a_damaged_response_is_read_alike_or_refused(
        seed in any::<prop::sample::Index>(),
        edits in prop::collection::vec(edit(), 0..6),
        cut in any::<usize>(),
        to_head in any::<bool>(),
    ) {
        let mut bytes = seed.get(&SEEDS).clone();
        for edit in &edits {
            apply(&mut bytes, edit);
        }
        holds(&bytes, cut, to_head);
    }

    #[test]
    fn noise_is_read_alike_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<usize>()) {
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
