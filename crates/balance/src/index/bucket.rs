//! The regular peers of one rank, best first, at a constant cost where it matters.
//!
//! Round robin takes from the front and puts at the back: a double-ended queue. `least_conn` under load takes peers out of the
//! middle and puts them anywhere. Out of order they go to a heap; and whoever leaves from the middle stays behind as a stale
//! entry, known by the peer's seat no longer naming it, until it comes to the front or too many have gathered.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::{Place, Seat, ranking::Rank};
use crate::weight::UNIT;

/// An offset is folded back into the debts before it comes near the end of `i64`.
const FAR: i64 = 1 << 61;

/// Stale entries that are not worth the sweeping.
const DUST: usize = 64;

/// Peers that gain alike.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) rank: Rank,
    /// What each of them has gained since the offset was last 0.
    offset: i64,
    /// Peers here, stale entries not counted.
    live: usize,
    /// Ascending.
    run: VecDeque<Ranked>,
    /// Those that came out of order.
    heap: BinaryHeap<Reverse<Ranked>>,
}

/// Ordered by debt, least first, then as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked {
    /// Offset of the bucket minus the peer's current weight.
    pub(super) debt: i64,
    pub(super) position: u32,
}

impl Bucket {
    /// An empty bucket, in the memory of an emptied one if there is any.
    pub(super) fn new(rank: Rank, emptied: Option<Self>) -> Self {
        match emptied {
            None => Self { rank, offset: 0, live: 0, run: VecDeque::new(), heap: BinaryHeap::new() },
            Some(mut bucket) => {
                bucket.run.clear();
                bucket.heap.clear();
                Self { rank, offset: 0, live: 0, ..bucket }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// The current weight of a peer with this debt.
    pub(super) fn current(&self, debt: i64) -> i64 {
        self.offset - debt
    }

    /// Everybody here gains the weight of the rank. Returns the sum.
    pub(super) fn gain(&mut self, seats: &mut [Seat]) -> i64 {
        let gain = i64::from(self.rank.weight) * UNIT;
        self.offset += gain;
        if self.offset > FAR {
            self.fold(seats);
        }
        gain * i64::try_from(self.live).unwrap_or(i64::MAX)
    }

    /// The peer with the least debt.
    pub(super) fn first(&mut self, seats: &[Seat]) -> Option<Ranked> {
        while self.run.front().is_some_and(|front| self.is_stale(*front, seats)) {
            self.run.pop_front();
        }
        while self.heap.peek().is_some_and(|Reverse(top)| self.is_stale(*top, seats)) {
            self.heap.pop();
        }
        match (self.run.front(), self.heap.peek()) {
            (Some(front), Some(Reverse(top))) => Some(*front.min(top)),
            (front, top) => front.or(top.map(|Reverse(top)| top)).copied(),
        }
    }

    /// Adds a peer and returns its debt. Nearly always at the back: who was picked pays more than anybody else has left.
    pub(super) fn insert(&mut self, position: u32, current: i64) -> i64 {
        let ranked = Ranked { debt: self.offset - current, position };
        self.live += 1;
        if self.run.back().is_none_or(|last| *last < ranked) {
            self.run.push_back(ranked);
        } else {
            self.heap.push(Reverse(ranked));
        }
        ranked.debt
    }

    /// Takes a peer out whose seat no longer names this bucket.
    pub(super) fn remove(&mut self, ranked: Ranked, seats: &[Seat]) {
        self.live -= 1;
        if self.run.front() == Some(&ranked) {
            self.run.pop_front();
        }
        if self.run.len() + self.heap.len() > 2 * self.live + DUST {
            self.sweep(seats);
        }
    }

    /// Checks the order and that every peer is found. Returns how many there are.
    pub(super) fn check_invariants(&self, seats: &[Seat]) -> usize {
        assert!(self.live > 0, "an empty bucket");
        assert!(self.run.iter().is_sorted(), "a queue out of order");
        assert_eq!(self.peers(seats).len(), self.live, "a peer that is not found");
        self.live
    }

    /// Those that are here, in order. An entry may be there twice when a peer came back to where it was.
    fn peers(&self, seats: &[Seat]) -> Vec<Ranked> {
        let entries = self.run.iter().chain(self.heap.iter().map(|Reverse(ranked)| ranked));
        let mut peers: Vec<_> = entries.filter(|ranked| !self.is_stale(**ranked, seats)).copied().collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    fn is_stale(&self, ranked: Ranked, seats: &[Seat]) -> bool {
        seats[ranked.position as usize].place != Place::Ranked { rank: self.rank, debt: ranked.debt }
    }

    /// Leaves nothing stale, and everybody in the queue.
    #[cold]
    fn sweep(&mut self, seats: &[Seat]) {
        let peers = self.peers(seats);
        self.run.clear();
        self.run.extend(peers);
        self.heap.clear();
    }

    /// Takes the offset into the debts.
    #[cold]
    fn fold(&mut self, seats: &mut [Seat]) {
        self.sweep(seats);
        for ranked in &mut self.run {
            ranked.debt -= self.offset;
            seats[ranked.position as usize].place = Place::Ranked { rank: self.rank, debt: ranked.debt };
        }
        self.offset = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tier;

    const RANK: Rank = Rank { conns: 0, weight: 1 };

    fn bucket(currents: &[i64]) -> (Bucket, Vec<Seat>) {
        let mut bucket = Bucket::new(RANK, None);
        let seats = (0..)
            .zip(currents)
            .map(|(position, &current)| {
                let debt = bucket.insert(position, current);
                Seat { tier: Tier::Primary, place: Place::Ranked { rank: RANK, debt } }
            })
            .collect();
        (bucket, seats)
    }

    /// An offset that has come far is taken into the debts without moving anybody.
    #[test]
    fn folding_keeps_weights_and_order() {
        let (mut bucket, mut seats) = bucket(&[5, -5, 0]);
        let currents = |bucket: &Bucket, seats: &[Seat]| -> Vec<_> {
            bucket.peers(seats).iter().map(|ranked| (ranked.position, bucket.current(ranked.debt))).collect()
        };
        bucket.offset += FAR;
        let before = currents(&bucket, &seats);
        assert_eq!(bucket.gain(&mut seats), 3 * UNIT);
        let gained: Vec<_> = before.iter().map(|&(position, current)| (position, current + UNIT)).collect();
        assert_eq!(currents(&bucket, &seats), gained);
        assert_eq!((bucket.offset, gained[0].0, bucket.check_invariants(&seats)), (0, 0, 3));
    }

    /// Peers leave from the middle, come back out of order, and the stale are swept away.
    #[test]
    fn the_stale_are_passed_over_and_swept() {
        let (mut bucket, mut seats) = bucket(&(0..300).map(|at| -at).collect::<Vec<_>>());
        for round in 0..20 {
            for position in (0..300_u32).filter(|position| position % 3 == round % 3) {
                let Place::Ranked { debt, .. } = seats[position as usize].place else { panic!("a ranked peer") };
                seats[position as usize].place = Place::Lifted;
                bucket.remove(Ranked { debt, position }, &seats);
                let debt = bucket.insert(position, i64::from((position * 7919) % 1000));
                seats[position as usize].place = Place::Ranked { rank: RANK, debt };
                assert_eq!(bucket.check_invariants(&seats), 300);
                assert_eq!(bucket.first(&seats), bucket.peers(&seats).first().copied());
            }
            assert!(bucket.run.len() + bucket.heap.len() <= 2 * 300 + DUST + 1);
        }
    }
}
