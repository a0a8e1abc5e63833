//! The immutable, expensive part of a group: tiers, prefix sums, the consistent ring, sticky ids. Built off any lock.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    Availability, GroupSpec, Measure, Method, PeerKey, ServerSpec, Slot, SpecError, Tier, method::ketama::Ring, sticky,
    weight::UNIT,
};

/// A group made ready for selection, not yet bound to the state of its peers.
#[derive(Debug)]
pub struct Plan {
    method: Method,
    servers: Vec<Server>,
    keys: Vec<PeerKey>,
    sids: Vec<Arc<str>>,
    /// Primaries, backups.
    lists: [List; 2],
    ring: Ring,
    /// Where each sticky id leads, per list; empty unless the group is sticky.
    pins: HashMap<Arc<str>, [Option<u32>; 2]>,
    tries: u32,
}

/// A plan together with the slots that hold its peers' state; what a request pins. Positions are indexes into
/// [`GroupSpec::servers`]: `usize` to callers, and `u32` in lists and states, for which the accessors end in `_at`.
#[derive(Debug)]
pub struct BoundPlan {
    plan: Plan,
    slots: Vec<Slot>,
    /// Tells the plans of one group apart.
    id: u64,
}

/// What selection needs of a `server` line.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) weight: u32,
    pub(crate) max_fails: u32,
    pub(crate) fail_timeout: u32,
    pub(crate) max_conns: u32,
    /// Milliseconds; 0 where the method has no use for it.
    pub(crate) slow_start: u64,
    pub(crate) tier: Tier,
    pub(crate) availability: Availability,
}

/// nginx's `ngx_http_upstream_rr_peers_t`: one of the two lists.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// Its servers, in configuration order.
    pub(crate) positions: Vec<u32>,
    /// Sum of the weights up to and including each of them.
    sums: Vec<u64>,
}

impl Plan {
    /// The sticky id of the server at `position`: its `route`, or the hex MD5 of its address.
    #[must_use]
    pub fn sid(&self, position: usize) -> &str {
        &self.sids[position]
    }

    /// Whether a plan of `spec` can be built, without the cost of building it.
    ///
    /// # Errors
    /// When the specification contradicts itself; see [`SpecError`].
    pub fn check(spec: &GroupSpec) -> Result<(), SpecError> {
        let mut seen = HashSet::with_capacity(spec.servers.len());
        for server in &spec.servers {
            if server.weight == 0 {
                return Err(SpecError::ZeroWeight(Arc::clone(&server.server)));
            }
            if !seen.insert((&server.key.address, server.key.nth)) {
                return Err(SpecError::DuplicateKey(Arc::clone(&server.server)));
            }
        }
        if spec.method == Method::ConsistentHash { Ring::check(&spec.servers) } else { Ok(()) }
    }

    /// Precomputes everything a pick needs that is not state.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn build(spec: &GroupSpec) -> Result<Self, SpecError> {
        Self::check(spec)?;
        let mut lists = [List::default(), List::default()];
        for (position, server) in (0..).zip(&spec.servers) {
            lists[server.tier as usize].push(position, server.weight);
        }
        let sids: Vec<_> = spec.servers.iter().map(sticky::sid).collect();
        let pins = if spec.sticky { pins(&spec.servers, &sids) } else { HashMap::new() };
        let ring = match spec.method {
            Method::ConsistentHash => Ring::build(&spec.servers),
            Method::RoundRobin
            | Method::LeastConn
            | Method::IpHash
            | Method::Hash
            | Method::Random
            | Method::RandomTwo
            | Method::LeastTime { .. } => Ring::default(),
        };
        let up = spec.servers.iter().filter(|server| server.availability == Availability::Up).count();
        Ok(Self {
            method: spec.method,
            servers: spec.servers.iter().map(|server| Server::new(server, spec.method)).collect(),
            keys: spec.servers.iter().map(|server| server.key.clone()).collect(),
            sids,
            lists,
            ring,
            pins,
            tries: u32::try_from(up).unwrap_or(u32::MAX),
        })
    }

    pub(crate) fn method(&self) -> Method {
        self.method
    }

    pub(crate) fn is_single(&self) -> bool {
        self.servers.len() == 1 && self.lists[Tier::Primary as usize].len() == 1
    }

    pub(crate) fn keys(&self) -> &[PeerKey] {
        &self.keys
    }

    pub(crate) fn server_at(&self, position: u32) -> &Server {
        &self.servers[position as usize]
    }
}

/// Where each sticky id leads, per list: to the first of its servers that is up, else to the first that drains. Endpoints of a
/// line with a `route` share its id, and a session need not go to one that leaves past one that stays; nginx takes the
/// first whatever its state (ledger `shared-route`).
fn pins(servers: &[ServerSpec], sids: &[Arc<str>]) -> HashMap<Arc<str>, [Option<u32>; 2]> {
    let mut pins: HashMap<_, [Option<u32>; 2]> = HashMap::new();
    for availability in [Availability::Up, Availability::Drain] {
        for ((position, server), sid) in (0..).zip(servers).zip(sids) {
            if server.availability == availability {
                pins.entry(Arc::clone(sid)).or_default()[server.tier as usize].get_or_insert(position);
            }
        }
    }
    pins
}

impl BoundPlan {
    pub(crate) fn new(plan: Plan, slots: Vec<Slot>, id: u64) -> Self {
        debug_assert_eq!(plan.servers.len(), slots.len());
        Self { plan, slots, id }
    }

    /// Number of servers, both tiers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the group has no server at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// nginx's `peers->single`: exactly one address in the group, backups included. Such a peer is never ejected.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.plan.is_single()
    }

    /// nginx's `tries` of both lists: servers that are neither down nor draining.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.plan.tries
    }

    /// The sticky id of the server at `position`: its `route`, or the hex MD5 of its address.
    #[must_use]
    pub fn sid(&self, position: usize) -> &str {
        self.plan.sid(position)
    }

    /// The slot of the server at `position`.
    #[must_use]
    pub fn slot(&self, position: usize) -> Slot {
        self.slots[position]
    }

    /// The balancing method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.plan.method
    }

    /// Whether the arrival of a response header is news to the group ([`Group::header_received`](crate::Group::header_received)):
    /// nginx's `peer.notify` (`ngx_http_upstream_init_least_time_peer`).
    #[must_use]
    pub fn is_notified(&self) -> bool {
        matches!(self.plan.method, Method::LeastTime { measure: Measure::Header, inflight: true })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn server(&self, position: usize) -> &Server {
        &self.plan.servers[position]
    }

    pub(crate) fn server_at(&self, position: u32) -> &Server {
        self.plan.server_at(position)
    }

    pub(crate) fn slot_at(&self, position: u32) -> Slot {
        self.slots[position as usize]
    }

    pub(crate) fn list(&self, tier: Tier) -> &List {
        &self.plan.lists[tier as usize]
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.plan.ring
    }

    pub(crate) fn pins(&self, sid: &str) -> [Option<u32>; 2] {
        self.plan.pins.get(sid).copied().unwrap_or_default()
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.len()).unwrap_or(u32::MAX)
    }
}

impl Server {
    /// The configured weight in the unit of computation.
    pub(crate) fn full_weight(&self) -> i64 {
        i64::from(self.weight) * UNIT
    }

    fn new(spec: &ServerSpec, method: Method) -> Self {
        let slow_start = match method {
            Method::RoundRobin | Method::LeastConn | Method::LeastTime { .. } => spec.slow_start,
            // A hash or a draw is made over fixed shares; commercial nginx refuses slow_start there.
            Method::IpHash | Method::Hash | Method::ConsistentHash | Method::Random | Method::RandomTwo => 0,
        };
        Self {
            weight: spec.weight,
            max_fails: spec.max_fails,
            fail_timeout: spec.fail_timeout,
            max_conns: spec.max_conns,
            slow_start,
            tier: spec.tier,
            availability: spec.availability,
        }
    }
}

impl List {
    /// nginx `number`.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// nginx `total_weight`: servers that are down count too.
    pub(crate) fn total_weight(&self) -> u64 {
        self.sums.last().copied().unwrap_or(0)
    }

    /// The server in whose share of the weights `number` falls: nginx walks the list and subtracts
    /// (`ngx_http_upstream_hash_module.c`, `ngx_http_upstream_get_hash_peer`). The list must not be empty and `number` less
    /// than the total weight.
    pub(crate) fn at_weight(&self, number: u64) -> u32 {
        self.positions[self.sums.partition_point(|&sum| sum <= number)]
    }

    fn push(&mut self, position: u32, weight: u32) {
        self.sums.push(self.total_weight() + u64::from(weight));
        self.positions.push(position);
    }
}
