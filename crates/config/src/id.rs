//! Names within namespaces, as they appear in routes, logs, metrics and on the wire.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::text::as_text;

/// `NAMESPACE/NAME` of an `UpstreamGroup`, or `NAMESPACE/SERVICE:PORT` of the implicit group of a Service backend. The two
/// cannot collide: a Kubernetes name has no colon.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(Id);

/// `NAMESPACE/NAME` of the Secret a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateId(Id);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Id {
    namespace: Arc<str>,
    name: Arc<str>,
}

/// The text is not `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" does not name a {what}")]
pub struct IdError {
    text: String,
    /// What it should name, and how.
    what: &'static str,
}

/// Makes a type the name of something that belongs to an object.
macro_rules! id {
    ($type:ty, $what:literal) => {
        impl $type {
            /// Of the object `namespace/name`.
            pub fn new(namespace: &str, name: &str) -> Self {
                Self(Id { namespace: namespace.into(), name: name.into() })
            }

            /// The namespace.
            pub fn namespace(&self) -> &str {
                &self.0.namespace
            }

            /// The name within the namespace.
            pub fn name(&self) -> &str {
                &self.0.name
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.namespace(), self.name())
            }
        }

        impl FromStr for $type {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                match text.split_once('/') {
                    Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                        Ok(Self::new(namespace, name))
                    }
                    _ => Err(IdError { text: text.to_owned(), what: $what }),
                }
            }
        }

        as_text!($type);
    };
}

id!(GroupId, "group; write NAMESPACE/NAME, for example default/app");
id!(CertificateId, "certificate; write NAMESPACE/NAME of its Secret, for example default/shop-tls");

impl GroupId {
    /// The implicit group of one port of a Service.
    pub fn for_service(namespace: &str, service: &str, port: &str) -> Self {
        Self::new(namespace, &format!("{service}:{port}"))
    }

    /// Whether it is a Service's: an object's name has no colon (RFC 1123).
    pub fn is_implicit(&self) -> bool {
        self.name().contains(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        assert_eq!("shop/app".parse(), Ok(GroupId::new("shop", "app")));
        assert_eq!(GroupId::for_service("shop", "app", "80").to_string(), "shop/app:80");
        for text in ["", "app", "/app", "shop/", "shop/app/80"] {
            let error = text.parse::<CertificateId>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"{text}\" does not name a certificate; write ")), "{error}");
        }
    }
}
