//! The state of a cluster and how it changes. Every state is sound: no route leads to a group that is not there.

use std::sync::Arc;

use config::{
    Certificate, CertificateId, Config, Group, GroupId, HostRoutes, Method, PrivateKey, Resource, ResourceKey, Routes,
    Server, Target,
};

use crate::random::Random;

/// A weight that every data plane's check refuses, as a compiler of plans might.
pub const REFUSED_WEIGHT: u32 = 666;

pub const NAMESPACES: [&str; 3] = ["shop", "pay", "ops"];
const NAMES: [&str; 5] = ["app", "api", "web:http", "static", "canary"];
const HOSTS: [&str; 8] =
    ["a.example", "b.example", "c.example", "*.example", "*.a.example", "d.example", "e.example", "*"];

pub fn check(resource: &Resource) -> Result<(), String> {
    match resource {
        Resource::Group(_, group) if group.servers.iter().any(|server| server.weight == REFUSED_WEIGHT) => {
            Err("the balancer refuses this weight".to_owned())
        }
        Resource::Group(..) | Resource::Certificate(..) | Resource::Route(_) => Ok(()),
    }
}

/// Between one and four changes.
pub fn change(config: &mut Config, random: &mut Random, refusals: bool) {
    for _ in 0..=random.below(4) {
        match random.below(10) {
            0..5 => put_group(config, random, refusals),
            5 => remove_group(config, random),
            6..8 => put_route(config, random),
            8 => {
                let hosts = &mut Arc::make_mut(&mut config.routes).hosts;
                if !hosts.is_empty() {
                    hosts.remove(random.below(hosts.len()));
                }
            }
            _ => turn_certificate(config, random),
        }
    }
}

fn put_group(config: &mut Config, random: &mut Random, refusals: bool) {
    let id = GroupId::new(random.pick(&NAMESPACES).unwrap(), random.pick(&NAMES).unwrap());
    let server = |_| {
        let address = format!("10.0.{}.{}:80", random.below(4), random.below(200) + 1);
        let weight = if refusals && random.per_mille(40) { REFUSED_WEIGHT } else { 1 };
        Server { weight, ..Server::new("line", address.parse().unwrap()) }
    };
    let servers = (0..3).map(server).collect();
    let method = match random.below(3) {
        0 => Method::LeastConn,
        1 => Method::IpHash,
        _ => Method::RoundRobin,
    };
    config.groups.insert(id, Arc::new(Group { method, ..Group::with_defaults(servers) }));
}

/// With the routes that lead to it, as a translation would.
fn remove_group(config: &mut Config, random: &mut Random) {
    let ids: Vec<_> = config.groups.keys().cloned().collect();
    if let Some(id) = random.pick(&ids) {
        config.groups.remove(id);
        let leads_there = |host: &HostRoutes| host.default == Some(Target::Group(id.clone()));
        Arc::make_mut(&mut config.routes).hosts.retain(|host| !leads_there(host));
    }
}

fn put_route(config: &mut Config, random: &mut Random) {
    let ids: Vec<_> = config.groups.keys().cloned().collect();
    let Some(id) = random.pick(&ids) else { return };
    let host = random.pick(&HOSTS).unwrap().parse().unwrap();
    let Routes { hosts } = Arc::make_mut(&mut config.routes);
    hosts.retain(|one| one.host != host);
    hosts.push(HostRoutes { host, paths: Vec::new(), default: Some(Target::Group(id.clone())) }.into());
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
}

fn turn_certificate(config: &mut Config, random: &mut Random) {
    let id = CertificateId::new("shop", random.pick(&["tls", "other"]).unwrap());
    if config.certificates.remove(&id).is_none() || random.per_mille(700) {
        let key = PrivateKey::new(&format!("key {}", random.below(1000)));
        config.certificates.insert(id, Arc::new(Certificate { chain: "chain".into(), key, hosts: Vec::new() }));
    }
}

/// No route leads to nowhere.
pub fn is_sound(config: &Config) -> bool {
    config.routes.hosts.iter().all(|host| match &host.default {
        Some(Target::Group(id)) => config.groups.contains_key(id),
        Some(Target::Unavailable { .. }) | None => true,
    })
}

/// What a data plane may see of it.
pub fn visible(config: &Config, sees: impl Fn(&ResourceKey) -> bool) -> Config {
    config.resources().filter(|resource| sees(&resource.key())).collect()
}
