//! One line of the group: where it leads and the parameters nginx's `server` directive takes.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Seconds};

/// The texts that are the address of a server, up to the IPv6 address in brackets, which a CEL rule checks.
pub const ADDRESS_PATTERN: &str = r"^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])|\[[0-9a-fA-F:]+\]):([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$|^unix:/.*$";

/// One server, or all endpoints of one Service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.service), has(self.address), has(self.dns)].filter(x, x).size() == 1")
        .message("exactly one of service, address or dns must be set"),
    validation = Rule::new("!(self.down && self.drain)")
        .message("down and drain exclude each other"),
    validation = Rule::new("self.weightMode == 'PerEndpoint' || has(self.service)")
        .message("weightMode Shared may only be set together with service"),
)]
pub struct Server {
    /// The name of this line, unique in the group; the label of logs, metrics and status.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// A Service of the same namespace: each of its endpoints is a server with this line's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTarget>,

    /// A fixed address: IP:PORT, [IPv6]:PORT or unix:/absolute/path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 112),
        regex(
            pattern = ADDRESS_PATTERN
        )
    )]
    #[x_kube(validation = Rule::new("!self.startsWith('[') || isIP(self.substring(1, self.lastIndexOf(']')))")
        .message("the text in brackets must be an IPv6 address"))]
    pub address: Option<String>,

    /// A DNS name, looked up again as its records expire: each of its addresses is a server with this line's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsTarget>,

    /// The share of requests relative to other servers, 1 to 65535. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 65535))]
    pub weight: i32,

    /// PerEndpoint: every endpoint of the line has its weight. Shared: the weight is divided among the line's endpoints, so
    /// that 90 to 10 stays 90 to 10 whatever the pods count. Shared needs service. Default: PerEndpoint.
    #[serde(default)]
    pub weight_mode: WeightMode,

    /// Failed attempts that make the server unavailable. They add up, however long that takes, until a success clears them
    /// (see failTimeout). 0: none ever do. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub max_fails: i32,

    /// How long the server is then left alone, and how long after its last failure a request must begin for its success to
    /// clear the failed attempts, in whole seconds. Default: 10s.
    #[serde(default = "ten_seconds")]
    pub fail_timeout: Seconds,

    /// Active requests the server is given at most, per data plane; 0 is no limit. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub max_conns: i32,

    /// How long a new or recovered server takes to reach its weight; 0s is at once. Default: 0s.
    #[serde(default)]
    pub slow_start: Duration,

    /// Whether the server takes requests only while no other can. Default: false.
    #[serde(default)]
    pub backup: bool,

    /// Whether the server takes no requests at all. Default: false.
    #[serde(default)]
    pub down: bool,

    /// Whether the server takes only requests of sessions that are already tied to it. Default: false.
    #[serde(default)]
    pub drain: bool,

    /// The id by which sticky sessions name this server, 1 to 32 characters that a cookie may hold. Not set: a hash of its
    /// address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[!#-+\--:<-\[\]-~]+$"))]
    pub route: Option<String>,
}

/// A port of a Service in the group's namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTarget {
    /// The Service's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The Service port, by name or number.
    #[schemars(extend(
        "minimum" = 1,
        "maximum" = 65535,
        "minLength" = 1,
        "maxLength" = 15,
        "pattern" = r"^([a-z0-9][-a-z0-9]*)?[a-z]([-a-z0-9]*[a-z0-9])?$"
    ))]
    pub port: IntOrString,
}

/// A name in the DNS.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DnsTarget {
    /// A fully qualified name with A or AAAA records.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,

    /// The port at each address.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// What the weight of a Service's line applies to.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightMode {
    #[default]
    PerEndpoint,
    Shared,
}

const fn one() -> i32 {
    1
}

fn ten_seconds() -> Seconds {
    "10s".into()
}
