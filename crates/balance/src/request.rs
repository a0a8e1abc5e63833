//! What one request remembers between its attempts: the list in use, the peers tried, the hash state.

use std::net::IpAddr;

use crate::BoundPlan;

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
pub struct Request {}

impl Request {
    /// State for a request that has tried nobody yet.
    #[must_use]
    pub fn new(_plan: &BoundPlan, _inputs: &Inputs<'_>) -> Self {
        todo!()
    }
}
