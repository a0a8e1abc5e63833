//! nginx's `proxy_next_upstream` family of directives.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Which failed attempts are tried again on another server: nginx proxy_next_upstream, _tries and _timeout.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!('Off' in self.conditions) || self.conditions.size() == 1")
        .message("the condition Off excludes every other condition"),
)]
pub struct NextUpstream {
    /// What is tried again: Error (refused, reset, closed early), Timeout, InvalidHeader, the status codes Http500, Http502,
    /// Http503, Http504, Http403, Http404 and Http429, or Off alone for nothing. Default: Error and Timeout.
    #[serde(default = "error_and_timeout")]
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub conditions: Vec<NextUpstreamCondition>,

    /// Whether POST, LOCK and PATCH are tried again although a server may have begun to act on them. Default: false.
    #[serde(default)]
    pub non_idempotent: bool,

    /// Attempts in all, the first included; 0 is no limit besides the servers. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub tries: i32,

    /// How long after the first attempt another may begin; 0s is no limit. Default: 0s.
    #[serde(default)]
    pub timeout: Duration,
}

/// One word of proxy_next_upstream.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextUpstreamCondition {
    Error,
    Timeout,
    InvalidHeader,
    Http500,
    Http502,
    Http503,
    Http504,
    Http403,
    Http404,
    Http429,
    Off,
}

impl Default for NextUpstream {
    fn default() -> Self {
        Self { conditions: error_and_timeout(), non_idempotent: false, tries: 0, timeout: Duration::default() }
    }
}

fn error_and_timeout() -> Vec<NextUpstreamCondition> {
    vec![NextUpstreamCondition::Error, NextUpstreamCondition::Timeout]
}
