//! Which group a request goes to: host, then path. Made from Ingress rules; ready for other sources.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::text::as_text;
use crate::{GroupId, dns};

/// Every route of a data plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// One entry per distinct host pattern. Shared, because one changes and thousands do not.
    pub hosts: Vec<Arc<HostRoutes>>,
}

/// The paths of one host pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRoutes {
    /// Whom it is for.
    pub host: HostPattern,
    /// In any order: precedence is Exact, then the longest Prefix (Ingress v1 API documentation, "Multiple matches").
    pub paths: Vec<PathRoute>,
    /// What a request to this host gets when no path matches.
    pub default: Option<Target>,
}

/// One path rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRoute {
    /// When it applies.
    pub path: PathMatch,
    /// Where it leads.
    pub target: Target,
    /// The object it comes from, `ingress shop/web`, for people.
    pub origin: Arc<str>,
}

/// How a path is compared with the request's, both decoded and normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PathMatch {
    /// Equal, byte by byte.
    Exact(Arc<str>),
    /// Element by element, a trailing slash ignored: `/a` matches `/a`, `/a/` and `/a/b`, not `/ab`.
    Prefix(Arc<str>),
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// To a group of this configuration.
    Group(GroupId),
    /// Nowhere: its backend cannot be resolved. Answered with 503.
    Unavailable {
        /// Why, for the log.
        reason: Arc<str>,
    },
}

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// One host, lower case.
    Exact(Arc<str>),
    /// `*.example.com`: exactly one label more than the suffix held here (`example.com`).
    Wildcard(Arc<str>),
    /// Any host.
    Any,
}

/// Why a text is not a host pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a host; write a DNS name in lower case, or *.NAME for exactly one label more")]
pub struct HostPatternError(String);

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    /// The empty text and `*` are [`HostPattern::Any`].
    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        if text.is_empty() || text == "*" {
            return Ok(Self::Any);
        }
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (text, false),
        };
        if !dns::is_name(name) {
            return Err(HostPatternError(text.to_owned()));
        }
        Ok(if wildcard { Self::Wildcard(name.into()) } else { Self::Exact(name.into()) })
    }
}

as_text!(HostPattern);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_patterns_round_trip() {
        for text in ["shop.example", "*.shop.example", "*"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
        assert_eq!("".parse(), Ok(HostPattern::Any));
        for text in ["Shop.example", "*.*.example", "*.", "a..b", "-a", "shop.example:80", "a/b"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
