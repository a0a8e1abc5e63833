//! The name of a group, as it appears in routes, logs, metrics and on the wire.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::text::as_text;

/// `NAMESPACE/NAME` of an `UpstreamGroup`, or `NAMESPACE/SERVICE:PORT` of the implicit group of a Service backend. The two
/// cannot collide: a Kubernetes name has no colon.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl GroupId {
    /// The group of the `UpstreamGroup` object `namespace/name`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The implicit group of one port of a Service.
    pub fn for_service(namespace: &str, service: &str, port: &str) -> Self {
        Self { namespace: namespace.into(), name: format!("{service}:{port}").into() }
    }

    /// Whether it is a Service's: an object's name has no colon (RFC 1123).
    pub fn is_implicit(&self) -> bool {
        self.name.contains(':')
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The text is not `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" does not name a group; write NAMESPACE/NAME, for example default/app")]
pub struct GroupIdError(String);

impl FromStr for GroupId {
    type Err = GroupIdError;

    fn from_str(text: &str) -> Result<Self, GroupIdError> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(GroupIdError(text.to_owned())),
        }
    }
}

as_text!(GroupId);
