//! Content versions: equal content has an equal version, whoever computed it and wherever.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::text::as_text;

/// The first 128 bits of a SHA-256, as 32 lower-case hexadecimal digits: the version of one resource (over its JSON), or of
/// a whole configuration (over the names and versions of its resources).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision([u8; 16]);

/// The text is not a content version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a content version; it has 32 lower-case hexadecimal digits")]
pub struct RevisionError(String);

impl Revision {
    /// How many digits its text has.
    pub const DIGITS: usize = 32;

    /// How many of them are shown to people, who compare the versions of one object.
    pub const SHORT: usize = 12;

    /// Its first [`Self::SHORT`] digits.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(Self::SHORT);
        text
    }

    /// The version of these bytes.
    pub fn of(content: &[u8]) -> Self {
        Self::truncate(&Sha256::digest(content))
    }

    /// The version of a set of named parts: the sum of those of its parts, so that whoever holds ten thousand of them and is
    /// sent one need not look at the others.
    pub fn of_parts<K: fmt::Display>(parts: impl IntoIterator<Item = (K, Self)>) -> Self {
        parts.into_iter().fold(Self::NOTHING, |sum, (key, version)| sum.with(key, version))
    }

    /// The version of no parts.
    pub const NOTHING: Self = Self([0; 16]);

    /// The version of a set to which this part was added.
    #[must_use]
    pub fn with(self, key: impl fmt::Display, version: Self) -> Self {
        Self(self.number().wrapping_add(Self::of_part(key, version).number()).to_be_bytes())
    }

    /// The version of a set from which this part was taken.
    #[must_use]
    pub fn without(self, key: impl fmt::Display, version: Self) -> Self {
        Self(self.number().wrapping_sub(Self::of_part(key, version).number()).to_be_bytes())
    }

    fn of_part(key: impl fmt::Display, version: Self) -> Self {
        // A name has no newline, so no two parts give the same bytes.
        let mut digest = Sha256::new();
        digest.update(format!("{key}\n"));
        digest.update(version.0);
        Self::truncate(&digest.finalize())
    }

    fn number(self) -> u128 {
        u128::from_be_bytes(self.0)
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
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        if text.len() != Self::DIGITS {
            return Err(refuse());
        }
        let mut bytes = [0; 16];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

as_text!(Revision);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_version_of_its_parts_however_it_came_about() {
        let part = |name: &'static str| (name, Revision::of(name.as_bytes()));
        let set = Revision::of_parts(["a", "b", "c"].map(part));
        assert_eq!(set, Revision::of_parts(["c", "a", "b"].map(part)));
        let (name, version) = part("b");
        let rest = set.without(name, version);
        assert_eq!(rest, Revision::of_parts(["a", "c"].map(part)));
        assert_eq!(rest.with(name, version), set);
        // What is under which name is part of it.
        assert_ne!(rest.with("d", version), set);
        assert_eq!(Revision::of_parts::<&str>([]), Revision::NOTHING);
    }

    #[test]
    fn reads_what_it_prints_and_nothing_else() {
        let revision = Revision::of(b"content");
        assert_eq!(revision.to_string().parse(), Ok(revision));
        let text = revision.to_string();
        assert_eq!(revision.short(), text[..12]);
        for wrong in ["", &text[1..], &text.to_uppercase(), &format!("{text}00"), &format!("{}é", &text[2..])] {
            assert!(wrong.parse::<Revision>().is_err(), "{wrong}");
        }
    }
}
