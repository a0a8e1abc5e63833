//! Which of a Service's endpoints take requests: the policy, apart from how slices spell it.
//!
//! What kube-proxy does and what sticky sessions need: ready endpoints; when there is none, those still serving while they
//! terminate; beside ready ones the terminating ones stay for the sessions they hold. One address is one server and one pod
//! is one server, however many slices or address families repeat it. The result is ordered by address, so the same
//! endpoints give the same servers whatever slices they are dealt into.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use config::Pod;

/// An endpoint of one port as one slice states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it listens.
    pub address: SocketAddr,
    /// What its conditions come to.
    pub condition: Condition,
    /// The pod behind it.
    pub pod: Option<Pod>,
    /// The zones it should serve (`hints.forZones`); empty when it has no hints.
    pub for_zones: Vec<Arc<str>>,
}

/// What `ready`, `serving` and `terminating` come to. Ordered from the most to the least usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Takes requests.
    Ready,
    /// Terminating, but its readiness probe still succeeds.
    Draining,
    /// Neither.
    Unready,
}

impl Condition {
    /// From the conditions of `discovery.k8s.io/v1` Endpoint: absent `ready` is true, absent `serving` is `ready`, absent
    /// `terminating` is false.
    pub fn from_api(ready: Option<bool>, serving: Option<bool>, terminating: Option<bool>) -> Self {
        let ready = ready.unwrap_or(true);
        match (ready, serving.unwrap_or(ready), terminating.unwrap_or(false)) {
            (true, ..) => Self::Ready,
            (false, true, true) => Self::Draining,
            (false, ..) => Self::Unready,
        }
    }
}

/// Which address of a dual-stack pod is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// The order when a Service does not say.
    #[default]
    Ipv4,
    /// `ipFamilies: [IPv6, ...]`
    Ipv6,
}

/// What becomes of draining endpoints while others are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draining {
    /// They keep the sessions that are pinned to them.
    Keep,
    /// Nothing is pinned, so they take nothing.
    Leave,
}

/// The circumstances of a choice.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Of a pod with two addresses, this one.
    pub prefer: Prefer,
    /// Whether the group ties sessions to servers.
    pub draining: Draining,
}

/// An endpoint that is a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// The pod behind it.
    pub pod: Option<Pod>,
    /// Whether it takes new sessions.
    pub role: Role,
    /// The zones it should serve; nobody asks of one that drains.
    pub for_zones: Vec<Arc<str>>,
}

/// What an endpoint is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Every request.
    Serves,
    /// Requests of the sessions it holds.
    Drains,
}

/// Chooses among everything that the slices of one Service state for one port.
pub fn choose(candidates: impl IntoIterator<Item = Candidate>, policy: Policy) -> Vec<Endpoint> {
    let mut by_address = BTreeMap::<SocketAddr, Candidate>::new();
    for candidate in candidates {
        let known = by_address.get(&candidate.address);
        if known.is_none_or(|known| rank(&candidate) < rank(known)) {
            by_address.insert(candidate.address, candidate);
        }
    }
    let (ready, rest): (Vec<_>, Vec<_>) =
        by_address.into_values().partition(|candidate| candidate.condition == Condition::Ready);
    let draining: Vec<_> = rest.into_iter().filter(|candidate| candidate.condition == Condition::Draining).collect();
    let ready = one_per_pod(ready, policy.prefer);
    let draining = one_per_pod(draining, policy.prefer);

    let serves = |Candidate { address, pod, for_zones, .. }| Endpoint { address, pod, role: Role::Serves, for_zones };
    let drains = |Candidate { address, pod, .. }| Endpoint { address, pod, role: Role::Drains, for_zones: Vec::new() };
    if ready.is_empty() {
        return draining.into_iter().map(serves).collect();
    }
    let kept = match policy.draining {
        Draining::Keep => without_pods_of(&ready, draining),
        Draining::Leave => Vec::new(),
    };
    let mut chosen: Vec<_> = ready.into_iter().map(serves).collect();
    chosen.extend(kept.into_iter().map(drains));
    chosen.sort_by_key(|endpoint| endpoint.address);
    chosen
}

/// Of two statements about one address the more usable holds, and between equals one that does not depend on their order.
fn rank(candidate: &Candidate) -> (Condition, bool, Option<&str>, &[Arc<str>]) {
    let uid = candidate.pod.as_ref().and_then(|pod| pod.uid.as_deref());
    (candidate.condition, uid.is_none(), uid, &candidate.for_zones)
}

fn uid(candidate: &Candidate) -> Option<Arc<str>> {
    candidate.pod.as_ref().and_then(|pod| pod.uid.clone())
}

/// Leaves out the addresses of the other family of pods that have one of the preferred family.
fn one_per_pod(candidates: Vec<Candidate>, prefer: Prefer) -> Vec<Candidate> {
    let preferred = |candidate: &Candidate| candidate.address.is_ipv6() == (prefer == Prefer::Ipv6);
    let covered: BTreeSet<_> = candidates.iter().filter(|candidate| preferred(candidate)).filter_map(uid).collect();
    let repeated = |candidate: &Candidate| uid(candidate).is_some_and(|uid| covered.contains(&uid));
    candidates.into_iter().filter(|candidate| preferred(candidate) || !repeated(candidate)).collect()
}

fn without_pods_of(ready: &[Candidate], draining: Vec<Candidate>) -> Vec<Candidate> {
    let present: BTreeSet<_> = ready.iter().filter_map(uid).collect();
    draining.into_iter().filter(|candidate| uid(candidate).is_none_or(|uid| !present.contains(&uid))).collect()
}
