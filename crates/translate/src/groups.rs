//! `UpstreamGroup`s to groups: each line of `servers` becomes the peers it stands for, with the line's parameters.

use std::sync::Arc;

use api::UpstreamGroup;
use config::{
    Address, Availability, Group, LineWeight, MOST_RING_WEIGHT, Method, Protocol, Server, Tier, WeightMode, weigh,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::document::Located;
use crate::endpoints::{Draining, Endpoint, Role};
use crate::kind::namespace;
use crate::policy::{self, count, millis};
use crate::report::{Reading, Report};
use crate::server_tls::{self, Found, Sources};
use crate::services::{PortRef, Services};
use crate::{LOCAL, LocalAddresses, Options, codes, names};

/// What every peer of a line has in common: a peer without an address of its own.
type Template = Server;

/// What lines that name a Service are read with.
#[derive(Clone, Copy)]
struct Behind<'a> {
    services: Services<'a>,
    draining: Draining,
    /// What is spoken to the servers; `None` when that is refused.
    protocol: Option<&'a Protocol>,
}

/// Reads one object, and what its references to certificates led to; `None` when it is refused.
pub fn read(
    located: &Located<UpstreamGroup>,
    services: Services<'_>,
    sources: Sources<'_>,
    options: &Options,
    report: &mut Report,
) -> Option<(Group, Found)> {
    let reading = &mut report.read(located);
    let group = policy::read(reading);
    let spoken = server_tls::read(reading, sources);
    let is_sticky = located.spec.sticky.is_some();
    let draining = if is_sticky { Draining::Keep } else { Draining::Leave };
    let behind = Behind { services, draining, protocol: spoken.as_ref().map(|(protocol, _)| protocol) };
    let lines: Vec<_> = (located.spec.servers.iter().enumerate())
        .map(|(index, line)| expand(reading, &format!("spec.servers[{index}]"), line, behind, options))
        .collect();
    let lines: Vec<Vec<Server>> = lines.into_iter().collect::<Option<_>>()?;
    let (group, (protocol, found)) = (group?, spoken?);
    let mut servers: Vec<Server> = lines.into_iter().flatten().collect();
    weigh(&mut servers, &group.method);
    keep_line_weights(&mut servers);
    if matches!(group.method, Method::Hash { consistent: true, .. }) {
        check_ring(reading, &servers);
    }
    (!reading.is_refused()).then_some((Group { servers, protocol, ..group }, found))
}

fn expand(
    reading: &mut Reading<'_, UpstreamGroup>,
    field: &str,
    line: &api::Server,
    behind: Behind<'_>,
    options: &Options,
) -> Option<Vec<Server>> {
    let template = template(reading, field, line);
    match (&line.service, &line.address, &line.dns) {
        (Some(service), None, None) => {
            let endpoints = endpoints(reading, field, service, behind);
            let template = template?;
            Some(endpoints.into_iter().map(|endpoint| peer(&template, endpoint)).collect())
        }
        (None, Some(address), None) => {
            let address = self::address(reading, format!("{field}.address"), address, options.local_addresses);
            Some(vec![Server { address: address?, ..template? }])
        }
        (None, None, Some(target)) => {
            let addresses = names::addresses(reading, field, target, options);
            let template = Server { text: Some(format!("{}:{}", target.name, target.port).into()), ..template? };
            let server = |address| Server { address: Address::Inet(address), ..template.clone() };
            Some(addresses.into_iter().map(server).collect())
        }
        _ => reading.value(field, Err("exactly one of service, address or dns must be set")),
    }
}

fn template(reading: &mut Reading<'_, UpstreamGroup>, field: &str, line: &api::Server) -> Option<Template> {
    let weight = count(reading, &format!("{field}.weight"), line.weight, 1);
    let max_fails = count(reading, &format!("{field}.maxFails"), line.max_fails, 0);
    let fail_timeout = millis(reading, &format!("{field}.failTimeout"), line.fail_timeout.as_str());
    let max_conns = count(reading, &format!("{field}.maxConns"), line.max_conns, 0);
    let slow_start = millis(reading, &format!("{field}.slowStart"), line.slow_start.as_str());
    let unset = Address::Unix("/".into());
    let mode = match line.weight_mode {
        api::WeightMode::PerEndpoint => WeightMode::PerEndpoint,
        api::WeightMode::Shared => WeightMode::Shared,
    };
    Some(Server {
        weight: weight?,
        line_weight: Some(LineWeight { weight: weight?, mode }),
        max_fails: max_fails?,
        fail_timeout: u32::try_from(fail_timeout?.0 / 1000).unwrap_or(u32::MAX),
        max_conns: max_conns?,
        slow_start: slow_start?,
        tier: if line.backup { Tier::Backup } else { Tier::Primary },
        availability: match (line.down, line.drain) {
            (true, _) => Availability::Down,
            (false, true) => Availability::Drain,
            (false, false) => Availability::Up,
        },
        route: line.route.as_deref().map(Arc::from),
        ..Server::new(&line.name, unset)
    })
}

fn address(
    reading: &mut Reading<'_, UpstreamGroup>,
    field: String,
    text: &str,
    local: LocalAddresses,
) -> Option<Address> {
    let address: Address = reading.value(field.clone(), text.parse())?;
    if !local.permits(&address) {
        let message = format!("{address} is {LOCAL}, which an object in a cluster may not name");
        reading.error(codes::LOCAL_ADDRESS, field, message, "name an address of the network");
        return None;
    }
    Some(address)
}

/// The endpoints of a Service line. A reference that leads nowhere is a warning: the other lines still serve.
fn endpoints(
    reading: &mut Reading<'_, UpstreamGroup>,
    field: &str,
    target: &api::ServiceTarget,
    Behind { services, draining, protocol }: Behind<'_>,
) -> Vec<Endpoint> {
    let namespace = namespace(&reading.located.metadata);
    let number;
    let port = match &target.port {
        IntOrString::String(name) => PortRef::Name(name),
        IntOrString::Int(port) => {
            number = u16::try_from(*port).unwrap_or_default();
            PortRef::Number(number)
        }
    };
    match services.port(namespace, &target.name, port) {
        Ok(port) => {
            let endpoints = services.endpoints(namespace, &target.name, port, draining);
            if endpoints.is_empty() {
                let note = services.no_endpoints(namespace, &target.name, port);
                reading.say(note.field(format!("{field}.service.name")));
            } else if let Some(protocol) = protocol {
                let doubt = services.doubt((namespace, &target.name), port, protocol, "set spec.protocol: HTTPS");
                if let Some(doubt) = doubt {
                    reading.say(doubt.field(format!("{field}.service.port")));
                }
            }
            endpoints
        }
        Err(unresolved) => {
            let part = unresolved.field();
            reading.say(unresolved.diagnostic().field(format!("{field}.service.{part}")));
            Vec::new()
        }
    }
}

fn peer(template: &Template, endpoint: Endpoint) -> Server {
    let availability = match (template.availability, endpoint.role) {
        (Availability::Up, Role::Drains) => Availability::Drain,
        (configured @ (Availability::Up | Availability::Down | Availability::Drain), _) => configured,
    };
    let Endpoint { address, pod, for_zones, role: _ } = endpoint;
    Server { address: Address::Inet(address), pod, for_zones, availability, ..template.clone() }
}

/// Who takes a zone's part of a group makes the weights anew, and needs the lines' for it. Nobody else does.
fn keep_line_weights(servers: &mut [Server]) {
    let is_made = |server: &Server| {
        server.line_weight.is_some_and(|line| line.mode == WeightMode::Shared || line.weight != server.weight)
    };
    let is_hinted = servers.iter().any(|server| !server.for_zones.is_empty());
    if !(is_hinted && servers.iter().any(is_made)) {
        for server in servers {
            server.line_weight = None;
        }
    }
}

/// nginx builds a ring of any size; ours is bounded, since one object must not exhaust a data plane that serves many. Weights
/// were made to fit ([`weigh`]), each at least 1.
fn check_ring(reading: &mut Reading<'_, UpstreamGroup>, servers: &[Server]) {
    let primaries = servers.iter().filter(|server| server.tier == Tier::Primary).count();
    if primaries as u64 > MOST_RING_WEIGHT {
        let message = format!("{primaries} servers; a consistent ring is built for at most {MOST_RING_WEIGHT}");
        reading.error(codes::VALUE, "spec.servers", message, "divide the servers among groups, or use another method");
    }
}
