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
    /// What answers requests that match no rule of anybody: not even one for any host.
    fallback: Option<Claim>,
}

#[derive(Debug, Default)]
struct Host {
    paths: BTreeMap<PathMatch, Claim>,
    default: Option<Claim>,
}

#[derive(Clone, Debug)]
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

    /// Claims the unmatched paths of a host.
    pub fn host_default(&mut self, host: &HostPattern, target: &Target, origin: &Arc<str>) -> Result<(), Taken> {
        claim(&mut self.hosts.entry(host.clone()).or_default().default, target, origin)
    }

    /// Claims the requests that match no rule of anybody.
    pub fn fallback(&mut self, target: &Target, origin: &Arc<str>) -> Result<(), Taken> {
        claim(&mut self.fallback, target, origin)
    }

    /// The finished routes. What matches no rule goes to the fallback, whether or not its host is known (Ingress v1
    /// `defaultBackend`). That is the default of any host alone: a request comes there when no rule of a nearer host took it, and
    /// as the default of those hosts it would keep from wildcards and rules for any host, which may be another's, what they match.
    pub fn finish(mut self) -> Routes {
        if let Some(fallback) = self.fallback {
            self.hosts.entry(HostPattern::Any).or_default().default.get_or_insert(fallback);
        }
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

fn claim(place: &mut Option<Claim>, target: &Target, origin: &Arc<str>) -> Result<(), Taken> {
    match place {
        Some(held) if held.origin != *origin => Err(Taken { by: held.origin.clone() }),
        Some(_) => Ok(()),
        None => {
            *place = Some(Claim { target: target.clone(), origin: origin.clone() });
            Ok(())
        }
    }
}
