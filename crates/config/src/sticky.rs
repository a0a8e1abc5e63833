//! The three ways a session is tied to a server (nginx `sticky`, 1.29.6).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Millis, Template};

/// nginx `sticky cookie | route | learn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sticky {
    /// Forebay names the server in a cookie of its own.
    Cookie(StickyCookie),
    /// The client names the server's `route`.
    Route(StickyRoute),
    /// Forebay remembers which server answered a session.
    Learn(StickyLearn),
}

/// `sticky cookie NAME [expires=] [domain=] [httponly] [secure] [samesite=] [path=]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickyCookie {
    /// The cookie's name.
    pub name: Arc<str>,
    /// Its lifetime; `None` is a session cookie.
    pub expires: Option<CookieLifetime>,
    /// Its `Domain` attribute.
    pub domain: Option<Arc<str>>,
    /// Its `Path` attribute.
    pub path: Option<Arc<str>>,
    /// Its `HttpOnly` attribute.
    pub http_only: bool,
    /// Its `Secure` attribute.
    pub secure: bool,
    /// Its `SameSite` attribute.
    pub same_site: Option<SameSite>,
}

/// nginx `expires=TIME | max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CookieLifetime {
    /// `expires=TIME`, written as `Expires` and `Max-Age`, in whole seconds.
    After(Millis),
    /// `expires=max`: Thu, 31-Dec-37 23:55:55 GMT and 315360000 s.
    Max,
}

/// The `SameSite` attribute of a cookie (RFC 6265bis).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// `sticky route $v1 $v2 ...`: the first that is not empty is the server id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickyRoute {
    /// Evaluated in order.
    pub keys: Vec<Template>,
}

/// `sticky learn create=$v lookup=$v timeout= [header]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickyLearn {
    /// Evaluated on a response; the first that is not empty starts or refreshes a session.
    pub create: Vec<Template>,
    /// Evaluated on a request; the first that is not empty is looked up.
    pub lookup: Vec<Template>,
    /// How long a session lives after its last use.
    pub timeout: Millis,
    /// Create as soon as the response header was read, rather than at the end of the response.
    pub on_header: bool,
    /// The bound of the table; the session used longest ago makes room.
    pub max_sessions: u32,
}
