//! Content versions: equal content has an equal version, whoever computed it and wherever.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The first 128 bits of a SHA-256, as 32 lower-case hexadecimal digits: the version of one resource (over its JSON), or of
/// a whole configuration (over the names and versions of its resources).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Revision([u8; 16]);

/// The text is not a content version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a content version; it has 32 lower-case hexadecimal digits")]
pub struct RevisionError(String);

impl Revision {
    /// The version of these bytes.
    pub fn of(content: &[u8]) -> Self {
        Self::truncate(&Sha256::digest(content))
    }

    /// The version of a set of named parts, given in the order of their names.
    pub fn of_parts<K: fmt::Display>(parts: impl IntoIterator<Item = (K, Self)>) -> Self {
        let (mut digest, mut name) = (Sha256::new(), String::new());
        for (key, version) in parts {
            name.clear();
            // A name has no newline and a version one length, so no two lists give the same bytes.
            writeln!(name, "{key}").expect("a String takes everything");
            digest.update(&name);
            digest.update(version.0);
        }
        Self::truncate(&digest.finalize())
    }

    fn truncate(digest: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Self, RevisionError> {
        let refuse = || RevisionError(text.chars().take(40).collect());
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(refuse()),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 16 || !rest.is_empty() {
            return Err(refuse());
        }
        let mut bytes = [0; 16];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Revision {
    type Error = RevisionError;

    fn try_from(text: String) -> Result<Self, RevisionError> {
        text.parse()
    }
}

impl From<Revision> for String {
    fn from(revision: Revision) -> Self {
        revision.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints_and_nothing_else() {
        let revision = Revision::of(b"content");
        assert_eq!(revision.to_string().parse(), Ok(revision));
        let text = revision.to_string();
        for wrong in ["", &text[1..], &text.to_uppercase(), &format!("{text}00"), &format!("{}é", &text[2..])] {
            assert!(wrong.parse::<Revision>().is_err(), "{wrong}");
        }
    }
}
