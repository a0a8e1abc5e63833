//! Weighted draws (`ngx_http_upstream_random_module.c`, `ngx_http_upstream_get_random_peer` and `..._random2_peer`).
//!
//! nginx draws from libc's `random()`, seeded by process and time; here the draw is the caller's.

use crate::{Request, Rng, method::round_robin, sticky, turn::Turn};

/// Draws until the drawn peer is eligible.
pub(crate) fn pick(turn: &mut Turn<'_>, request: &mut Request, rng: &mut impl Rng) -> Option<u32> {
    if !worth_drawing(turn, request) {
        return round_robin::pick(turn, request);
    }
    if let Some(pinned) = sticky::pinned(turn, request) {
        return Some(pinned);
    }
    loop {
        let position = draw(turn, request, rng);
        if turn.eligible(request, position).is_some() {
            return Some(position);
        }
        request.miss();
        if request.gave_up() {
            return round_robin::pick(turn, request);
        }
    }
}

/// Draws two different eligible peers and takes the one with fewer attempts per weight; the second on a tie, which inverts
/// the shares of an idle group. The first draw of the two counts as a miss: nginx's loop runs on through `next:`.
pub(crate) fn pick_two(turn: &mut Turn<'_>, request: &mut Request, rng: &mut impl Rng) -> Option<u32> {
    if !worth_drawing(turn, request) {
        return round_robin::pick(turn, request);
    }
    if let Some(pinned) = sticky::pinned(turn, request) {
        return Some(pinned);
    }
    let mut first = None;
    loop {
        let position = draw(turn, request, rng);
        if first != Some(position) && turn.eligible(request, position).is_some() {
            if let Some(first) = first {
                return Some(less_loaded(turn, first, position));
            }
            first = Some(position);
        }
        request.miss();
        if request.gave_up() {
            return round_robin::pick(turn, request);
        }
    }
}

fn worth_drawing(turn: &Turn<'_>, request: &Request) -> bool {
    !request.gave_up() && turn.plan.list(request.tier).len() >= 2
}

fn draw(turn: &Turn<'_>, request: &Request, rng: &mut impl Rng) -> u32 {
    let list = turn.plan.list(request.tier);
    list.at_weight(rng.below(list.total_weight()))
}

fn less_loaded(turn: &Turn<'_>, first: u32, second: u32) -> u32 {
    let load = |position| {
        turn.peer(position).map_or((0, 1), |(server, peer)| (u64::from(peer.conns), u64::from(server.weight)))
    };
    let ((first_conns, first_weight), (second_conns, second_weight)) = (load(first), load(second));
    if second_conns * first_weight > first_conns * second_weight { first } else { second }
}
