//! Limits of one attempt: its time, and the bytes kept to repeat it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Size};

/// How long one attempt may take: nginx proxy_connect_timeout, proxy_send_timeout and proxy_read_timeout.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// Until the connection is established. Default: 60s.
    pub connect: Duration,

    /// Between two successful writes of the request. Default: 60s.
    pub send: Duration,

    /// Until the response header is complete; in the body, between two reads. Default: 60s.
    pub read: Duration,

    /// How long an upgraded connection (WebSocket) may be silent in both directions. Not set: the value of read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Duration>,
}

/// How much of a request is kept so that it can be sent again.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestBuffering {
    /// Bytes of the request's body kept for another attempt; a request whose body is longer is not tried again once it was
    /// sent. Default: 1Mi.
    pub max_bytes: Size,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: "60s".into(), send: "60s".into(), read: "60s".into(), tunnel: None }
    }
}

impl Default for RequestBuffering {
    fn default() -> Self {
        Self { max_bytes: "1Mi".into() }
    }
}
