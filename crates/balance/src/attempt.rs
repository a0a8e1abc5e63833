//! One attempt: what a selection hands out and what its end reports.

use crate::{Now, Slot};

/// A selected peer: one attempt is counted on it until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Index into the servers of the plan that selected it.
    pub position: usize,
    /// Where its state lives.
    pub slot: Slot,
    /// Whether a sticky session asked for exactly this peer.
    pub pinned: bool,
    /// Which holder of the slot the attempt was made on.
    pub(crate) epoch: u32,
    /// When the attempt began.
    pub(crate) began: Now,
    /// Whether `least_time inflight` is weighing it.
    pub(crate) in_flight: bool,
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
    /// The client went away before there was a response header: nginx accounts it as a success.
    Abandoned,
    /// It ended for a reason that is not the server's, and says nothing of it: what was known before is what is known
    /// (ledger `internal-error`, `slow-body`, `tls-name-of-client`).
    Unjudged,
}

/// What a release changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// The failure reached `max_fails`: nginx logs `upstream server temporarily disabled` (at every failure at or past it).
    pub disabled: bool,
    /// The peer was out on failures and this outcome brought it back.
    pub recovered: bool,
}
