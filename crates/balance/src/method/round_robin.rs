//! Smooth weighted round robin (`ngx_http_upstream_round_robin.c`, `ngx_http_upstream_get_peer`), the plain scan.
//!
//! Every other method falls back to it, and the index that avoids scanning is tested against it.

use crate::{Request, sticky, turn::Turn, weight::UNIT};

/// Picks in the list in use; a pinned peer is charged for its sessions.
pub(crate) fn pick(turn: &mut Turn<'_>, request: &Request) -> Option<u32> {
    let pinned = sticky::pinned(turn, request);
    if let Some(position) = pinned
        && overdrawn(turn, request, position)
    {
        return Some(position);
    }
    if let Some(index) = turn.index.as_deref_mut() {
        return index.pick(turn.plan, turn.slots, request, pinned, turn.now);
    }
    let plan = turn.plan;
    step(turn, request, &plan.list(request.tier).positions, pinned)
}

/// One round over the eligible ones of `candidates`, which must be in list order: each gains its effective weight, and the
/// one that then has the most pays for all; the earlier one of equals. A pinned peer pays in place of the best.
pub(crate) fn step(turn: &mut Turn<'_>, request: &Request, candidates: &[u32], pinned: Option<u32>) -> Option<u32> {
    let now = turn.now;
    let mut total = 0;
    let mut best: Option<(i64, u32)> = None;
    for &position in candidates {
        let Some((server, peer)) = turn.eligible(request, position) else { continue };
        total += peer.gain(server, now);
        if best.is_none_or(|(most, _)| peer.current > most) {
            best = Some((peer.current, position));
        }
    }
    let chosen = pinned.or(best.map(|(_, position)| position))?;
    if let Some(peer) = turn.slots.live_mut(turn.plan.slot_at(chosen)) {
        peer.current -= total;
    }
    Some(chosen)
}

/// Whether a pinned peer is so far behind that its sessions no longer move the weights: one request in a row is charged.
fn overdrawn(turn: &Turn<'_>, request: &Request, position: u32) -> bool {
    let Some((server, peer)) = turn.peer(position) else { return false };
    let current = turn.index.as_ref().and_then(|index| index.current(position)).unwrap_or(peer.current);
    let total = i64::try_from(turn.plan.list(request.tier).total_weight()).unwrap_or(i64::MAX / UNIT);
    current <= -(total * UNIT - server.full_weight())
}
