//! What a controller learns from a subscriber.

use config::{ResourceKey, Revision};

/// What a subscriber said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// It introduced itself, and is served from now on.
    Introduced,
    /// Everything up to this commit is in force.
    Acked {
        /// Its number.
        commit: u64,
    },
    /// It cannot use what it was sent last of this name.
    Refused {
        /// The name.
        key: ResourceKey,
        /// The version.
        version: Revision,
        /// Why, in its words.
        problem: String,
    },
}

/// How a resource stands with a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has none of that name.
    Absent,
    /// Sent, not acknowledged.
    OnItsWay {
        /// What was sent.
        version: Revision,
    },
    /// Acknowledged, or had before.
    InForce {
        /// What it has.
        version: Revision,
    },
    /// Refused; what it had before is still in force.
    Refused {
        /// What was refused.
        version: Revision,
    },
}
