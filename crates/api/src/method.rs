//! The balancing methods. A discriminated union: `type` says which, and the member of that name holds its arguments.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a server is chosen for a request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.type == 'Hash') == has(self.hash)")
        .message("hash must be set when type is Hash, and only then"),
    validation = Rule::new("(self.type == 'LeastTime') == has(self.leastTime)")
        .message("leastTime must be set when type is LeastTime, and only then"),
    validation = Rule::new("self.type == 'Random' || !has(self.random)")
        .message("random may only be set when type is Random"),
)]
pub struct Method {
    /// The method: RoundRobin (smooth weighted round robin), LeastConn (fewest active requests per weight), IPHash (by the
    /// client's address), Hash (by a key), Random, or LeastTime (lowest average response time). Default: RoundRobin.
    #[serde(default, rename = "type")]
    pub r#type: MethodType,

    /// The key of method Hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,

    /// The arguments of method Random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<Random>,

    /// The arguments of method LeastTime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_time: Option<LeastTime>,
}

/// nginx's methods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MethodType {
    #[default]
    RoundRobin,
    LeastConn,
    IPHash,
    Hash,
    Random,
    LeastTime,
}

/// nginx `hash KEY [consistent]`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Hash {
    /// A text with nginx variables, for example "$request_uri". Requests with the same key go to the same server.
    #[schemars(length(min = 1, max = 1024))]
    pub key: String,

    /// Whether servers come and go on a ring (ketama), so that few keys change their server. Default: false.
    #[serde(default)]
    pub consistent: bool,
}

/// nginx `random [two least_conn]`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Random {
    /// One: any server, by weight. Two: of two drawn servers the one with fewer active requests per weight. Default: One.
    pub choices: RandomChoices,
}

/// How many servers are drawn.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RandomChoices {
    #[default]
    One,
    Two,
}

/// nginx `least_time header|last_byte [inflight]`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LeastTime {
    /// The time that is averaged: until the response header (Header) or until its last byte (LastByte).
    pub measure: Measure,

    /// Whether requests that still run are weighed too. Default: false.
    #[serde(default)]
    pub inflight: bool,
}

/// The time that least_time averages.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Header,
    LastByte,
}
