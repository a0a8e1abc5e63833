//! Session pins: the id of a server, and whether the one a session names can be used (nginx 1.29.6, `sticky`).

use std::sync::Arc;

use md5::{Digest as _, Md5};

use crate::{
    Obstacle, Request, ServerSpec,
    turn::{self, Turn},
};

/// The id of a server: its `route`, or the lower-case hex MD5 of its printable address.
pub(crate) fn sid(server: &ServerSpec) -> Arc<str> {
    use std::fmt::Write as _;

    if let Some(route) = &server.route {
        return Arc::clone(route);
    }
    let mut hex = String::with_capacity(32);
    for byte in Md5::digest(server.key.address.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex.into()
}

/// The peer of the current list that the session asks for, if nothing but draining is in the way
/// (`ngx_http_upstream_round_robin.c`, `ngx_http_upstream_get_rr_peer_by_sid`).
pub(crate) fn pinned(turn: &Turn<'_>, request: &Request) -> Option<u32> {
    let position = request.pinned[request.tier as usize]?;
    let obstacle = turn::obstacle(turn.plan, turn.slots, &request.tried, position, turn.now);
    obstacle.is_none_or(Obstacle::lets_sessions_pass).then_some(position)
}
