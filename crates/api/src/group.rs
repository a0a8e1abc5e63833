//! The object itself: what nginx writes as an `upstream {}` block with the `proxy_*` directives around it.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    Keepalive, Method, NextUpstream, Protocol, RequestBuffering, RequestHeaders, Server, Sticky, Timeouts,
    UpstreamGroupStatus, UpstreamTls,
};

/// The API group.
pub const GROUP: &str = "forebay.dev";
/// The API version.
pub const VERSION: &str = "v1alpha1";
/// The kind.
pub const KIND: &str = "UpstreamGroup";

/// The servers of an upstream group and how requests are shared among them. Every default is nginx's.
#[allow(clippy::duplicated_attributes, reason = "each printer column has its own type and path")]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "forebay.dev",
    version = "v1alpha1",
    kind = "UpstreamGroup",
    plural = "upstreamgroups",
    singular = "upstreamgroup",
    shortname = "ug",
    category = "forebay",
    namespaced,
    status = "UpstreamGroupStatus",
    derive = "PartialEq",
    doc = "UpstreamGroup is a group of servers and how requests are shared among them: nginx's upstream block as an object.",
    printcolumn(
        name = "Method",
        type_ = "string",
        json_path = ".spec.method.type",
        description = "How a server is chosen"
    ),
    printcolumn(
        name = "Servers",
        type_ = "string",
        json_path = ".status.summary.ready",
        description = "Available servers of all servers"
    ),
    printcolumn(
        name = "Tier",
        type_ = "string",
        json_path = ".status.summary.activeTier",
        description = "Whether primary or backup servers take the requests"
    ),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].status"#,
        description = "Whether the spec is understood and used"
    ),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Programmed")].status"#,
        description = "Whether every connected data plane runs this generation"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Proxies",
        type_ = "string",
        json_path = ".status.dataPlanes.ready",
        priority = 1,
        description = "Data planes running this generation of all connected"
    ),
    printcolumn(
        name = "Revision",
        type_ = "string",
        json_path = ".status.dataPlanes.revision",
        priority = 1,
        description = "The content version that is published to data planes"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.servers.exists(s, !s.backup)")
        .message("servers must contain at least one server that is not a backup"),
    validation = Rule::new("!(self.method.type in ['IPHash', 'Hash', 'Random']) || !self.servers.exists(s, s.backup)")
        .message("the methods IPHash, Hash and Random do not support backup servers"),
    validation = Rule::new(
        "!(self.method.type in ['IPHash', 'Hash', 'Random']) \
         || self.servers.all(s, duration(s.slowStart) == duration('0s'))")
        .message("the methods IPHash, Hash and Random do not support slowStart"),
    validation = Rule::new("!has(self.tls) || self.protocol in ['HTTPS', 'H2']")
        .message("tls may only be set when protocol is HTTPS or H2"),
)]
pub struct UpstreamGroupSpec {
    /// How a server is chosen for a request. Default: round robin.
    #[serde(default)]
    pub method: Method,

    /// The servers, 1 to 256, each with a name of its own. The order matters to the hash methods and to ties.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub servers: Vec<Server>,

    /// Idle connections kept to the servers.
    #[serde(default)]
    pub keepalive: Keepalive,

    /// Which failed attempts are tried again on another server.
    #[serde(default)]
    pub next_upstream: NextUpstream,

    /// How long one attempt may take.
    #[serde(default)]
    pub timeouts: Timeouts,

    /// How much of a request is kept so that it can be sent again.
    #[serde(default)]
    pub request_buffering: RequestBuffering,

    /// Ties the requests of a session to one server. Not set: each request is balanced on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,

    /// What is spoken to the servers. gRPC needs H2C or H2. Default: HTTP1.
    #[serde(default)]
    pub protocol: Protocol,

    /// TLS to the servers; only with the protocols HTTPS and H2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,

    /// Changes to the request's header on its way to a server.
    #[serde(default)]
    pub request_headers: RequestHeaders,
}
