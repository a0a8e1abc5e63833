//! Peers of another release, made by editing what passes between two of this one: fields, frames, kinds of resources and
//! values that this release does not know.

use bytes::Bytes;

use crate::random::Random;

/// Which end is newer than this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    None,
    NewerController,
    NewerDataPlane,
}

/// A value that a newer release writes for one that this release knows too: groups that have it cannot be read.
const VALUE: (&str, &str) = ("\"LeastConn\"", "\"Quantum\"");

const VERSION: &str = "00112233445566778899aabbccddeeff";

impl Skew {
    /// What a data plane reads where a controller wrote `line`.
    pub fn down(self, line: &Bytes, random: &mut Random) -> Vec<Bytes> {
        if self != Self::NewerController {
            return vec![line.clone()];
        }
        let text = with_field(line).replace(VALUE.0, VALUE.1);
        let mut lines = vec![text.into()];
        if !line.starts_with(b"{\"welcome\"") && random.per_mille(50) {
            lines.push(Bytes::from_static(b"{\"hint\":{\"deep\":[1,{\"x\":null}]}}\n"));
        }
        if line.starts_with(b"{\"put\"") && random.per_mille(50) {
            let novel = format!("{{\"put\":{{\"key\":\"listener/x\",\"version\":\"{VERSION}\",\"value\":[1]}}}}\n");
            lines.push(novel.into());
            lines.push(Bytes::from_static(b"{\"del\":{\"key\":\"listener/y\"}}\n"));
        }
        lines
    }

    /// What a controller reads where a data plane wrote `line`.
    pub fn up(self, line: &Bytes, random: &mut Random) -> Vec<Bytes> {
        if self != Self::NewerDataPlane {
            return vec![line.clone()];
        }
        let text = with_field(line).replace("\"have\":{}", &format!("\"have\":{{\"listener/x\":\"{VERSION}\"}}"));
        let mut lines = vec![text.into()];
        if random.per_mille(30) {
            lines.push(Bytes::from_static(b"{\"mood\":\"fine\"}\n"));
        }
        lines
    }
}

/// Every frame is an object in an object: a field is added to the inner one, before its closing brace.
fn with_field(line: &Bytes) -> String {
    let text = String::from_utf8(line.to_vec()).unwrap();
    let inner = text.trim_end().strip_suffix("}}").unwrap();
    let comma = if inner.ends_with('{') { "" } else { "," };
    format!("{inner}{comma}\"novel\":{{\"a\":[]}}}}}}\n")
}
