//! What a group is configured to be: the parsed form of an nginx `upstream {}` block, valid by construction.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Which list a server belongs to. Backups are asked only when no primary is eligible (nginx `backup`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// The ordinary list.
    #[default]
    Primary,
    /// The list used when the primaries have no eligible peer (nginx `server ... backup`).
    Backup,
}

/// What an operator said of a server, as opposed to what its failures say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Availability {
    /// Takes requests.
    #[default]
    Up,
    /// Takes none, but keeps its share of hash spaces (nginx `down`).
    Down,
    /// Takes only requests that a sticky session pins to it (nginx `drain`, 1.29.6).
    Drain,
}

/// The figure `least_time` compares (nginx `least_time header | last_byte`, 1.31.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Measure {
    /// Time to the complete response header.
    Header,
    /// Time to the last byte of the response.
    LastByte,
}

/// How a peer is chosen among the eligible ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// Smooth weighted round robin (`ngx_http_upstream_round_robin.c`).
    #[default]
    RoundRobin,
    /// Fewest active attempts per weight (`ngx_http_upstream_least_conn_module.c`).
    LeastConn,
    /// By the client's address (`ngx_http_upstream_ip_hash_module.c`).
    IpHash,
    /// By a key, modulo the weights (`hash KEY`, `ngx_http_upstream_hash_module.c`).
    Hash,
    /// By a key, on a ketama-like ring (`hash KEY consistent`).
    ConsistentHash,
    /// A weighted draw (`ngx_http_upstream_random_module.c`).
    Random,
    /// Two weighted draws, the less loaded one wins (`random two least_conn`).
    RandomTwo,
    /// Least average time per weight (`ngx_http_upstream_least_time_module.c`).
    LeastTime {
        /// Which time is averaged.
        measure: Measure,
        /// Whether requests still running are weighed too.
        inflight: bool,
    },
}

impl Method {
    /// Every method once, for tests and tables that must not miss one.
    pub const ALL: [Self; 9] = [
        Self::RoundRobin,
        Self::LeastConn,
        Self::IpHash,
        Self::Hash,
        Self::ConsistentHash,
        Self::Random,
        Self::RandomTwo,
        Self::LeastTime { measure: Measure::Header, inflight: false },
        Self::LeastTime { measure: Measure::LastByte, inflight: true },
    ];
}

/// Which peer a state belongs to. Weight, tier and limits are attributes, not identity: editing a weight does not
/// absolve a failing server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey {
    /// The printable address: `127.0.0.1:80`, `[::1]:80`, `unix:/path`.
    pub address: Arc<str>,
    /// Counts repeated lines of one address from 0; nginx keeps each as a peer of its own.
    pub nth: u16,
    /// What tells two holders of one address apart (a pod's UID), where the source knows it.
    pub incarnation: Option<Arc<str>>,
}

/// One peer: one socket address with the parameters of its `server` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// Whose state this is.
    pub key: PeerKey,
    /// The address exactly as written in the configuration: the consistent ring is made from it (nginx `peer->server`).
    pub server: Arc<str>,
    /// nginx `weight=`, at least 1.
    pub weight: u32,
    /// nginx `max_fails=`; 0 never ejects.
    pub max_fails: u32,
    /// nginx `fail_timeout=`, whole seconds.
    pub fail_timeout: u32,
    /// nginx `max_conns=`; 0 is no limit.
    pub max_conns: u32,
    /// How long a peer that recovered, is new or returns takes to reach its weight, milliseconds; 0 is at once. Not in open-source nginx.
    pub slow_start: u64,
    /// nginx `backup`.
    pub tier: Tier,
    /// nginx `down`, `drain`.
    pub availability: Availability,
    /// nginx `route=`: the sticky id, in place of the hex MD5 of the address.
    pub route: Option<Arc<str>>,
}

/// A group as configured: an nginx `upstream {}` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSpec {
    /// The balancing method.
    pub method: Method,
    /// Primaries and backups, in configuration order. May be empty (nginx with `resolve`): then nobody is ever picked.
    pub servers: Vec<ServerSpec>,
    /// Whether requests may be pinned by a server id (nginx `sticky`).
    pub sticky: bool,
}

/// Why a group cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// nginx: `invalid parameter "weight=0"`.
    #[error("server {0} has weight 0; the least is 1")]
    ZeroWeight(Arc<str>),
    /// Two servers carry one key: the caller did not number the repetitions.
    #[error("server {0} appears twice with one key; number the repetitions with `nth`")]
    DuplicateKey(Arc<str>),
    /// The consistent ring would be too large to keep.
    #[error(
        "hash consistent over a total weight of {total_weight} needs 160 points for each; lower the weights in proportion \
         until they sum to at most {limit}"
    )]
    RingTooLarge {
        /// Sum of the weights of the primaries.
        total_weight: u64,
        /// The greatest permitted sum.
        limit: u64,
    },
}
