//! The state of a group as an operator reads it.

use crate::{Availability, Tier};

/// Why a peer cannot be picked by a request now: of several reasons the first. The order is that of nginx's tests, and what
/// a session passes is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// This request already tried it.
    Tried,
    /// Configured `down`, or no longer configured at all while the request follows an older plan.
    Down,
    /// `max_fails` reached and `fail_timeout` not yet over; in the first second in which it may be picked.
    Ejected {
        /// The first whole second at which it is eligible again.
        until: u64,
    },
    /// `max_conns` reached.
    Full,
    /// Configured `drain` and the request is not pinned to it.
    Draining,
}

impl Obstacle {
    /// Whether a request that a session pins to the peer is not kept from it.
    pub(crate) fn lets_sessions_pass(self) -> bool {
        match self {
            Self::Draining => true,
            Self::Tried | Self::Down | Self::Ejected { .. } | Self::Full => false,
        }
    }
}

/// The state of one peer as an operator reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Index into the plan's servers.
    pub position: usize,
    /// Its list.
    pub tier: Tier,
    /// What the operator said of it.
    pub availability: Availability,
    /// Configured weight.
    pub weight: i64,
    /// nginx `effective_weight`.
    pub effective_weight: i64,
    /// nginx `current_weight`.
    pub current_weight: i64,
    /// Attempts in progress.
    pub conns: u32,
    /// nginx `fails`.
    pub fails: u32,
    /// Why a fresh request cannot pick it now.
    pub obstacle: Option<Obstacle>,
}
