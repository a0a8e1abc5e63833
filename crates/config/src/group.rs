//! A group of servers with its policies: what an nginx `upstream {}` block and the proxy directives around it say.

use std::sync::Arc;

pub use balance::retry::Condition;
use balance::{Availability, Tier};
use http::HeaderName;
use serde::{Deserialize, Serialize};

use crate::{Address, CertificateId, LineWeight, Millis, ServerTls, Sticky, Template, text};

/// A group, complete: every default is filled in. A member that is missing where one is read is the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How a server is chosen.
    #[serde(default)]
    pub method: Method,
    /// The servers, in configuration order; endpoints of a Service stand where its line stood. May be empty.
    pub servers: Vec<Server>,
    /// Idle connections to the servers.
    #[serde(default)]
    pub keepalive: Keepalive,
    /// What is retried.
    #[serde(default)]
    pub next_upstream: NextUpstream,
    /// Limits of one attempt.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How much of a request body is kept for a retry, bytes; beyond it a request that was sent is not retried.
    #[serde(default = "Group::default_replay_max_bytes")]
    pub replay_max_bytes: u64,
    /// How sessions are tied to servers, if they are.
    pub sticky: Option<Sticky>,
    /// What is spoken to the servers.
    #[serde(default)]
    pub protocol: Protocol,
    /// Changes to the request's header on its way to a server.
    #[serde(default)]
    pub request_headers: RequestHeaders,
}

/// nginx's methods with their arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// The default.
    #[default]
    RoundRobin,
    /// `least_conn`
    LeastConn,
    /// `ip_hash`
    IpHash,
    /// `hash KEY [consistent]`
    Hash {
        /// Evaluated once per request.
        key: Template,
        /// Ring instead of modulo.
        consistent: bool,
    },
    /// `random`
    Random,
    /// `random two least_conn`
    RandomTwo,
    /// `least_time header|last_byte [inflight]`
    LeastTime {
        /// Which time is averaged.
        measure: LeastTimeMeasure,
        /// Whether requests still running are weighed too.
        inflight: bool,
    },
}

pub use balance::Measure as LeastTimeMeasure;

/// One peer: one address with the parameters of its line. A member that is missing where one is read is nginx's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The name of the line it comes from; the label of logs and metrics.
    #[serde(deserialize_with = "text::shared")]
    pub name: Arc<str>,
    /// Where it listens.
    pub address: Address,
    /// The server as configured, `NAME:PORT`, where that is not the address: all addresses of a DNS name share one text. The
    /// consistent ring is made from it (nginx `peer->server`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
    /// nginx `weight=`; at least 1. With `weightMode: Shared` already divided.
    #[serde(default = "Server::default_weight")]
    pub weight: u32,
    /// What `weight` was made of, where a data plane may have to make it anew: in a group with hints whose weights were made
    /// ([`weigh`](crate::weigh)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_weight: Option<LineWeight>,
    /// nginx `max_fails=`; 0 never ejects.
    #[serde(default = "Server::default_max_fails")]
    pub max_fails: u32,
    /// nginx `fail_timeout=`, whole seconds.
    #[serde(default = "Server::default_fail_timeout")]
    pub fail_timeout: u32,
    /// nginx `max_conns=`, per data plane; 0 is no limit.
    #[serde(default)]
    pub max_conns: u32,
    /// How long a new or recovered server takes to reach its weight; 0 is at once.
    #[serde(default)]
    pub slow_start: Millis,
    /// nginx `backup`.
    #[serde(default)]
    pub tier: Tier,
    /// nginx `down`, `drain`.
    #[serde(default)]
    pub availability: Availability,
    /// nginx `route=`, 1 to 32 bytes.
    pub route: Option<Arc<str>>,
    /// The pod behind the address, where the source knows it.
    pub pod: Option<Pod>,
    /// The zones whose data planes should use it (`hints.forZones`, [`Group::for_zone`]); empty where it has no hints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub for_zones: Vec<Arc<str>>,
}

/// The pod behind an endpoint (`targetRef`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its name.
    #[serde(deserialize_with = "text::shared")]
    pub name: Arc<str>,
    /// Its UID: tells two pods apart that held one address.
    #[serde(default, deserialize_with = "text::shared_or_null")]
    pub uid: Option<Arc<str>>,
    /// The zone it runs in.
    #[serde(default, deserialize_with = "text::shared_or_null")]
    pub zone: Option<Arc<str>>,
}

/// nginx `keepalive`, `keepalive_requests`, `keepalive_time`, `keepalive_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepalive {
    /// Idle connections kept per worker for the whole group; 0 keeps none.
    pub connections: u32,
    /// Requests one connection may carry.
    pub requests: u32,
    /// How old a connection may grow.
    pub time: Millis,
    /// How long it may be idle.
    pub timeout: Millis,
}

impl Default for Keepalive {
    /// nginx 1.29.7's: 32 connections, 1000 requests, 1 h, 60 s.
    fn default() -> Self {
        Self { connections: 32, requests: 1000, time: Millis::from_secs(3600), timeout: Millis::from_secs(60) }
    }
}

/// nginx `proxy_next_upstream`, `_tries`, `_timeout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextUpstream {
    /// What is retried; empty is nginx's `off`.
    pub conditions: Vec<Condition>,
    /// Whether POST, LOCK and PATCH are retried once sending has begun.
    pub non_idempotent: bool,
    /// Attempts in all; 0 is no limit besides the servers.
    pub tries: u32,
    /// From the first pick, checked between attempts; 0 is none.
    pub timeout: Millis,
}

impl Default for NextUpstream {
    fn default() -> Self {
        Self {
            conditions: vec![Condition::Error, Condition::Timeout],
            non_idempotent: false,
            tries: 0,
            timeout: Millis(0),
        }
    }
}

/// nginx `proxy_connect_timeout`, `proxy_send_timeout`, `proxy_read_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From connect to established.
    pub connect: Millis,
    /// Between two successful writes of the request.
    pub send: Millis,
    /// Until the complete response header; in the body between two reads.
    pub read: Millis,
    /// How long an upgraded connection (WebSocket) may be silent in both directions. The API's `timeouts.tunnel`; where it
    /// is not set it is `read`, as in nginx.
    pub tunnel: Millis,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Millis::from_secs(60),
            send: Millis::from_secs(60),
            read: Millis::from_secs(60),
            tunnel: Millis::from_secs(60),
        }
    }
}

/// What is spoken to the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1 over TCP.
    #[default]
    Http1,
    /// HTTP/1.1 over TLS.
    Https(ServerTls),
}

/// nginx `proxy_set_header`; an empty value removes the header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHeaders {
    /// Replaced or added, in this order.
    pub set: Vec<SetHeader>,
    /// Removed.
    #[serde(with = "header_names")]
    pub remove: Vec<HeaderName>,
}

/// One `proxy_set_header NAME VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetHeader {
    /// The header's name.
    #[serde(with = "header_name")]
    pub name: HeaderName,
    /// Evaluated per request; empty removes the header.
    pub value: Template,
}

impl Group {
    /// The bytes of a request kept for a retry by default: 1 MiB.
    pub const DEFAULT_REPLAY_MAX_BYTES: u64 = 1 << 20;

    /// A group of these servers with nginx's defaults: what a plain Service backend is.
    pub fn with_defaults(servers: Vec<Server>) -> Self {
        Self {
            method: Method::default(),
            servers,
            keepalive: Keepalive::default(),
            next_upstream: NextUpstream::default(),
            timeouts: Timeouts::default(),
            replay_max_bytes: Self::DEFAULT_REPLAY_MAX_BYTES,
            sticky: None,
            protocol: Protocol::default(),
            request_headers: RequestHeaders::default(),
        }
    }

    const fn default_replay_max_bytes() -> u64 {
        Self::DEFAULT_REPLAY_MAX_BYTES
    }

    /// TLS to its servers, if it is spoken.
    pub fn tls(&self) -> Option<&ServerTls> {
        match &self.protocol {
            Protocol::Http1 => None,
            Protocol::Https(tls) => Some(tls),
        }
    }

    /// The certificate that its servers may ask for.
    pub fn client_certificate(&self) -> Option<&CertificateId> {
        self.tls()?.client_certificate.as_ref()
    }
}

impl Server {
    /// A server with nginx's defaults.
    pub fn new(name: &str, address: Address) -> Self {
        Self {
            name: name.into(),
            address,
            text: None,
            weight: Self::default_weight(),
            line_weight: None,
            max_fails: Self::default_max_fails(),
            fail_timeout: Self::default_fail_timeout(),
            max_conns: 0,
            slow_start: Millis(0),
            tier: Tier::Primary,
            availability: Availability::Up,
            route: None,
            pod: None,
            for_zones: Vec::new(),
        }
    }

    const fn default_weight() -> u32 {
        1
    }

    const fn default_max_fails() -> u32 {
        1
    }

    const fn default_fail_timeout() -> u32 {
        10
    }
}

mod header_name {
    use http::HeaderName;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderName, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod header_names {
    use http::HeaderName;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(names: &[HeaderName], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(names.iter().map(HeaderName::as_str))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HeaderName>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| name.parse().map_err(D::Error::custom)).collect()
    }
}
