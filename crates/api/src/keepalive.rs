//! nginx's `keepalive` family of directives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Idle connections kept to the servers: nginx keepalive, keepalive_requests, keepalive_time, keepalive_timeout.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Keepalive {
    /// Idle connections kept per worker for the whole group; 0 keeps none. Default: 32.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub connections: i32,

    /// Requests one connection may carry before it is closed. Default: 1000.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub requests: i32,

    /// How old a connection may grow. Default: 1h.
    pub time: Duration,

    /// How long a connection may be idle. Default: 60s.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { connections: 32, requests: 1000, time: "1h".into(), timeout: "60s".into() }
    }
}
