//! Where a backend of a route leads: to the group of an `UpstreamGroup`, or to the implicit group of a Service's port.
//!
//! Implicit groups are made as they are referred to, with nginx's defaults, and named by the port's number however the
//! reference spelled it, so that two routes to one port share one group and its failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Address, Diagnostic, Group, GroupId, Protocol, Server, Severity, Target};
use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressServiceBackend};

use crate::by_name::{ByName, Name};
use crate::codes;
use crate::endpoints::Draining;
use crate::kind::namespace;
use crate::report::{Place, Reading};
use crate::services::{MEND, PortRef, Services};
use crate::verdict::Verdict;

/// Resolves backends, and remembers what they came to need.
pub struct Backends<'a> {
    services: Services<'a>,
    groups: &'a BTreeMap<GroupId, Verdict>,
    needs: Needs,
    /// The implicit groups of the version that is read, which may yet be refused.
    asked: BTreeMap<GroupId, Implicit>,
}

/// What routes need beside the groups of objects.
#[derive(Debug, Default)]
pub struct Needs {
    /// The implicit groups.
    pub implicit: BTreeMap<GroupId, Implicit>,
    /// Every Service that was asked for, whether or not it exists.
    pub services: ByName<()>,
}

/// The group of one port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Implicit {
    service: Arc<str>,
    port: u16,
    /// The first reference to it.
    pub place: Option<Place>,
}

impl Needs {
    /// The implicit groups of a Service.
    pub fn implicit_of(&self, (namespace, service): &Name) -> impl Iterator<Item = GroupId> {
        let first = GroupId::for_service(namespace, service, "");
        let prefix = first.name().to_owned();
        let of_service = move |id: &&GroupId| id.namespace() == &**namespace && id.name().starts_with(&prefix);
        self.implicit.range(first..).map(|(id, _)| id).take_while(of_service).cloned()
    }
}

impl Implicit {
    /// The group with what is said about it where it is referred to. `None` when the Service no longer has the port; the
    /// routes are then read again, too.
    pub fn read(&self, id: &GroupId, services: Services<'_>) -> Option<(Group, Option<Diagnostic>)> {
        let resolved = services.port(id.namespace(), &self.service, PortRef::Number(self.port)).ok()?;
        let endpoints = services.endpoints(id.namespace(), &self.service, resolved, Draining::Leave);
        let note = if endpoints.is_empty() {
            Some(services.no_endpoints(id.namespace(), &self.service, resolved))
        } else {
            let mend = "route to an UpstreamGroup of this Service with protocol: HTTPS";
            services.doubt((id.namespace(), &self.service), resolved, &Protocol::default(), mend)
        };
        let note = self.place.as_ref().zip(note).map(|(place, note)| place.say(note));
        let servers = endpoints.into_iter().map(|endpoint| Server {
            pod: endpoint.pod,
            for_zones: endpoint.for_zones,
            ..Server::new(&self.service, Address::Inet(endpoint.address))
        });
        Some((Group::with_defaults(servers.collect()), note))
    }
}

impl<'a> Backends<'a> {
    /// Nothing is needed yet; `groups` are those of objects.
    pub fn new(services: Services<'a>, groups: &'a BTreeMap<GroupId, Verdict>) -> Self {
        Self { services, groups, needs: Needs::default(), asked: BTreeMap::new() }
    }

    /// Another version of the Ingress is read: what the one before asked for is not needed.
    pub fn start_over(&mut self) {
        self.asked.clear();
    }

    /// What was read is all there is of the Ingress: its groups are needed. The first reference to a group stays.
    pub fn keep(&mut self) {
        for (id, implicit) in std::mem::take(&mut self.asked) {
            self.needs.implicit.entry(id).or_insert(implicit);
        }
    }

    /// What is needed.
    pub fn into_needs(self) -> Needs {
        self.needs
    }

    /// Resolves a backend. `None` refuses the Ingress: the backend is not one.
    pub fn target(
        &mut self,
        reading: &mut Reading<'_, Ingress>,
        field: &str,
        backend: &IngressBackend,
    ) -> Option<Target> {
        match (&backend.service, &backend.resource) {
            (Some(service), None) => self.service(reading, &format!("{field}.service"), service),
            (None, Some(resource)) => Some(self.resource(reading, &format!("{field}.resource"), resource)),
            (service, _) => {
                let message = match service {
                    Some(_) => "service and resource exclude each other",
                    None => "a backend names a service or a resource",
                };
                reading.error(codes::BACKEND, field, message, "name exactly one of the two");
                None
            }
        }
    }

    fn service(
        &mut self,
        reading: &mut Reading<'_, Ingress>,
        field: &str,
        backend: &IngressServiceBackend,
    ) -> Option<Target> {
        let port = backend.port.as_ref();
        let number = port.and_then(|port| port.number).map(u16::try_from);
        let port = match (port.and_then(|port| port.name.as_deref()).filter(|name| !name.is_empty()), number) {
            (Some(name), None) => PortRef::Name(name),
            (None, Some(Ok(number))) if number > 0 => PortRef::Number(number),
            _ => {
                let hint = "write port: {number: 80} or port: {name: http}";
                let message = "the port is either a name or a number from 1 to 65535";
                reading.error(codes::BACKEND, format!("{field}.port"), message, hint);
                return None;
            }
        };
        let namespace = namespace(&reading.located.metadata);
        self.needs.services.insert(namespace, &backend.name, ());
        let resolved = match self.services.port(namespace, &backend.name, port) {
            Ok(resolved) => resolved,
            Err(unresolved) => {
                reading.say(unresolved.diagnostic().field(format!("{field}.{}", unresolved.field())));
                return Some(Target::Unavailable { reason: unresolved.to_string().into() });
            }
        };
        let id = GroupId::for_service(namespace, &backend.name, &resolved.number.to_string());
        self.asked.entry(id.clone()).or_insert_with(|| Implicit {
            service: backend.name.as_str().into(),
            port: resolved.number,
            place: reading.place(&format!("{field}.name")),
        });
        Some(Target::Group(id))
    }

    /// A resource of a kind that is not ours is not an error of form: the API has no word for it, so it is a warning.
    fn resource(
        &self,
        reading: &mut Reading<'_, Ingress>,
        field: &str,
        resource: &TypedLocalObjectReference,
    ) -> Target {
        let api_group = resource.api_group.as_deref().unwrap_or_default();
        if (api_group, resource.kind.as_str()) != (api::GROUP, api::KIND) {
            let kind =
                if api_group.is_empty() { resource.kind.clone() } else { format!("{}.{api_group}", resource.kind) };
            let message = format!("a backend of kind {kind} is not supported");
            let hint = format!("name a Service, or an {} with apiGroup: {}", api::KIND, api::GROUP);
            reading.say(Diagnostic::new(codes::BACKEND, Severity::Warning, message.clone()).field(field).hint(hint));
            return Target::Unavailable { reason: message.into() };
        }
        let id = GroupId::new(namespace(&reading.located.metadata), &resource.name);
        let (message, hint, target) = match self.groups.get(&id) {
            Some(verdict) if !verdict.is_refused() => return Target::Group(id),
            // A data plane may have it from before it was refused, and else answers as for any group it does not have.
            Some(_) => (format!("{} {id} is refused", api::KIND), MEND.to_owned(), Target::Group(id)),
            None => {
                let message = format!("{} {id} does not exist", api::KIND);
                let hint = self.nearest(&id).map(|near| format!("did you mean {near}?"));
                let hint = hint.unwrap_or("create it in the Ingress's namespace".into());
                let reason = message.as_str().into();
                (message, hint, Target::Unavailable { reason })
            }
        };
        let said = Diagnostic::new(codes::GROUP_MISSING, Severity::Warning, message);
        reading.say(said.field(format!("{field}.name")).hint(hint));
        target
    }

    /// The group of an object of the same namespace that was likely meant.
    fn nearest(&self, id: &GroupId) -> Option<&str> {
        let first = GroupId::new(id.namespace(), "");
        let neighbours = self.groups.range(first..).map(|(other, _)| other);
        let neighbours = neighbours.take_while(|other| other.namespace() == id.namespace());
        config::nearest(id.name(), neighbours.map(GroupId::name))
    }
}
