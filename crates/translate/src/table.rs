//! The route table while it is filled: who holds which host and path. The first to claim a place keeps it, so the caller
//! brings the oldest object first.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use config::{HostPattern, HostRoutes, PathMatch, PathRoute, Routes, Target};

/// Routes by host and path.
#[derive(Debug, Default)]
pub struct Table {
    hosts: BTreeMap<HostPattern, Host>,
}

#[derive(Debug, Default)]
struct Host {
    paths: BTreeMap<PathMatch, Claim>,
    default: Option<Claim>,
}

#[derive(Debug)]
struct Claim {
    target: Target,
    origin: Arc<str>,
}

/// The place is held by somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The object that holds it.
    pub by: Arc<str>,
}

impl Table {
    /// Makes a host known, even if nothing is claimed of it.
    pub fn host(&mut self, host: &HostPattern) {
        self.hosts.entry(host.clone()).or_default();
    }

    /// Claims a path of a host.
    pub fn path(
        &mut self,
        host: &HostPattern,
        path: PathMatch,
        target: Target,
        origin: &Arc<str>,
    ) -> Result<(), Taken> {
        match self.hosts.entry(host.clone()).or_default().paths.entry(path) {
            Entry::Occupied(held) => Err(Taken { by: held.get().origin.clone() }),
            Entry::Vacant(free) => {
                free.insert(Claim { target, origin: origin.clone() });
                Ok(())
            }
        }
    }

    /// Claims the unmatched paths of a host. Those of [`HostPattern::Any`] are all requests that match no rule of anybody.
    pub fn host_default(&mut self, host: &HostPattern, target: &Target, origin: &Arc<str>) -> Result<(), Taken> {
        match &mut self.hosts.entry(host.clone()).or_default().default {
            Some(held) if held.origin != *origin => Err(Taken { by: held.origin.clone() }),
            Some(_) => Ok(()),
            free @ None => {
                *free = Some(Claim { target: target.clone(), origin: origin.clone() });
                Ok(())
            }
        }
    }

    /// The finished routes.
    pub fn finish(self) -> Routes {
        let hosts = self.hosts.into_iter().map(|(host, Host { paths, default })| HostRoutes {
            host,
            paths: (paths.into_iter())
                .map(|(path, Claim { target, origin })| PathRoute { path, target, origin })
                .collect(),
            default: default.map(|claim| claim.target),
        });
        Routes { hosts: hosts.map(Arc::new).collect() }
    }
}
