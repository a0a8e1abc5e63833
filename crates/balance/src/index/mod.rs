//! The same picks without looking at every peer.
//!
//! In one round of smooth weighting every eligible peer gains its effective weight. A *regular* peer (up, not full, failures
//! below the limit, effective weight whole, no slow start) gains exactly its configured weight, so the regular peers of one
//! weight keep their distances: one offset per bucket stands for all their gains, and a queue ordered by what is left
//! (greatest first, earlier configured of equals) has the best in front. The one that is picked pays the total, which puts it
//! at the back. `least_conn` does the same among the peers of the least load, so its buckets are (attempts, weight).
//!
//! Peers that are not regular but may be eligible are few and looked at one by one; those that only an event can make
//! eligible (full, down) are parked. Where a peer belongs is decided by its state alone, whenever that state changes.
//! What it refuses to do: rank for a plan that is not the newest. Then its weights go back to the slots and the scan decides.
//!
//! That it is the same is proven, not argued: `tests/simulation.rs` and `tests/properties.rs` compare every pick and every
//! weight with those of the plain scan.

mod bucket;
mod ranking;

use std::cmp::Reverse;

use ranking::{Least, Rank, Ranking};

use crate::{Availability, BoundPlan, Method, Now, Request, Tier, peer::PeerState, plan::Server, slots::Slots, turn};

/// The peers of the newest plan, by where they stand.
#[derive(Debug)]
pub(crate) struct Index {
    load: Load,
    /// By position.
    seats: Vec<Seat>,
    /// Primaries, backups.
    rankings: [Ranking; 2],
}

/// What makes one peer less loaded than another before the weights are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Nothing: round robin and whatever falls back to it.
    Ignored,
    /// Attempts in progress, for `least_conn`.
    Conns,
}

/// What a pick sees of the peers that are looked at one by one.
struct Look<'a> {
    load: Load,
    plan: &'a BoundPlan,
    slots: &'a mut Slots,
    request: &'a Request,
    now: Now,
}

/// A peer's list and its place there.
#[derive(Clone, Copy, Debug)]
struct Seat {
    tier: Tier,
    place: Place,
}

/// Where a peer is found, and by that where its current weight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Weight in the slot; cannot be eligible until its state changes.
    Parked,
    /// Weight in the slot; among the scanned.
    Scanned,
    /// Weight in the slot; picked a moment ago and about to be placed.
    Lifted,
    /// Weight here.
    Ranked { rank: Rank, debt: i64 },
}

/// Where a peer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Parked,
    Irregular,
    Regular(Rank),
}

impl Load {
    /// What the method ranks by; none for those that look at figures or subsets of their own.
    pub(crate) fn of(method: Method) -> Option<Self> {
        match method {
            Method::RoundRobin | Method::IpHash | Method::Hash | Method::Random | Method::RandomTwo => {
                Some(Self::Ignored)
            }
            Method::LeastConn => Some(Self::Conns),
            Method::ConsistentHash | Method::LeastTime { .. } => None,
        }
    }
}

impl Index {
    /// Ranks the peers of `plan`, the newest one.
    pub(crate) fn build(plan: &BoundPlan, slots: &Slots, load: Load) -> Self {
        let mut rankings = [Ranking::default(), Ranking::default()];
        let mut seats: Vec<_> = plan
            .positions()
            .map(|position| Seat { tier: plan.server_at(position).tier, place: Place::Parked })
            .collect();
        let mut peers: Vec<_> =
            plan.positions().filter_map(|position| Some((position, slots.live(plan.slot_at(position))?))).collect();
        // Best first, so that each goes to the back of its queue.
        peers.sort_by_key(|(_, peer)| Reverse(peer.current));
        for (position, peer) in peers {
            let server = plan.server_at(position);
            let ranking = &mut rankings[server.tier as usize];
            seats[position as usize].place = ranking.seat(classify(server, peer, load), position, peer.current);
        }
        Self { load, seats, rankings }
    }

    /// Gives the current weights back to the slots.
    pub(crate) fn dissolve(self, slots: &mut Slots) {
        for entry in slots.entries_mut() {
            if let Some(current) = entry.position.and_then(|position| self.current(position)) {
                entry.state.current = current;
            }
        }
    }

    /// The current weight of the server at `position`, if it is kept here.
    pub(crate) fn current(&self, position: u32) -> Option<i64> {
        let seat = self.seats.get(position as usize)?;
        match seat.place {
            Place::Parked | Place::Scanned | Place::Lifted => None,
            Place::Ranked { rank, debt } => self.rankings[seat.tier as usize].current(rank, debt),
        }
    }

    /// One pick among the eligible peers of the least load, as [`crate::method::round_robin::step`] would make it; a pinned
    /// peer pays in place of the best. The caller counts the attempt and then calls [`Self::refresh`].
    pub(crate) fn pick(
        &mut self,
        plan: &BoundPlan,
        slots: &mut Slots,
        request: &Request,
        pinned: Option<u32>,
        now: Now,
    ) -> Option<u32> {
        for position in request.tried.iter().chain(pinned) {
            if let Some(peer) = slots.live_mut(plan.slot_at(position)) {
                self.demote(position, peer);
            }
        }
        let ranking = &mut self.rankings[request.tier as usize];
        let mut look = Look { load: self.load, plan, slots, request, now };
        let least = match self.load {
            // Everybody ties, and a round over nobody finds nobody.
            Load::Ignored => Least::Tied((0, 1)),
            Load::Conns => ranking.least(&self.seats, &look),
        };
        let chosen = match least {
            Least::Nobody => pinned,
            Least::Lone(position) => Some(position),
            Least::Tied(ratio) => {
                let (total, best) = ranking.round(&mut self.seats, &mut look, ratio);
                let payer = pinned.or(best);
                if let Some(position) = payer
                    && let Some(peer) = look.slots.live_mut(plan.slot_at(position))
                {
                    ranking.lift(&mut self.seats, position, peer);
                    peer.current -= total;
                }
                payer
            }
        };
        if !ranking.scanned.is_empty() {
            self.settle(request.tier, plan, slots);
        }
        chosen
    }

    /// Puts a peer where its changed state belongs. One that is being scanned is left to the next pick.
    pub(crate) fn refresh(&mut self, position: u32, server: &Server, peer: &mut PeerState) {
        let class = classify(server, peer, self.load);
        match (self.seats[position as usize].place, class) {
            (Place::Scanned, _) | (Place::Parked, Class::Parked) => {}
            (Place::Ranked { rank, .. }, Class::Regular(same)) if rank == same => {}
            (Place::Parked | Place::Lifted | Place::Ranked { .. }, _) => self.seat(class, position, peer),
        }
    }

    /// Has a peer looked at one by one, whatever its state: it was tried, is pinned, or changed under an older plan.
    pub(crate) fn demote(&mut self, position: u32, peer: &mut PeerState) {
        if self.seats[position as usize].place != Place::Scanned {
            self.seat(Class::Irregular, position, peer);
        }
    }

    /// Every peer is where its state puts it, and queues are in order.
    pub(crate) fn check_invariants(&self, plan: &BoundPlan, slots: &Slots) {
        let mut seated: usize = self.rankings.iter().map(|ranking| ranking.check_invariants(&self.seats)).sum();
        for (position, seat) in plan.positions().zip(&self.seats) {
            let Some(peer) = slots.live(plan.slot_at(position)) else { continue };
            let class = classify(plan.server_at(position), peer, self.load);
            match seat.place {
                Place::Lifted => panic!("a peer left in the air"),
                Place::Scanned => {}
                Place::Parked => {
                    seated += 1;
                    assert_eq!(class, Class::Parked, "a parked peer that could be eligible");
                }
                Place::Ranked { rank, .. } => {
                    assert_eq!(class, Class::Regular(rank), "a ranked peer that is not regular");
                }
            }
        }
        assert_eq!(seated, plan.len(), "every peer has one place");
    }

    /// Moves a peer that is not among the scanned.
    fn seat(&mut self, class: Class, position: u32, peer: &mut PeerState) {
        let ranking = &mut self.rankings[self.seats[position as usize].tier as usize];
        ranking.lift(&mut self.seats, position, peer);
        self.seats[position as usize].place = ranking.seat(class, position, peer.current);
    }

    /// Takes out of the scanned whoever has become regular or cannot be eligible.
    fn settle(&mut self, tier: Tier, plan: &BoundPlan, slots: &Slots) {
        let ranking = &mut self.rankings[tier as usize];
        let mut at = 0;
        while let Some(&position) = ranking.scanned.get(at) {
            let peer = slots.live(plan.slot_at(position));
            match peer.map_or(Class::Parked, |peer| classify(plan.server_at(position), peer, self.load)) {
                Class::Irregular => at += 1,
                class @ (Class::Parked | Class::Regular(_)) => {
                    ranking.scanned.swap_remove(at);
                    let current = peer.map_or(0, |peer| peer.current);
                    self.seats[position as usize].place = ranking.seat(class, position, current);
                }
            }
        }
    }
}

impl Look<'_> {
    /// Attempts and weight of a peer, if it is eligible.
    fn ratio(&self, position: u32) -> Option<(u64, i64)> {
        if turn::obstacle(self.plan, self.slots, &self.request.tried, position, self.now).is_some() {
            return None;
        }
        let peer = self.slots.live(self.plan.slot_at(position))?;
        Some(match self.load {
            Load::Ignored => (0, 1),
            Load::Conns => (u64::from(peer.conns), peer.weight(self.plan.server_at(position), self.now)),
        })
    }
}

fn classify(server: &Server, peer: &PeerState, load: Load) -> Class {
    if server.availability != Availability::Up || peer.full(server) {
        return Class::Parked;
    }
    if peer.failed_enough(server) || peer.effective < server.full_weight() || peer.ramp.is_some() {
        return Class::Irregular;
    }
    let conns = match load {
        Load::Ignored => 0,
        Load::Conns => peer.conns,
    };
    Class::Regular(Rank { conns, weight: server.weight })
}
