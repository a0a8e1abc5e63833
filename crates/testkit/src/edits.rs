//! What fuzz tests put to a reader: seeds with a few faults, and strings of pieces that mean something to it. Each test names
//! its seeds and its pieces, and what must hold of whatever comes out.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;

/// Longest stretch of bytes that one edit deletes or repeats.
const STRETCH: usize = 80;

#[derive(Clone, Debug)]
enum Edit {
    Delete { at: usize, length: usize },
    Insert { at: usize, piece: usize },
    Repeat { at: usize, length: usize, times: usize },
    Byte { at: usize, byte: u8 },
}

/// The files of these folders, in the order of their paths.
///
/// # Panics
/// If one cannot be read.
pub fn seeds(folders: impl IntoIterator<Item = impl AsRef<Path>>) -> Vec<Vec<u8>> {
    let files = |folder: &Path| fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = folders
        .into_iter()
        .flat_map(|folder| files(folder.as_ref()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a seed is a file")).collect()
}

/// One of the seeds with up to six faults.
pub fn with_faults(seeds: &'static [Vec<u8>], pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (any::<prop::sample::Index>(), vec(edit(pieces.len()), 0..6)).prop_map(move |(seed, edits)| {
        let mut bytes = seed.get(seeds).clone();
        for edit in &edits {
            edit.apply(&mut bytes, pieces);
        }
        bytes
    })
}

/// Up to eighty of the pieces, one after the other.
pub fn of_pieces(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(0..pieces.len(), 0..80).prop_map(move |chosen| chosen.into_iter().map(|piece| pieces[piece]).collect())
}

/// Up to four hundred bytes of any kind.
pub fn noise() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..400)
}

fn edit(pieces: usize) -> impl Strategy<Value = Edit> {
    let at = any::<usize>();
    prop_oneof![
        (at, 1..STRETCH).prop_map(|(at, length)| Edit::Delete { at, length }),
        (at, 0..pieces).prop_map(|(at, piece)| Edit::Insert { at, piece }),
        (at, 1..STRETCH, 1..20usize).prop_map(|(at, length, times)| Edit::Repeat { at, length, times }),
        (at, any::<u8>()).prop_map(|(at, byte)| Edit::Byte { at, byte }),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, pieces: &[&str]) {
        let place = |at: usize| at % (bytes.len() + 1);
        let stretch = |at: usize, length: usize| place(at)..(place(at) + length).min(bytes.len());
        match *self {
            Self::Delete { at, length } => drop(bytes.drain(stretch(at, length))),
            Self::Insert { at, piece } => {
                let at = place(at);
                bytes.splice(at..at, pieces[piece].bytes());
            }
            Self::Repeat { at, length, times } => {
                let stretch = stretch(at, length);
                let repeated = bytes[stretch.clone()].repeat(times);
                bytes.splice(stretch.start..stretch.start, repeated);
            }
            Self::Byte { at, byte } => {
                let at = place(at);
                if let Some(target) = bytes.get_mut(at) {
                    *target = byte;
                }
            }
        }
    }
}
