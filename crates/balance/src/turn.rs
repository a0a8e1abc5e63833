//! One selection under way: the plan it follows, the states it reads and writes, the moment.

use crate::{
    Availability, BoundPlan, Now, Obstacle, Request, index::Index, peer::PeerState, plan::Server, slots::Slots,
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
    /// nginx's four tests: not tried, not down, not ejected, not full.
    pub(crate) fn eligible(&self, request: &Request, position: u32) -> bool {
        !request.tried.contains(position) && self.obstacle(position).is_none()
    }

    /// Why nobody can pick the server at `position` now.
    pub(crate) fn obstacle(&self, position: u32) -> Option<Obstacle> {
        obstacle(self.plan, self.slots, position, self.now)
    }

    /// Line and state of an eligible peer.
    pub(crate) fn peer(&self, position: u32) -> Option<(&Server, &PeerState)> {
        Some((self.plan.server(position), self.slots.live(self.plan.slot_at(position))?))
    }

    /// As [`Self::peer`], to be changed.
    pub(crate) fn peer_mut(&mut self, position: u32) -> Option<(&Server, &mut PeerState)> {
        Some((self.plan.server(position), self.slots.live_mut(self.plan.slot_at(position))?))
    }
}

/// Why a fresh request cannot pick the server at `position`, in the order of nginx's tests. A server that the newest plan
/// no longer names is down to older ones.
pub(crate) fn obstacle(plan: &BoundPlan, slots: &Slots, position: u32, now: Now) -> Option<Obstacle> {
    let server = plan.server(position);
    let Some(peer) = slots.live(plan.slot_at(position)) else { return Some(Obstacle::Down) };
    match server.availability {
        Availability::Down => Some(Obstacle::Down),
        Availability::Drain => Some(Obstacle::Draining),
        Availability::Up if plan.is_single() => peer.full(server).then_some(Obstacle::Full),
        Availability::Up => peer.obstacle(server, now),
    }
}
