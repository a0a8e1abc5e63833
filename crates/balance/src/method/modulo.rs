//! What `ip_hash` and `hash KEY` have in common: a number modulo the weights is a peer's, and the next number is asked for until
//! that peer can take the request. They differ in how the numbers are made ([`super::ip_hash`], [`super::hash`]).

use crate::{Request, method::round_robin, request::Key, sticky, turn::Turn};

/// Peers that are down keep their share of the numbers: that is the point of `down` here. A retry goes on from the last number.
pub(crate) fn pick(turn: &mut Turn<'_>, request: &mut Request) -> Option<u32> {
    let list = turn.plan.list(request.tier);
    let is_hashed = matches!(request.key, Key::Client(_) | Key::Text(_));
    if request.gave_up() || list.len() < 2 || !is_hashed {
        return round_robin::pick(turn, request);
    }
    if let Some(pinned) = sticky::pinned(turn, request) {
        return Some(pinned);
    }
    while let Some(number) = request.key.rehash() {
        let position = list.at_weight(number % list.total_weight());
        if turn.eligible(request, position).is_some() {
            return Some(position);
        }
        request.miss();
        if request.gave_up() {
            break;
        }
    }
    round_robin::pick(turn, request)
}
