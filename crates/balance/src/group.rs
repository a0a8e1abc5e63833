//! The mutable part of a group: the slots of its peers, selection and release. Outlives any one plan.

use crate::{Availability, BoundPlan, Now, Plan, Request, Rng, Tier};

/// A peer's place in the group's slab. The generation makes releasing a recycled slot impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    index: u32,
    generation: u32,
}

/// A selected peer: one attempt is counted on it until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Index into the servers of the plan that selected it.
    pub position: usize,
    /// Where its state lives.
    pub slot: Slot,
    /// Whether a sticky session asked for exactly this peer.
    pub pinned: bool,
}

/// No peer is eligible in either list: nginx's `no live upstreams` (`NGX_BUSY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no live upstreams")]
pub struct NoLivePeers;

/// How long an attempt took, milliseconds, for `least_time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the start of the attempt to its complete response header.
    pub header: u64,
    /// From the start of the attempt to the last byte.
    pub last_byte: u64,
}

/// How an attempt ended: the argument of nginx's `peer.free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The response was relayed, whatever its status and whether or not its body was complete.
    Done(Option<Times>),
    /// Given up by the retry engine: `NGX_PEER_FAILED`.
    Failed,
    /// A listed 403 or 404 that was retried: `NGX_PEER_NEXT`, no blame.
    Next,
    /// The client went away: nginx accounts it as a success.
    Abandoned,
}

/// What a release changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// The failure reached `max_fails`: nginx logs `upstream server temporarily disabled` (at every failure at or past it).
    pub disabled: bool,
    /// The peer was out on failures and this outcome brought it back.
    pub recovered: bool,
}

/// Why a peer cannot be picked by a request now. The order is that of nginx's tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// This request already tried it.
    Tried,
    /// Configured `down`.
    Down,
    /// Configured `drain` and the request is not pinned to it.
    Draining,
    /// `max_fails` reached and `fail_timeout` not yet over; in the first second in which it may be picked.
    Ejected {
        /// The first whole second at which it is eligible again.
        until: u64,
    },
    /// `max_conns` reached.
    Full,
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

/// The live state of one group, shared by every worker of a process (nginx `zone`).
#[derive(Debug, Default)]
pub struct Group {}

impl Group {
    /// A group that knows no peer yet.
    #[must_use]
    pub fn new() -> Self {
        todo!()
    }

    /// Takes over a new plan: known keys keep their slot and state, new keys get fresh ones, vanished keys are retired
    /// (never selected, still released) and forgotten after a grace period.
    pub fn reconcile(&mut self, _plan: Plan, _now: Now) -> BoundPlan {
        todo!()
    }

    /// Picks the next peer for `request` and counts an attempt on it.
    ///
    /// # Errors
    /// [`NoLivePeers`] when neither list has an eligible peer.
    pub fn select(
        &mut self,
        _plan: &BoundPlan,
        _request: &mut Request,
        _now: Now,
        _rng: &mut impl Rng,
    ) -> Result<Peer, NoLivePeers> {
        todo!()
    }

    /// Ends the attempt that `select` counted. Legal for a retired slot.
    pub fn release(&mut self, _plan: &BoundPlan, _peer: Peer, _outcome: Outcome, _now: Now) -> Released {
        todo!()
    }

    /// The state of every peer of `plan`, by position.
    #[must_use]
    pub fn view(&self, _plan: &BoundPlan, _now: Now) -> Vec<PeerView> {
        todo!()
    }

    /// Why `request` cannot pick the server at `position` now, if it cannot.
    #[must_use]
    pub fn obstacle(&self, _plan: &BoundPlan, _request: &Request, _position: usize, _now: Now) -> Option<Obstacle> {
        todo!()
    }
}
