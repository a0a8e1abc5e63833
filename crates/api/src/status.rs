//! What the controller writes back: a rounded summary for people, never a store of metrics.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the group.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamGroupStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// Accepted, ResolvedRefs, Programmed, Available and UsingBackup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The data planes that serve the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_planes: Option<DataPlanes>,

    /// The group as a whole, over all data planes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,

    /// The servers, at most 64, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub servers: Vec<ServerStatus>,

    /// How many servers are left out of servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub truncated: Option<i32>,
}

/// The data planes that serve the group.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DataPlanes {
    /// How many are connected.
    #[schemars(range(min = 0))]
    pub connected: i32,

    /// How many of them run this generation.
    #[schemars(range(min = 0))]
    pub programmed: i32,

    /// Programmed of connected as a text, such as 3/3.
    #[schemars(length(max = 32))]
    pub ready: String,

    /// The content version that is published to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub revision: Option<String>,
}

/// The group as a whole, over all data planes. Counters are rounded.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Servers that a data plane uses; without data planes all of the group.
    #[schemars(range(min = 0))]
    pub servers: i32,

    /// Servers that can be picked.
    #[schemars(range(min = 0))]
    pub available: i32,

    /// Available of servers as a text, such as 3/4.
    #[schemars(length(max = 32))]
    pub ready: String,

    /// Which servers take the requests: Primary, Backup or None.
    pub active_tier: ActiveTier,

    /// Requests in progress. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub active_requests: i64,

    /// Requests since the data planes started. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub requests: i64,

    /// Requests per second, averaged over the last interval. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub requests_per_second: i64,

    /// Failed attempts since the data planes started. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub failures: i64,

    /// Failed attempts of all attempts in percent, such as 0.02.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub error_percent: Option<String>,
}

/// Which servers take the requests.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActiveTier {
    Primary,
    Backup,
    None,
}

/// One server, over all data planes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// The name of its line in the spec.
    #[schemars(length(max = 63))]
    pub name: String,

    /// Its address.
    #[schemars(length(max = 112))]
    pub address: String,

    /// The pod behind it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,

    /// Primary or Backup.
    pub tier: ActiveTier,

    /// Its share of requests relative to other servers.
    #[schemars(range(min = 0))]
    pub weight: i32,

    /// What the data planes think of it: Up (picked by at least one), Unavailable (too many failures everywhere), Full (at
    /// maxConns everywhere), Down, Draining, or Unknown (no data plane told yet).
    pub state: ServerState,

    /// On how many data planes of those that use it it is up, such as 3/3.
    #[schemars(length(max = 32))]
    pub up_on: String,

    /// Requests in progress. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub active_requests: i64,

    /// Requests since the data planes started. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub requests: i64,

    /// Failed attempts since the data planes started. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub failures: i64,

    /// How often it became unavailable. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub ejections: i64,

    /// The failure that is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
}

/// What the data planes think of a server.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    Up,
    Unavailable,
    Full,
    Down,
    Draining,
    Unknown,
}

impl ServerState {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Up, Self::Unavailable, Self::Full, Self::Down, Self::Draining, Self::Unknown];
}

/// A failed attempt.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// Why it failed.
    pub reason: FailureReason,

    /// When it failed.
    pub time: Time,
}

/// Why an attempt failed: Error (refused, reset, closed), Timeout, InvalidHeader, Status (a listed status that was retried).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureReason {
    Error,
    Timeout,
    InvalidHeader,
    Status,
}
