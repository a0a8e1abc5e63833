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
    /// Line and state of the server at `position`, if it passes nginx's four tests: not tried, not down, not ejected, not
    /// full.
    pub(crate) fn eligible(&mut self, request: &Request, position: u32) -> Option<(&Server, &mut PeerState)> {
        if request.tried.contains(position) {
            return None;
        }
        let server = self.plan.server(position);
        let peer = self.slots.live_mut(self.plan.slot_at(position))?;
        (server.availability == Availability::Up && peer.obstacle(server, self.now).is_none()).then_some((server, peer))
    }

    /// Line and state of the server at `position`, eligible or not.
    pub(crate) fn peer(&self, position: u32) -> Option<(&Server, &PeerState)> {
        Some((self.plan.server(position), self.slots.live(self.plan.slot_at(position))?))
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
