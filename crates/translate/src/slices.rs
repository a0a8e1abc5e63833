//! `EndpointSlice`s as objects spell them, reduced to what a choice of endpoints needs. Each is read once, so that what is
//! wrong with a slice is said once, however many groups use it.
//!
//! Source: the API reference of `discovery.k8s.io/v1` and the API server's validation of endpoint addresses
//! (`ValidateNonSpecialIP`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::{Address, Diagnostic, Pod, Severity};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::app_protocol::AppProtocol;
use crate::by_name::{ByName, Name};
use crate::document::{Located, Objects};
use crate::endpoints::{Candidate, Condition};
use crate::kind::namespace;
use crate::report::Report;
use crate::{LOCAL, LocalAddresses, Options, codes};

/// The label that ties a slice to its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Every slice as it was read.
#[derive(Debug, Default)]
pub struct Slices {
    /// The usable ones of each Service, by name.
    by_service: ByName<BTreeMap<Arc<str>, Slice>>,
    /// Which Service each slice belongs to, and what was said against it.
    read: ByName<Read>,
    /// The slices of each Service against which something was said, by name.
    faulty: ByName<BTreeSet<Arc<str>>>,
}

#[derive(Debug)]
struct Read {
    service: Option<Arc<str>>,
    diagnostics: Vec<Diagnostic>,
}

/// The port of a Service that endpoints are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedPort<'a> {
    /// One that the Service declares, by its name, which is empty for an unnamed one.
    Declared(&'a str),
    /// A number: the Service declares no ports (headless), so its slices need not list any either.
    Undeclared(u16),
}

#[derive(Debug)]
struct Slice {
    /// Those over TCP; `None` when it lists none of whatever protocol.
    ports: Option<Vec<Port>>,
    hosts: Vec<Host>,
}

#[derive(Debug)]
struct Port {
    name: String,
    number: Option<u16>,
    app_protocol: Option<AppProtocol>,
}

#[derive(Debug)]
struct Host {
    ip: IpAddr,
    condition: Condition,
    pod: Option<Pod>,
    for_zones: Vec<Arc<str>>,
}

impl Slices {
    /// Reads a slice again, or forgets one that is gone; returns the Services whose endpoints it had or has.
    pub fn update(&mut self, (namespace, name): &Name, objects: &Objects, options: &Options) -> Vec<Arc<str>> {
        let before = self.read.remove(namespace, name).and_then(|read| read.service);
        if let Some(service) = &before
            && let Some(slices) = self.by_service.find_mut(namespace, service)
        {
            slices.remove(name);
            if slices.is_empty() {
                self.by_service.remove(namespace, service);
            }
        }
        if let Some(service) = &before
            && let Some(faulty) = self.faulty.find_mut(namespace, service)
        {
            faulty.remove(name);
            if faulty.is_empty() {
                self.faulty.remove(namespace, service);
            }
        }
        let Some(located) = objects.endpoint_slices.find(namespace, name) else { return Vec::from_iter(before) };
        let mut report = Report::default();
        let service = located.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
        let service: Option<Arc<str>> = service.map(|service| service.as_str().into());
        match &service {
            Some(service) => {
                if let Some(slice) = Slice::read(located, options, &mut report) {
                    self.by_service.entry(namespace, service).insert(name.clone(), slice);
                }
            }
            None => report.say(
                located,
                Diagnostic::new(codes::SLICE_IGNORED, Severity::Note, "the slice names no Service and is not used")
                    .field("metadata.labels")
                    .hint(format!("label it {SERVICE_NAME}: NAME-OF-THE-SERVICE")),
            ),
        }
        let diagnostics = report.finish();
        if let Some(service) = &service
            && !diagnostics.is_empty()
        {
            self.faulty.entry(namespace, service).insert(name.clone());
        }
        self.read.insert(namespace, name, Read { service: service.clone(), diagnostics });
        before.into_iter().chain(service).collect()
    }

    /// What was said against slices.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.read.values().flat_map(|read| &read.diagnostics)
    }

    /// What was said against the slices of a Service.
    pub fn said_of(&self, namespace: &str, service: &str) -> impl Iterator<Item = &Diagnostic> {
        let faulty = self.faulty.find(namespace, service).into_iter().flatten();
        faulty.filter_map(move |slice| self.read.find(namespace, slice)).flat_map(|read| &read.diagnostics)
    }

    /// The Services against whose slices something was said.
    pub fn faulty(&self) -> impl Iterator<Item = Name> {
        self.faulty.iter().map(|(name, _)| name)
    }

    /// What the ports of a Service are called in its slices.
    pub fn port_names(&self, namespace: &str, service: &str) -> BTreeSet<&str> {
        let slices = self.by_service.find(namespace, service).into_iter().flat_map(BTreeMap::values);
        slices.flat_map(|slice| slice.ports.iter().flatten()).map(|port| port.name.as_str()).collect()
    }

    /// What the slices of a Service say of how one of its ports wants to be spoken to.
    pub fn app_protocols(&self, namespace: &str, service: &str, port: WantedPort<'_>) -> BTreeSet<AppProtocol> {
        let slices = self.by_service.find(namespace, service).into_iter().flat_map(BTreeMap::values);
        slices.flat_map(|slice| slice.ports(port)).filter_map(|port| port.app_protocol).collect()
    }

    /// What all slices of a Service state for one of its ports.
    pub fn candidates(&self, namespace: &str, service: &str, port: WantedPort<'_>) -> Vec<Candidate> {
        let slices = self.by_service.find(namespace, service).into_iter().flat_map(BTreeMap::values);
        let at = |slice: &'_ Slice, number| slice.hosts.iter().map(move |host| host.at(number)).collect::<Vec<_>>();
        slices.flat_map(|slice| slice.numbers(port).into_iter().flat_map(|number| at(slice, number))).collect()
    }
}

impl Slice {
    fn read(located: &Located<EndpointSlice>, options: &Options, report: &mut Report) -> Option<Self> {
        let slice = &located.object;
        let is_family: fn(&IpAddr) -> bool = match slice.address_type.as_str() {
            "IPv4" => IpAddr::is_ipv4,
            "IPv6" => IpAddr::is_ipv6,
            other => {
                report.say(
                    located,
                    Diagnostic::new(
                        codes::SLICE_IGNORED,
                        Severity::Warning,
                        format!("addressType {other} is not supported; the slice's endpoints are not used"),
                    )
                    .field("addressType")
                    .hint("write IPv4 or IPv6 and addresses of that family"),
                );
                return None;
            }
        };
        let mut hosts = Vec::with_capacity(slice.endpoints.len());
        for (index, endpoint) in slice.endpoints.iter().enumerate() {
            match usable_ip(endpoint, is_family, options.local_addresses) {
                Ok(ip) => hosts.push(Host::of(endpoint, ip, namespace(&slice.metadata))),
                Err(message) => report.say(
                    located,
                    Diagnostic::new(codes::ENDPOINT_IGNORED, Severity::Warning, message)
                        .field(format!("endpoints[{index}].addresses[0]"))
                        .hint("the endpoint is left out; the others are used"),
                ),
            }
        }
        let listed = slice.ports.as_deref().unwrap_or_default();
        let mut ports = Vec::new();
        for port in listed {
            if port.protocol.as_deref().unwrap_or("TCP") != "TCP" {
                continue;
            }
            let number = port.port.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
            let app_protocol = port.app_protocol.as_deref().and_then(AppProtocol::from_api);
            ports.push(Port { name: port.name.clone().unwrap_or_default(), number, app_protocol });
        }
        Some(Self { ports: (!listed.is_empty()).then_some(ports), hosts })
    }

    /// The listed ports that are meant.
    fn ports(&self, wanted: WantedPort<'_>) -> impl Iterator<Item = &Port> {
        self.ports.iter().flatten().filter(move |port| match wanted {
            WantedPort::Declared(name) => port.name == name,
            WantedPort::Undeclared(number) => port.number == Some(number),
        })
    }

    /// The numbers under which this slice serves a port: by name, never computed from `targetPort`. A pod without the
    /// container port that a `targetPort` names is in a slice that does not list the port, or lists none; it serves nothing.
    fn numbers(&self, wanted: WantedPort<'_>) -> Vec<u16> {
        let mut numbers: Vec<u16> = match (wanted, &self.ports) {
            (WantedPort::Undeclared(number), None) => vec![number],
            (WantedPort::Declared(_) | WantedPort::Undeclared(_), _) => {
                self.ports(wanted).filter_map(|port| port.number).collect()
            }
        };
        numbers.dedup();
        numbers
    }
}

impl Host {
    fn of(endpoint: &Endpoint, ip: IpAddr, namespace: &str) -> Self {
        let conditions = endpoint.conditions.as_ref();
        let condition = Condition::from_api(
            conditions.and_then(|conditions| conditions.ready),
            conditions.and_then(|conditions| conditions.serving),
            conditions.and_then(|conditions| conditions.terminating),
        );
        let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref().is_none_or(|k| k == "Pod"));
        let same_namespace =
            target.filter(|target| target.namespace.as_deref().is_none_or(|of_target| of_target == namespace));
        let pod = same_namespace.and_then(|target| {
            Some(Pod {
                name: target.name.as_deref()?.into(),
                uid: target.uid.as_deref().map(Arc::from),
                zone: endpoint.zone.as_deref().map(Arc::from),
            })
        });
        let zones = endpoint.hints.as_ref().and_then(|hints| hints.for_zones.as_ref());
        let for_zones = zones.into_iter().flatten().map(|zone| zone.name.as_str().into()).collect();
        Self { ip, condition, pod, for_zones }
    }

    fn at(&self, port: u16) -> Candidate {
        Candidate {
            address: SocketAddr::new(self.ip, port),
            condition: self.condition,
            pod: self.pod.clone(),
            for_zones: self.for_zones.clone(),
        }
    }
}

/// The first address, which is the only one with a meaning, or why it is not used.
fn usable_ip(endpoint: &Endpoint, is_family: fn(&IpAddr) -> bool, local: LocalAddresses) -> Result<IpAddr, String> {
    let text = endpoint.addresses.first().ok_or("the endpoint has no address")?;
    let ip =
        text.parse().ok().filter(is_family).ok_or_else(|| {
            format!("\"{text}\" is not an address of the slice's addressType; the endpoint is not used")
        })?;
    // Any port serves: only the host is judged.
    if !local.permits(&Address::Inet(SocketAddr::new(ip, 1))) {
        return Err(format!("{ip} is {LOCAL}, which an object in a cluster may not name"));
    }
    Ok(ip)
}
