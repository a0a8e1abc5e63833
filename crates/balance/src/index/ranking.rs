//! One list of an index: its regular peers in queues, the others by name.

use std::cmp::Ordering;

use super::{
    Class, Look, Place, Seat,
    bucket::{Bucket, Ranked},
};
use crate::{method::least_conn::compare, peer::PeerState, weight::UNIT};

/// The peers of one list that may be eligible.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    /// By rank; none is empty. Few: as many as there are different weights, for `least_conn` times different loads.
    buckets: Vec<Bucket>,
    /// Positions to be looked at one by one.
    pub(super) scanned: Vec<u32>,
    /// Buckets that emptied, kept for their memory.
    spare: Vec<Bucket>,
}

/// What the regular peers of a bucket have in common. Ordered by attempts per weight, then by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rank {
    /// Attempts in progress, or 0 where the method ignores them.
    pub(super) conns: u32,
    pub(super) weight: u32,
}

/// The eligible peers of the least load.
pub(super) enum Least {
    Nobody,
    /// Only one of them: `least_conn` moves no weight for it.
    Lone(u32),
    /// Those of this ratio take a round.
    Tied((u64, i64)),
}

impl Ranking {
    /// The current weight of a peer in the bucket of `rank` with this debt.
    pub(super) fn current(&self, rank: Rank, debt: i64) -> Option<i64> {
        self.find(rank).ok().map(|at| self.buckets[at].current(debt))
    }

    /// Finds the least load among the queued and the scanned.
    pub(super) fn least(&mut self, seats: &[Seat], look: &Look<'_>) -> Least {
        let mut least = self.buckets.first().map(|bucket| bucket.rank.ratio());
        let mut lone = None;
        let mut count = 0;
        for &position in &self.scanned {
            let Some(ratio) = look.ratio(position) else { continue };
            match least.map_or(Ordering::Less, |least| compare(ratio, least)) {
                Ordering::Less => (least, lone, count) = (Some(ratio), Some(position), 1),
                Ordering::Equal => (lone, count) = (Some(position), count + 1),
                Ordering::Greater => {}
            }
        }
        let Some(least) = least else { return Least::Nobody };
        for bucket in self.buckets.iter_mut().take_while(|bucket| bucket.rank.shares(least)) {
            count += bucket.len();
            lone = bucket.first(seats).map(|ranked| ranked.position);
            if count > 1 {
                break;
            }
        }
        match lone {
            Some(position) if count == 1 => Least::Lone(position),
            Some(_) | None => Least::Tied(least),
        }
    }

    /// Everybody of `ratio` gains. Returns what was gained in all and who then has the most.
    pub(super) fn round(&mut self, seats: &mut [Seat], look: &mut Look<'_>, ratio: (u64, i64)) -> (i64, Option<u32>) {
        let mut total = 0;
        let mut best: Option<(i64, u32)> = None;
        let mut consider = |current, position| {
            if best.is_none_or(|(most, earlier)| current > most || (current == most && position < earlier)) {
                best = Some((current, position));
            }
        };
        for bucket in self.buckets.iter_mut().take_while(|bucket| bucket.rank.shares(ratio)) {
            total += bucket.gain(seats);
            if let Some(first) = bucket.first(seats) {
                consider(bucket.current(first.debt), first.position);
            }
        }
        for &position in &self.scanned {
            if look.ratio(position).is_some_and(|own| compare(own, ratio).is_eq())
                && let Some(peer) = look.slots.live_mut(look.plan.slot_at(position))
            {
                total += peer.gain(look.plan.server_at(position), look.now);
                consider(peer.current, position);
            }
        }
        (total, best.map(|(_, position)| position))
    }

    /// Takes a queued peer out and gives its current weight back to the slot.
    pub(super) fn lift(&mut self, seats: &mut [Seat], position: u32, peer: &mut PeerState) {
        let place = &mut seats[position as usize].place;
        let Place::Ranked { rank, debt } = *place else { return };
        *place = Place::Lifted;
        let Ok(at) = self.find(rank) else { return };
        let bucket = &mut self.buckets[at];
        peer.current = bucket.current(debt);
        bucket.remove(Ranked { debt, position }, seats);
        if bucket.len() == 0 {
            let emptied = self.buckets.remove(at);
            self.spare.push(emptied);
        }
    }

    /// Puts a peer that is nowhere where its class belongs.
    pub(super) fn seat(&mut self, class: Class, position: u32, current: i64) -> Place {
        match class {
            Class::Parked => Place::Parked,
            Class::Irregular => {
                self.scanned.push(position);
                Place::Scanned
            }
            Class::Regular(rank) => {
                let debt = self.bucket(rank).insert(position, current);
                Place::Ranked { rank, debt }
            }
        }
    }

    /// Checks the order and returns how many peers are kept here.
    pub(super) fn check_invariants(&self, seats: &[Seat]) -> usize {
        assert!(self.buckets.iter().map(|bucket| bucket.rank).is_sorted(), "buckets out of order");
        let queued = self.buckets.iter().map(|bucket| bucket.check_invariants(seats)).sum::<usize>();
        queued + self.scanned.len()
    }

    fn find(&self, rank: Rank) -> Result<usize, usize> {
        match self.buckets.first() {
            Some(first) if first.rank == rank => Ok(0),
            Some(_) | None => self.buckets.binary_search_by(|bucket| bucket.rank.cmp(&rank)),
        }
    }

    fn bucket(&mut self, rank: Rank) -> &mut Bucket {
        let at = match self.find(rank) {
            Ok(at) => at,
            Err(at) => {
                let bucket = Bucket::new(rank, self.spare.pop());
                self.buckets.insert(at, bucket);
                at
            }
        };
        &mut self.buckets[at]
    }
}

impl Rank {
    fn ratio(self) -> (u64, i64) {
        (u64::from(self.conns), i64::from(self.weight) * UNIT)
    }

    /// Whether its peers are of this ratio; asked from the least on, so that a lesser one does not occur.
    fn shares(self, ratio: (u64, i64)) -> bool {
        compare(self.ratio(), ratio).is_le()
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
