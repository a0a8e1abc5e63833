//! Fewest attempts per weight (`ngx_http_upstream_least_conn_module.c`, `ngx_http_upstream_get_least_conn_peer`).
//!
//! Ties are broken by smooth weighted round robin among the tied, so an idle group is exactly round robin; a lone winner
//! moves no weight. Ratios are compared by cross multiplication, with the configured weight, not the effective one.

use smallvec::SmallVec;

use crate::{Request, method::round_robin, peer::PeerState, plan::Server, sticky, turn::Turn};

pub(crate) fn pick(turn: &mut Turn<'_>, request: &Request) -> Option<u32> {
    if let Some(pinned) = sticky::pinned(turn, request) {
        return Some(pinned);
    }
    if let Some(index) = turn.index.as_deref_mut() {
        return index.pick(turn.plan, turn.slots, request, None, turn.now);
    }
    least(turn, request, |_, peer| u64::from(peer.conns))
}

/// The eligible peer with the least `figure / weight`; several with the same are settled by one round-robin step among them.
pub(crate) fn least(
    turn: &mut Turn<'_>,
    request: &Request,
    figure: impl Fn(&Server, &mut PeerState) -> u64,
) -> Option<u32> {
    let (plan, now) = (turn.plan, turn.now);
    let mut best: Option<(u64, i64)> = None;
    let mut tied: SmallVec<[u32; 32]> = SmallVec::new();
    for &position in &plan.list(request.tier).positions {
        let Some((server, peer)) = turn.eligible(request, position) else { continue };
        let ratio = (figure(server, peer), peer.weight(server, now));
        let order = best.map_or(std::cmp::Ordering::Less, |best| compare(ratio, best));
        if order.is_lt() {
            best = Some(ratio);
            tied.clear();
        }
        if order.is_le() {
            tied.push(position);
        }
    }
    match tied.as_slice() {
        [] => None,
        [lone] => Some(*lone),
        tied => round_robin::step(turn, request, tied, None),
    }
}

/// Compares `a.0 / a.1` with `b.0 / b.1`.
pub(crate) fn compare(a: (u64, i64), b: (u64, i64)) -> std::cmp::Ordering {
    (i128::from(a.0) * i128::from(b.1)).cmp(&(i128::from(b.0) * i128::from(a.1)))
}
