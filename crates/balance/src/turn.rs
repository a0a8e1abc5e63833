//! One selection under way: the plan it follows, the states it reads and writes, the moment.

use crate::{
    Availability, BoundPlan, Now, Obstacle, Request, index::Index, peer::PeerState, plan::Server, slots::Slots,
    tried::Tried,
};

/// What a method works with.
pub(crate) struct Turn<'a> {
    pub(crate) plan: &'a BoundPlan,
    pub(crate) slots: &'a mut Slots,
    /// The ranking of the regular peers, where the method has one; without it the methods scan.
    pub(crate) index: Option<&'a mut Index>,
    pub(crate) now: Now,
}

impl Turn<'_> {
    /// Line and state of the server at `position`, if nothing is in the way of `request`. Asked once per peer of a scan.
    #[inline]
    pub(crate) fn eligible(&mut self, request: &Request, position: u32) -> Option<(&Server, &mut PeerState)> {
        let peer = self.slots.live_mut(self.plan.slot_at(position))?;
        let free = judge(self.plan, peer, &request.tried, position, self.now).is_none();
        free.then_some((self.plan.server_at(position), peer))
    }

    /// Line and state of the server at `position`, eligible or not.
    pub(crate) fn peer(&self, position: u32) -> Option<(&Server, &PeerState)> {
        Some((self.plan.server_at(position), self.slots.live(self.plan.slot_at(position))?))
    }
}

/// What is in the way of a request that tried `tried` at the server at `position`. A server that the newest plan no longer
/// names is down to older ones.
pub(crate) fn obstacle(plan: &BoundPlan, slots: &Slots, tried: &Tried, position: u32, now: Now) -> Option<Obstacle> {
    let Some(peer) = slots.live(plan.slot_at(position)) else { return Some(Obstacle::Down) };
    judge(plan, peer, tried, position, now)
}

/// nginx's tests of a peer (`ngx_http_upstream_get_peer`), made nowhere else. Draining comes last, because a session passes it
/// (`ngx_http_upstream_get_rr_peer_by_sid`).
#[inline]
fn judge(plan: &BoundPlan, peer: &PeerState, tried: &Tried, position: u32, now: Now) -> Option<Obstacle> {
    let server = plan.server_at(position);
    if tried.contains(position) {
        Some(Obstacle::Tried)
    } else if server.availability == Availability::Down {
        Some(Obstacle::Down)
    } else if peer.ejected(server, now) && !plan.is_single() {
        Some(Obstacle::Ejected { until: peer.ejected_until(server) })
    } else if peer.full(server) {
        Some(Obstacle::Full)
    } else if server.availability == Availability::Drain {
        Some(Obstacle::Draining)
    } else {
        None
    }
}
