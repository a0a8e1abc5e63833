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

use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
};

use crate::{
    Availability, BoundPlan, Method, Now, Request, Tier, method::least_conn::compare, peer::PeerState, plan::Server,
    slots::Slots, turn, weight::UNIT,
};

/// An offset is folded back into its queue before it comes near the end of `i64`.
const FAR: i64 = 1 << 61;

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

#[derive(Debug, Default)]
struct Ranking {
    /// No bucket is empty.
    buckets: BTreeMap<Rank, Bucket>,
    /// Positions to be looked at one by one.
    scanned: Vec<u32>,
    /// Queues of buckets that emptied, kept for their memory.
    spare: Vec<VecDeque<Ranked>>,
}

/// Ordered by attempts per weight, then by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rank {
    conns: u32,
    weight: u32,
}

/// Peers that gain alike.
#[derive(Debug)]
struct Bucket {
    /// What each of them has gained since the offset was last 0.
    offset: i64,
    queue: VecDeque<Ranked>,
}

/// The order of a queue: least debt first, then the earlier configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    /// Offset of the bucket minus the peer's current weight.
    debt: i64,
    position: u32,
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
    /// Weight in the slot; in `scanned`.
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
        let mut seat = |position| {
            let server = plan.server(position);
            let ranking = &mut rankings[server.tier as usize];
            let place = match slots.live(plan.slot_at(position)).map(|peer| (peer, classify(server, peer, load))) {
                None | Some((_, Class::Parked)) => Place::Parked,
                Some((_, Class::Irregular)) => {
                    ranking.scanned.push(position);
                    Place::Scanned
                }
                Some((peer, Class::Regular(rank))) => {
                    let debt = -peer.current;
                    ranking.bucket(rank).queue.push_back(Ranked { debt, position });
                    Place::Ranked { rank, debt }
                }
            };
            Seat { tier: server.tier, place }
        };
        let seats = plan.positions().map(&mut seat).collect();
        for bucket in rankings.iter_mut().flat_map(|ranking| ranking.buckets.values_mut()) {
            bucket.queue.make_contiguous().sort_unstable();
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
            Place::Ranked { rank, debt } => Some(self.rankings[seat.tier as usize].buckets.get(&rank)?.offset - debt),
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
        let chosen = match ranking.least(&look) {
            None => pinned,
            Some(Least::Lone(position)) => Some(position),
            Some(Least::Tied(ratio)) => {
                let (total, best) = ranking.round(&mut self.seats, &mut look, ratio);
                let payer = pinned.or(best);
                if let Some(position) = payer
                    && let Some(peer) = look.slots.live_mut(plan.slot_at(position))
                {
                    ranking.lift(&mut self.seats[position as usize].place, position, peer);
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
        let seat = &mut self.seats[position as usize];
        let ranking = &mut self.rankings[seat.tier as usize];
        let class = classify(server, peer, self.load);
        match (seat.place, class) {
            (Place::Scanned, _) | (Place::Parked, Class::Parked) => {}
            (Place::Ranked { rank, .. }, Class::Regular(same)) if rank == same => {}
            (Place::Parked | Place::Lifted | Place::Ranked { .. }, _) => {
                ranking.lift(&mut seat.place, position, peer);
                seat.place = ranking.seat(class, position, peer.current);
            }
        }
    }

    /// Has a peer looked at one by one, whatever its state: it was tried, is pinned, or changed under an older plan.
    pub(crate) fn demote(&mut self, position: u32, peer: &mut PeerState) {
        let seat = &mut self.seats[position as usize];
        if seat.place != Place::Scanned {
            let ranking = &mut self.rankings[seat.tier as usize];
            ranking.lift(&mut seat.place, position, peer);
            seat.place = ranking.seat(Class::Irregular, position, peer.current);
        }
    }

    /// Takes out of the scanned whoever has become regular or cannot be eligible.
    fn settle(&mut self, tier: Tier, plan: &BoundPlan, slots: &Slots) {
        let ranking = &mut self.rankings[tier as usize];
        let mut at = 0;
        while let Some(&position) = ranking.scanned.get(at) {
            let peer = slots.live(plan.slot_at(position));
            match peer.map_or(Class::Parked, |peer| classify(plan.server(position), peer, self.load)) {
                Class::Irregular => at += 1,
                class @ (Class::Parked | Class::Regular(_)) => {
                    ranking.scanned.swap_remove(at);
                    let current = peer.map_or(0, |peer| peer.current);
                    self.seats[position as usize].place = ranking.seat(class, position, current);
                }
            }
        }
    }

    /// Every peer is where its state puts it, queues are in order and buckets not empty.
    pub(crate) fn check_invariants(&self, plan: &BoundPlan, slots: &Slots) {
        let mut seated = 0;
        for ranking in &self.rankings {
            seated += ranking.scanned.len();
            for (rank, bucket) in &ranking.buckets {
                seated += bucket.queue.len();
                assert!(!bucket.queue.is_empty(), "an empty bucket");
                assert!(bucket.queue.iter().is_sorted(), "a queue out of order");
                for ranked in &bucket.queue {
                    let place = Place::Ranked { rank: *rank, debt: ranked.debt };
                    assert_eq!(
                        self.seats[ranked.position as usize].place, place,
                        "a seat that does not know its place"
                    );
                }
            }
        }
        for (position, seat) in plan.positions().zip(&self.seats) {
            let Some(peer) = slots.live(plan.slot_at(position)) else { continue };
            let class = classify(plan.server(position), peer, self.load);
            match seat.place {
                Place::Lifted => panic!("a peer left in the air"),
                Place::Scanned => {}
                Place::Parked => {
                    seated += 1;
                    assert_eq!(class, Class::Parked, "a parked peer that could be eligible");
                }
                Place::Ranked { rank, .. } => {
                    assert_eq!(class, Class::Regular(rank), "a ranked peer that is not regular")
                }
            }
        }
        assert_eq!(seated, plan.len(), "every peer has one place");
    }
}

/// What a pick sees of the peers that are looked at one by one.
struct Look<'a> {
    load: Load,
    plan: &'a BoundPlan,
    slots: &'a mut Slots,
    request: &'a Request,
    now: Now,
}

/// The eligible peers of the least load.
enum Least {
    /// Only one of them: `least_conn` moves no weight for it.
    Lone(u32),
    /// Those of this ratio take a round.
    Tied((u64, i64)),
}

impl Look<'_> {
    /// Attempts and weight of a peer, if it is eligible.
    fn ratio(&self, position: u32) -> Option<(u64, i64)> {
        if self.request.tried.contains(position) || turn::obstacle(self.plan, self.slots, position, self.now).is_some()
        {
            return None;
        }
        let server = self.plan.server(position);
        let peer = self.slots.live(self.plan.slot_at(position))?;
        Some(match self.load {
            Load::Ignored => (0, 1),
            Load::Conns => (u64::from(peer.conns), peer.weight(server, self.now)),
        })
    }
}

impl Ranking {
    fn bucket(&mut self, rank: Rank) -> &mut Bucket {
        let Self { buckets, spare, .. } = self;
        buckets.entry(rank).or_insert_with(|| Bucket { offset: 0, queue: spare.pop().unwrap_or_default() })
    }

    /// Finds the least load among the ranked and the scanned.
    fn least(&self, look: &Look<'_>) -> Option<Least> {
        let mut least = self.buckets.first_key_value().map(|(rank, _)| rank.ratio());
        if look.load == Load::Ignored {
            // Everybody ties; a round over nobody finds nobody.
            return Some(Least::Tied((0, 1)));
        }
        let mut lone = None;
        let mut scanned = 0;
        for &position in &self.scanned {
            let Some(ratio) = look.ratio(position) else { continue };
            match least.map_or(Ordering::Less, |least| compare(ratio, least)) {
                Ordering::Less => (least, lone, scanned) = (Some(ratio), Some(position), 1),
                Ordering::Equal => (lone, scanned) = (Some(position), scanned + 1),
                Ordering::Greater => {}
            }
        }
        let least = least?;
        let mut ranked = 0;
        for (_, bucket) in self.tied(least) {
            ranked += bucket.queue.len();
            lone = bucket.queue.front().map(|ranked| ranked.position).or(lone);
            if ranked + scanned > 1 {
                break;
            }
        }
        match (lone, ranked + scanned) {
            (Some(position), 1) => Some(Least::Lone(position)),
            _ => Some(Least::Tied(least)),
        }
    }

    /// The buckets of one ratio: they lead the map, unless none of its buckets has it.
    fn tied(&self, ratio: (u64, i64)) -> impl Iterator<Item = (&Rank, &Bucket)> {
        self.buckets.iter().take_while(move |(rank, _)| compare(rank.ratio(), ratio).is_le())
    }

    /// Everybody of `ratio` gains. Returns what was gained in all and who then has the most.
    fn round(&mut self, seats: &mut [Seat], look: &mut Look<'_>, ratio: (u64, i64)) -> (i64, Option<u32>) {
        let mut total = 0;
        let mut best: Option<(i64, u32)> = None;
        let mut consider = |current, position| {
            if best.is_none_or(|(most, earlier)| current > most || (current == most && position < earlier)) {
                best = Some((current, position));
            }
        };
        for (rank, bucket) in self.buckets.iter_mut().take_while(|(rank, _)| compare(rank.ratio(), ratio).is_le()) {
            let gain = i64::from(rank.weight) * UNIT;
            bucket.offset += gain;
            total += gain * i64::try_from(bucket.queue.len()).unwrap_or(i64::MAX);
            if bucket.offset > FAR {
                bucket.fold(*rank, seats);
            }
            if let Some(front) = bucket.queue.front() {
                consider(bucket.offset - front.debt, front.position);
            }
        }
        for &position in &self.scanned {
            if look.ratio(position).is_some_and(|own| compare(own, ratio).is_eq())
                && let Some(peer) = look.slots.live_mut(look.plan.slot_at(position))
            {
                total += peer.gain(look.plan.server(position), look.now);
                consider(peer.current, position);
            }
        }
        (total, best.map(|(_, position)| position))
    }

    /// Takes a ranked peer out of its queue and gives its current weight back to the slot.
    fn lift(&mut self, place: &mut Place, position: u32, peer: &mut PeerState) {
        let Place::Ranked { rank, debt } = *place else { return };
        *place = Place::Lifted;
        let Some(bucket) = self.buckets.get_mut(&rank) else { return };
        peer.current = bucket.offset - debt;
        bucket.remove(Ranked { debt, position });
        if bucket.queue.is_empty()
            && let Some(bucket) = self.buckets.remove(&rank)
        {
            self.spare.push(bucket.queue);
        }
    }

    /// Puts a peer that is nowhere where its class belongs.
    fn seat(&mut self, class: Class, position: u32, current: i64) -> Place {
        match class {
            Class::Parked => Place::Parked,
            Class::Irregular => {
                self.scanned.push(position);
                Place::Scanned
            }
            Class::Regular(rank) => {
                let bucket = self.bucket(rank);
                let debt = bucket.offset - current;
                bucket.insert(Ranked { debt, position });
                Place::Ranked { rank, debt }
            }
        }
    }
}

impl Bucket {
    /// Nearly always at the back: who was picked pays more than anybody else has left.
    fn insert(&mut self, ranked: Ranked) {
        if self.queue.back().is_none_or(|last| *last < ranked) {
            self.queue.push_back(ranked);
        } else {
            let at = self.queue.partition_point(|other| *other < ranked);
            self.queue.insert(at, ranked);
        }
    }

    fn remove(&mut self, ranked: Ranked) {
        if self.queue.front() == Some(&ranked) {
            self.queue.pop_front();
        } else if let Ok(at) = self.queue.binary_search(&ranked) {
            self.queue.remove(at);
        }
    }

    /// Takes the offset into the debts.
    #[cold]
    fn fold(&mut self, rank: Rank, seats: &mut [Seat]) {
        for ranked in &mut self.queue {
            ranked.debt -= self.offset;
            seats[ranked.position as usize].place = Place::Ranked { rank, debt: ranked.debt };
        }
        self.offset = 0;
    }
}

impl Rank {
    fn ratio(self) -> (u64, i64) {
        (u64::from(self.conns), i64::from(self.weight) * UNIT)
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let load = u64::from(self.conns) * u64::from(other.weight);
        load.cmp(&(u64::from(other.conns) * u64::from(self.weight))).then(self.weight.cmp(&other.weight))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
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
