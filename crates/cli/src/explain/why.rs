//! The words for a pick: why this server, and why not the others. They are read from the balancer's state before the pick and
//! decide nothing.

use balance::{BoundPlan, Obstacle, Peer, PeerView, Request};

use super::client::Visit;
use super::trace::{ORIGIN_SECS, PassedOver};

/// The servers that could not be picked: those of the list in use, and the primaries when a backup was.
pub fn passed_over(obstacles: &[Option<Obstacle>], before: &[PeerView], picked: Option<usize>) -> Vec<PassedOver> {
    let picked_primary = picked.is_some_and(|position| before[position].tier == balance::Tier::Primary);
    (before.iter().zip(obstacles).enumerate())
        .filter(|(position, (view, _))| {
            Some(*position) != picked && !(picked_primary && view.tier == balance::Tier::Backup)
        })
        .filter_map(|(server, (view, obstacle))| Some(PassedOver { server, reason: reason((*obstacle)?, view) }))
        .collect()
}

fn reason(obstacle: Obstacle, view: &PeerView) -> String {
    match obstacle {
        Obstacle::Tried => "tried already".to_owned(),
        Obstacle::Down => "down".to_owned(),
        Obstacle::Draining => "draining".to_owned(),
        Obstacle::Ejected { until } => {
            format!("out until {}s, {} failed", until.saturating_sub(ORIGIN_SECS), view.fails)
        }
        Obstacle::Full => format!("full, {} active", view.conns),
    }
}

/// A pick, and the state it was made from.
pub struct Pick<'a> {
    pub plan: &'a BoundPlan,
    pub before: &'a [PeerView],
    pub obstacles: &'a [Option<Obstacle>],
    /// Whom it fell on.
    pub peer: Option<&'a Peer>,
}

impl Pick<'_> {
    /// Why the balancer chose as it did, in a few words; `request` is its state for `visit` after the pick.
    pub fn why(&self, visit: &Visit, request: &Request) -> String {
        let Self { plan, before, obstacles, peer } = *self;
        let Some(peer) = peer else {
            return if plan.is_empty() {
                "the group has no servers".to_owned()
            } else {
                "no live upstreams".to_owned()
            };
        };
        if plan.is_single() {
            return "the only server, which is never out".to_owned();
        }
        if peer.pinned {
            return "the session names it".to_owned();
        }
        let winner = &before[peer.position];
        let rivals: Vec<_> = (before.iter().zip(obstacles))
            .filter(|(view, obstacle)| obstacle.is_none() && view.tier == winner.tier)
            .map(|(view, _)| view)
            .collect();
        let why = match plan.method() {
            _ if rivals.len() == 1 => "nobody else is eligible".to_owned(),
            balance::Method::RoundRobin => highest_weight(winner, &rivals),
            balance::Method::LeastConn => fewest_active(winner, &rivals),
            balance::Method::IpHash
            | balance::Method::Hash
            | balance::Method::ConsistentHash
            | balance::Method::Random
            | balance::Method::RandomTwo
                if request.gave_up() =>
            {
                format!("too many misses, {}", highest_weight(winner, &rivals))
            }
            balance::Method::IpHash => format!("hash of {}", visit.client),
            balance::Method::Hash | balance::Method::ConsistentHash => match &*visit.inputs.hash_key {
                [] => format!("empty key, {}", highest_weight(winner, &rivals)),
                key => format!("hash of {}", String::from_utf8_lossy(key)),
            },
            balance::Method::Random => "drawn".to_owned(),
            balance::Method::RandomTwo => "two drawn, the less busy one".to_owned(),
            balance::Method::LeastTime { .. } => "least average time per weight".to_owned(),
        };
        match winner.tier {
            balance::Tier::Primary => why,
            balance::Tier::Backup if rivals.len() == 1 => "no primary is eligible".to_owned(),
            balance::Tier::Backup => format!("no primary is eligible; {why}"),
        }
    }
}

/// nginx adds the effective weight to every candidate's current weight and takes the highest.
fn highest_weight(winner: &PeerView, rivals: &[&PeerView]) -> String {
    let weight = |view: &PeerView| view.current_weight + view.effective_weight;
    let mut others: Vec<_> = rivals.iter().filter(|view| view.position != winner.position).map(|v| weight(v)).collect();
    others.sort_unstable_by(|a, b| b.cmp(a));
    let shown: Vec<_> = others.iter().take(3).map(ToString::to_string).collect();
    let more = if others.len() > 3 { ", ..." } else { "" };
    let tie = if others.first() == Some(&weight(winner)) { ", first of equals" } else { "" };
    format!("weight {} against {}{more}{tie}", weight(winner), shown.join(", "))
}

/// Active requests are compared per weight; equals take turns by weight.
fn fewest_active(winner: &PeerView, rivals: &[&PeerView]) -> String {
    let load = |view: &PeerView| i64::from(view.conns) * winner.weight;
    let equals = rivals.iter().filter(|view| load(view) == i64::from(winner.conns) * view.weight).count();
    let weighted = if rivals.iter().all(|view| view.weight == 1) { "" } else { " per weight" };
    let turns = if equals > 1 { format!("; {equals} equals take turns") } else { String::new() };
    format!("fewest active{weighted}, {}{turns}", winner.conns)
}
