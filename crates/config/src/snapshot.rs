//! Everything a data plane is told, with a version that depends on the content alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Group, GroupId, Routes};

/// The whole configuration. Equal content has an equal [`Revision`], whoever computed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Every group that a route, a listener or an operator may name.
    pub groups: BTreeMap<GroupId, Arc<Group>>,
    /// How requests find a group.
    pub routes: Arc<Routes>,
}

/// The content version of a configuration: 128 bits of SHA-256 over its JSON, as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision([u8; 16]);

impl Config {
    /// The version of this content.
    pub fn revision(&self) -> Revision {
        // Maps are ordered and numbers are integers, so equal values serialise to equal bytes; our types cannot fail to.
        let json = serde_json::to_vec(self).expect("a Config has string keys and no fallible serializer");
        let digest = Sha256::digest(&json);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Revision(bytes)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
