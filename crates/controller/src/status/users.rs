//! Which servers of a group the data planes use, and how many do: each uses the part that is for its zone. A server that is
//! for zones in which no data plane runs is out of their sight, neither up nor down, and so no part of a status.

use std::collections::BTreeMap;

use config::{Group, Server};

use crate::fleet::Standing;

/// A server that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used<'a> {
    /// The server.
    pub server: &'a Server,
    /// By so many data planes.
    pub by: usize,
}

/// The servers of `group` that a data plane uses, in their order; all of them while there is no data plane.
pub fn of<'a>(group: &'a Group, standings: &[Standing<'_>]) -> Vec<Used<'a>> {
    let mut zones = BTreeMap::<Option<&str>, usize>::new();
    for standing in standings {
        *zones.entry(standing.zone).or_default() += 1;
    }
    let parts: Vec<_> = zones.iter().map(|(zone, count)| (zone.and_then(|zone| group.used_in(zone)), *count)).collect();
    let servers = group.servers.iter().enumerate().map(|(position, server)| {
        let uses = |part: &Option<Vec<bool>>| part.as_ref().is_none_or(|part| part.get(position) == Some(&true));
        let by = parts.iter().filter(|(part, _)| uses(part)).map(|(_, count)| count).sum();
        Used { server, by }
    });
    servers.filter(|used| used.by > 0 || standings.is_empty()).collect()
}
