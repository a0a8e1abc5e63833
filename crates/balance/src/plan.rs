//! The immutable, expensive part of a group: tiers, prefix sums, the consistent ring, sticky ids. Built off any lock.

use crate::{GroupSpec, SpecError, group::Slot};

/// A group made ready for selection, not yet bound to the state of its peers.
#[derive(Debug)]
pub struct Plan {}

impl Plan {
    /// Precomputes everything a pick needs that is not state.
    ///
    /// # Errors
    /// When the specification contradicts itself; see [`SpecError`].
    pub fn build(_spec: &GroupSpec) -> Result<Self, SpecError> {
        todo!()
    }
}

/// A plan together with the slots that hold its peers' state; what a request pins. Positions are indexes into
/// [`GroupSpec::servers`].
#[derive(Debug)]
pub struct BoundPlan {}

impl BoundPlan {
    /// Number of servers, both tiers.
    #[must_use]
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether the group has no server at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// nginx's `peers->single`: exactly one address in the group, backups included. Such a peer is never ejected.
    #[must_use]
    pub fn is_single(&self) -> bool {
        todo!()
    }
    /// nginx's `tries` of both lists: servers that are neither down nor draining.
    #[must_use]
    pub fn tries(&self) -> u32 {
        todo!()
    }
    /// The sticky id of the server at `position`: its `route`, or the hex MD5 of its address.
    #[must_use]
    pub fn sid(&self, _position: usize) -> &str {
        todo!()
    }
    /// The slot of the server at `position`.
    #[must_use]
    pub fn slot(&self, _position: usize) -> Slot {
        todo!()
    }
}
