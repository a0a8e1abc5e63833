//! What one request remembers between its attempts: the list in use, the peers tried, the hash state.

use std::net::IpAddr;

use crate::{
    BoundPlan, Method, Tier,
    method::{hash::TextHash, ip_hash::ClientHash},
    tried::Tried,
};

/// nginx's hash methods and `random` give up after this many misses of one request (`tries > 20`).
const MISSES: u8 = 20;

/// What the methods and `sticky` look at, evaluated once per request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs<'a> {
    /// The evaluated key of `hash KEY`; empty falls back to round robin.
    pub hash_key: &'a [u8],
    /// The client's address after real-ip, for `ip_hash`; `None` for a unix socket.
    pub client: Option<IpAddr>,
    /// The server id that a session asks for, when the group is sticky.
    pub sid: Option<&'a str>,
}

/// nginx's per-request `peer.data`. It survives the retries of its request and is used with one [`BoundPlan`] only.
#[derive(Debug)]
pub struct Request {
    /// The list in use; it only ever moves from primaries to backups.
    pub(crate) tier: Tier,
    /// The peers of that list already tried.
    pub(crate) tried: Tried,
    /// The position that the session's id names in each list.
    pub(crate) pinned: [Option<u32>; 2],
    /// Where the hash stands.
    pub(crate) key: Key,
    misses: u8,
}

/// The hash state of a request, by method.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    /// Not a hash method, or an empty key.
    None,
    /// `ip_hash`.
    Client(ClientHash),
    /// `hash KEY`.
    Text(TextHash),
    /// `hash KEY consistent`: index of a point of the ring, possibly past its end.
    Point(usize),
}

impl Key {
    /// The next number of a hash that is taken modulo the weights.
    pub(crate) fn rehash(&mut self) -> Option<u64> {
        match self {
            Self::Client(hash) => Some(hash.rehash()),
            Self::Text(hash) => Some(hash.rehash()),
            Self::None | Self::Point(_) => None,
        }
    }
}

impl Request {
    /// State for a request that has tried nobody yet.
    #[must_use]
    pub fn new(plan: &BoundPlan, inputs: &Inputs<'_>) -> Self {
        let text = inputs.hash_key;
        let key = match plan.method() {
            Method::IpHash => Key::Client(ClientHash::new(inputs.client)),
            Method::Hash if !text.is_empty() => Key::Text(TextHash::new(text)),
            Method::ConsistentHash if !text.is_empty() => Key::Point(plan.ring().lookup(text)),
            Method::Hash
            | Method::ConsistentHash
            | Method::RoundRobin
            | Method::LeastConn
            | Method::Random
            | Method::RandomTwo
            | Method::LeastTime { .. } => Key::None,
        };
        Self {
            tier: Tier::Primary,
            tried: Tried::default(),
            pinned: inputs.sid.map_or([None, None], |sid| plan.pins(sid)),
            key,
            misses: 0,
        }
    }

    /// Counts a miss.
    pub(crate) fn miss(&mut self) {
        self.misses = self.misses.saturating_add(1);
    }

    /// Whether there have been more misses than a hash or a draw is worth: then it is round robin.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.misses > MISSES
    }
}
