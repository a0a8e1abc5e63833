//! How far a cluster is known, for who asks whether a controller is ready and what it waits for.

use std::collections::BTreeSet;
use std::fmt;

use crate::index::Place;

/// How far a cluster is known. What was published once stays so, whatever happens to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A complete list is waited for of each of these kinds in each of these places.
    Lists(BTreeSet<(&'static str, Place)>),
    /// Every list is complete; the content of Secrets and `ConfigMap`s that are named is fetched.
    Contents,
    /// All that is there is known; DNS names are looked up, and then it is published.
    Names,
    /// It is known and published.
    Published,
}

impl Readiness {
    /// Whether the cluster is known and published.
    pub fn is_published(&self) -> bool {
        *self == Self::Published
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lists(awaited) => {
                let awaited: Vec<_> = awaited.iter().map(|(kind, place)| format!("{kind} {place}")).collect();
                write!(f, "waiting for a complete list of {}; the log says what keeps it", awaited.join(", "))
            }
            Self::Contents => f.write_str(
                "every list is complete; waiting for the content of Secrets and ConfigMaps; the log says what keeps it",
            ),
            Self::Names => f.write_str("every list is complete; waiting for the DNS names of servers"),
            Self::Published => f.write_str("the cluster is known and published"),
        }
    }
}
