//! Which protocols an end speaks. Within one protocol fields and frames may be added, since readers ignore what they do not
//! know; a change of meaning is a new number. A controller speaks to data planes one release older and one newer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The first protocol in which a `put` leaves out of a group what is usual ([`config::Resource::to_brief_json`]).
pub(crate) const BRIEF: u32 = 2;

/// A range of protocol numbers, both ends included; on the wire `[min, max]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "[u32; 2]", try_from = "[u32; 2]")]
pub struct Versions {
    min: u32,
    max: u32,
}

/// The least is greater than the greatest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[{0}, {1}] is no range of protocols; write [MIN, MAX]")]
pub struct VersionsError(u32, u32);

impl Versions {
    /// What this release speaks.
    pub const OURS: Self = Self { min: 1, max: BRIEF };

    /// A range.
    pub const fn new(min: u32, max: u32) -> Result<Self, VersionsError> {
        if min <= max { Ok(Self { min, max }) } else { Err(VersionsError(min, max)) }
    }

    /// The newest of it.
    pub const fn newest(self) -> u32 {
        self.max
    }

    /// Whether `version` is in it.
    pub const fn contains(self, version: u32) -> bool {
        self.min <= version && version <= self.max
    }

    /// The newest that both speak.
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.max.min(other.max);
        (self.contains(newest) && other.contains(newest)).then_some(newest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

impl TryFrom<[u32; 2]> for Versions {
    type Error = VersionsError;

    fn try_from([min, max]: [u32; 2]) -> Result<Self, VersionsError> {
        Self::new(min, max)
    }
}

impl From<Versions> for [u32; 2] {
    fn from(versions: Versions) -> Self {
        [versions.min, versions.max]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_one_is_taken() {
        let versions = |min, max| Versions::new(min, max).unwrap();
        for (ours, theirs, common) in [
            (versions(1, 1), versions(1, 1), Some(1)),
            (versions(1, 2), versions(2, 3), Some(2)),
            (versions(1, 3), versions(2, 2), Some(2)),
            (versions(1, 1), versions(2, 3), None),
        ] {
            assert_eq!(ours.common(theirs), common);
            assert_eq!(theirs.common(ours), common);
        }
        assert!(Versions::new(2, 1).is_err());
    }
}
