//! nginx's `sticky` directive (1.29.6): three ways to tie a session to a server, exactly one of which is set.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CookieLifetime, Duration};

/// Ties the requests of a session to one server, in one of three ways.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.cookie), has(self.route), has(self.learn)].filter(x, x).size() == 1")
        .message("exactly one of cookie, route or learn must be set"),
)]
pub struct Sticky {
    /// Forebay names the server in a cookie of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<StickyCookie>,

    /// The client names the server by the route of its line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<StickyRoute>,

    /// Forebay remembers which server began a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn: Option<StickyLearn>,
}

/// nginx `sticky cookie`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StickyCookie {
    /// The cookie's name.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"))]
    pub name: String,

    /// How long the browser keeps the cookie, in whole seconds, or max. Not set: until the browser is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<CookieLifetime>,

    /// The cookie's Domain attribute. Not set: the host of the request only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^\.?[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$")
    )]
    pub domain: Option<String>,

    /// The cookie's Path attribute. Not set: the path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[!-:<-~]*$"))]
    pub path: Option<String>,

    /// Whether scripts cannot read the cookie. Default: false.
    #[serde(default)]
    pub http_only: bool,

    /// Whether the cookie is sent over HTTPS only. Default: false.
    #[serde(default)]
    pub secure: bool,

    /// The cookie's SameSite attribute. Not set: none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_site: Option<SameSite>,
}

/// The SameSite attribute of a cookie.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// nginx `sticky route`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StickyRoute {
    /// Texts with nginx variables; the first that is not empty names the server's route.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub keys: Vec<String>,
}

/// nginx `sticky learn`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StickyLearn {
    /// Texts with nginx variables, evaluated on a response; the first that is not empty begins or refreshes a session.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub create: Vec<String>,

    /// Texts with nginx variables, evaluated on a request; the first that is not empty finds the session.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub lookup: Vec<String>,

    /// How long a session is remembered after its last use. Default: 10m.
    #[serde(default = "ten_minutes")]
    pub timeout: Duration,

    /// Whether a session begins when the response header was read rather than at the end of the response. Default: false.
    #[serde(default)]
    pub on_header: bool,

    /// Sessions remembered at most, per data plane; the one used longest ago makes room. Default: 100000.
    #[serde(default = "hundred_thousand")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_sessions: i32,
}

fn ten_minutes() -> Duration {
    "10m".into()
}

const fn hundred_thousand() -> i32 {
    100_000
}
