//! Services: from a reference `name:port` to the port's name, and from there to endpoints through the slices.
//!
//! A Service is asked for one thing only, to turn the number of a port into its name or the other way round; what listens
//! where is in the slices. `targetPort` is never computed.

use std::collections::BTreeSet;
use std::fmt;

use config::{Code, Diagnostic, Protocol, Severity};
use k8s_openapi::api::core::v1::Service;

use crate::codes;
use crate::document::Objects;
use crate::endpoints::{self, Draining, Endpoint, Policy, Prefer};
use crate::kind::Kind;
use crate::slices::{Slices, WantedPort};

/// How to mend a reference to what is refused.
pub const MEND: &str = "mend it: what is wrong is said against it";

/// The Services and their endpoints.
#[derive(Clone, Copy)]
pub struct Services<'a> {
    objects: &'a Objects,
    slices: &'a Slices,
}

/// How a reference names a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortRef<'a> {
    /// By name.
    Name(&'a str),
    /// By the Service's port number.
    Number(u16),
}

/// A port that a Service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedPort<'a> {
    /// The Service's number of the port: what an implicit group is called by, however it was referred to.
    pub number: u16,
    wanted: WantedPort<'a>,
    prefer: Prefer,
}

/// Why a reference leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// There is no such Service.
    #[error("Service {namespace}/{name} does not exist")]
    Missing {
        /// Where it was looked for.
        namespace: String,
        /// What was looked for.
        name: String,
        /// What was likely meant.
        near: Option<String>,
    },
    /// The Service is there, but nothing of it could be read.
    #[error("Service {namespace}/{name} is refused")]
    Refused {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The Service is a DNS alias (CVE-2021-25740).
    #[error("Service {namespace}/{name} is an ExternalName, which is not followed")]
    ExternalName {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The Service has no such TCP port.
    #[error("Service {namespace}/{name} has no TCP port {port}")]
    NoPort {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What was asked for.
        port: String,
        /// What it has.
        has: String,
    },
}

impl<'a> Services<'a> {
    /// The Services of `objects` with their slices.
    pub fn new(objects: &'a Objects, slices: &'a Slices) -> Self {
        Self { objects, slices }
    }

    /// Resolves a reference within `namespace`.
    pub fn port<'r>(&'r self, namespace: &str, name: &str, port: PortRef<'r>) -> Result<ResolvedPort<'r>, Unresolved> {
        let owned = || (namespace.to_owned(), name.to_owned());
        let Some(service) = self.objects.services.find(namespace, name) else {
            let is_refused = self.objects.is_refused(Service::KIND, namespace, name);
            let (namespace, name) = owned();
            return Err(if is_refused {
                Unresolved::Refused { namespace, name }
            } else {
                let near = self.objects.services.nearest(&namespace, &name);
                Unresolved::Missing { namespace, name, near }
            });
        };
        let spec = service.spec.as_ref();
        if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
            let (namespace, name) = owned();
            return Err(Unresolved::ExternalName { namespace, name });
        }
        let families = spec.and_then(|spec| spec.ip_families.as_ref());
        let first_family = families.and_then(|families| families.first());
        let prefer = if first_family.is_some_and(|family| family == "IPv6") { Prefer::Ipv6 } else { Prefer::Ipv4 };

        let declared = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        let mut tcp = declared.iter().filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
        let found = tcp.clone().find(|declared| match port {
            PortRef::Name(name) => declared.name.as_deref().unwrap_or_default() == name,
            PortRef::Number(number) => declared.port == i32::from(number),
        });
        let asked = match port {
            PortRef::Name(_) => None,
            PortRef::Number(number) => Some(number),
        };
        match (found.and_then(|found| Some((found, u16::try_from(found.port).ok()?))), asked) {
            (Some((found, number)), _) => {
                let names = tcp.by_ref().map(|port| port.name.as_deref().unwrap_or_default());
                let own = found.name.as_deref().unwrap_or_default();
                let name = self.name_in_slices((namespace, name), &names.collect(), own);
                Ok(ResolvedPort { number, wanted: WantedPort::Declared(name), prefer })
            }
            (None, Some(number)) if declared.is_empty() => {
                Ok(ResolvedPort { number, wanted: WantedPort::Undeclared(number), prefer })
            }
            (None, _) => {
                let (namespace, name) = owned();
                let describe = |port: &k8s_openapi::api::core::v1::ServicePort| match port.name.as_deref() {
                    Some(name) if !name.is_empty() => format!("{name} ({})", port.port),
                    _ => port.port.to_string(),
                };
                let has = tcp.by_ref().map(describe).collect::<Vec<_>>().join(", ");
                Err(Unresolved::NoPort { namespace, name, port: port.to_string(), has })
            }
        }
    }

    /// What slices call a port of the Service. One that was renamed has its old name there until they follow, or, where the
    /// Service's new version is yet to arrive, its new name already. So where just one of their names is none of the Service's,
    /// and just one of the Service's is none of theirs, these two are one port.
    fn name_in_slices<'n>(
        &'n self,
        (namespace, service): (&str, &str),
        declared: &BTreeSet<&'n str>,
        name: &'n str,
    ) -> &'n str {
        let theirs = self.slices.port_names(namespace, service);
        let (mut strange, mut missing) = (theirs.difference(declared), declared.difference(&theirs));
        match (strange.next(), strange.next(), missing.next(), missing.next()) {
            (Some(strange), None, Some(&missing), None) if missing == name => strange,
            _ => name,
        }
    }

    /// The endpoints that are servers now. Empty when the Service has none.
    pub fn endpoints(&self, namespace: &str, name: &str, port: ResolvedPort<'_>, draining: Draining) -> Vec<Endpoint> {
        let policy = Policy { prefer: port.prefer, draining };
        endpoints::choose(self.slices.candidates(namespace, name, port.wanted), policy)
    }

    /// What to say when the port asks for something else than `protocol`; [`crate::app_protocol::AppProtocol::doubt`] says what `mend` is. The
    /// caller adds the field.
    pub fn doubt(
        &self,
        (namespace, name): (&str, &str),
        port: ResolvedPort<'_>,
        protocol: &Protocol,
        mend: &str,
    ) -> Option<Diagnostic> {
        let asked = self.slices.app_protocols(namespace, name, port.wanted);
        asked.into_iter().find_map(|asked| asked.doubt(protocol, mend))
    }

    /// What to say when there is no endpoint; the caller adds the field. A note, since in a cluster they come and go.
    pub fn no_endpoints(&self, namespace: &str, name: &str, port: ResolvedPort<'_>) -> Diagnostic {
        let message = format!("Service {namespace}/{name} has no ready endpoint");
        let hint = match self.slices.candidates(namespace, name, port.wanted).len() {
            0 => format!(
                "no EndpointSlice of it has port {}; kubectl get endpointslices -n {namespace} -l \
                 kubernetes.io/service-name={name} -o yaml prints those of a cluster",
                port.number
            ),
            count => format!("it has {count} that {} not ready", if count == 1 { "is" } else { "are" }),
        };
        Diagnostic::new(codes::NO_ENDPOINTS, Severity::Note, message).hint(hint)
    }
}

impl fmt::Display for PortRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "\"{name}\""),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl Unresolved {
    /// As a warning; the caller adds the field.
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, hint): (Code, _) = match self {
            Self::Missing { near: Some(near), .. } => (codes::SERVICE_MISSING, format!("did you mean {near}?")),
            Self::Missing { near: None, .. } => (codes::SERVICE_MISSING, "create it, or correct the name".to_owned()),
            Self::Refused { .. } => (codes::SERVICE_MISSING, MEND.to_owned()),
            Self::ExternalName { .. } => {
                (codes::EXTERNAL_NAME, "name its servers in an UpstreamGroup, by address".to_owned())
            }
            Self::NoPort { has, .. } if has.is_empty() => {
                (codes::PORT_MISSING, "it declares no port; refer to the port by number".to_owned())
            }
            Self::NoPort { has, .. } => (codes::PORT_MISSING, format!("it has {has}")),
        };
        Diagnostic::new(code, Severity::Warning, self.to_string()).hint(hint)
    }

    /// Which member of the reference is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Refused { .. } | Self::ExternalName { .. } => "name",
            Self::NoPort { .. } => "port",
        }
    }
}
