//! The backends that play the servers of the configuration, as edits add to them, and who of them has a part in the story.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context;
use balance::{Availability, Tier};
use config::{Address, Config, Group, GroupId, Server};

use super::backends::Backend;
use super::script::{Cast, Step};

/// The backends, by address.
pub struct Stage {
    /// The group that is shown.
    pub group: GroupId,
    /// Who plays in it.
    pub cast: Cast,
    backends: BTreeMap<SocketAddr, Backend>,
}

impl Stage {
    /// Starts the backends of a configuration.
    pub fn set(config: &Config, group: &GroupId) -> anyhow::Result<Self> {
        let mut stage = Self { group: group.clone(), cast: Cast::default(), backends: BTreeMap::new() };
        stage.extend(config)?;
        Ok(stage)
    }

    /// Starts a backend for every server on this host that has none yet, and sees who plays now.
    pub fn extend(&mut self, config: &Config) -> anyhow::Result<()> {
        for server in config.groups.values().flat_map(|group| &group.servers) {
            let Some(address) = here(server) else { continue };
            if let Some(backend) = self.backends.get(&address) {
                backend.rename(server.name.clone());
            } else {
                let backend = Backend::start(server.name.clone(), address)
                    .with_context(|| format!("cannot start a backend on {address}; is the port taken? Edit the file's addresses, or end what listens there"))?;
                self.backends.insert(address, backend);
            }
        }
        self.cast = config.groups.get(&self.group).map(|group| cast(group)).unwrap_or_default();
        Ok(())
    }

    /// Has backends fail or recover.
    pub fn perform(&mut self, step: &Step) -> anyhow::Result<()> {
        for backend in self.backends.values_mut() {
            match step {
                Step::FirstFails(name) if backend.is_among(std::slice::from_ref(name)) => backend.fail(),
                Step::RestFail(names) if backend.is_among(names) => backend.fail(),
                Step::Healthy | Step::FirstFails(_) | Step::RestFail(_) => {}
                Step::Recover => backend.recover().context("a backend cannot listen again")?,
            }
        }
        Ok(())
    }
}

/// Where the backend of a server listens, if it may be one of ours.
fn here(server: &Server) -> Option<SocketAddr> {
    match server.address {
        Address::Inet(address) if address.ip().is_loopback() => Some(address),
        Address::Inet(_) | Address::Unix(_) => None,
    }
}

/// Those servers of a group that take requests and have a backend. Endpoints share a name.
fn cast(group: &Group) -> Cast {
    let mut cast = Cast::default();
    let plays = |server: &&Server| server.availability == Availability::Up && here(server).is_some();
    for server in group.servers.iter().filter(plays) {
        match server.tier {
            Tier::Primary if cast.primaries.contains(&server.name) => {}
            Tier::Primary => cast.primaries.push(server.name.clone()),
            Tier::Backup => cast.has_backup = true,
        }
    }
    cast
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_requests_here_plays() {
        let server = |name: &str, address: &str, tier, availability| {
            let server = Server::new(name, address.parse().unwrap());
            Server { tier, availability, ..server }
        };
        let (primary, backup, up) = (Tier::Primary, Tier::Backup, Availability::Up);
        let mut servers = vec![
            server("blue", "127.0.0.1:1", primary, up),
            server("blue", "127.0.0.2:1", primary, up),
            server("green", "127.0.0.1:2", primary, up),
            server("away", "192.0.2.1:1", primary, up),
            server("down", "127.0.0.1:3", primary, Availability::Down),
            server("spare", "127.0.0.1:4", backup, Availability::Drain),
        ];
        let of = |servers: &[Server]| cast(&Group::with_defaults(servers.to_vec()));
        let primaries = vec!["blue".into(), "green".into()];
        assert_eq!(of(&servers), Cast { primaries: primaries.clone(), has_backup: false });
        servers[5].availability = up;
        assert_eq!(of(&servers), Cast { primaries, has_backup: true });
    }
}
