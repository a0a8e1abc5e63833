//! One list of an index: its regular peers in queues, the others by name.

use std::{cmp::Ordering, collections::VecDeque};

use super::{Class, Look, Place, Seat};
use crate::{method::least_conn::compare, peer::PeerState, weight::UNIT};

/// An offset is folded back into its queue before it comes near the end of `i64`.
const FAR: i64 = 1 << 61;

/// The peers of one list that may be eligible.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    /// By rank; none is empty. Few: as many as there are different weights, for `least_conn` times different loads.
    buckets: Vec<Bucket>,
    /// Positions to be looked at one by one.
    pub(super) scanned: Vec<u32>,
    /// Queues of buckets that emptied, kept for their memory.
    spare: Vec<VecDeque<Ranked>>,
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

/// Peers that gain alike.
#[derive(Debug)]
struct Bucket {
    rank: Rank,
    /// What each of them has gained since the offset was last 0.
    offset: i64,
    /// In order.
    queue: VecDeque<Ranked>,
}

/// The order of a queue: least debt first, then the earlier configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    /// Offset of the bucket minus the peer's current weight.
    debt: i64,
    position: u32,
}

impl Ranking {
    /// Adds a peer in any order; [`Self::sort`] must follow.
    pub(super) fn load(&mut self, class: Class, position: u32, current: i64) -> Place {
        let Class::Regular(rank) = class else { return self.seat(class, position, current) };
        let debt = -current;
        self.bucket(rank).queue.push_back(Ranked { debt, position });
        Place::Ranked { rank, debt }
    }

    pub(super) fn sort(&mut self) {
        for bucket in &mut self.buckets {
            bucket.queue.make_contiguous().sort_unstable();
        }
    }

    /// The current weight of a peer in the bucket of `rank` with this debt.
    pub(super) fn current(&self, rank: Rank, debt: i64) -> Option<i64> {
        self.find(rank).ok().map(|at| self.buckets[at].offset - debt)
    }

    /// Finds the least load among the queued and the scanned.
    pub(super) fn least(&self, look: &Look<'_>) -> Least {
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
        for bucket in self.buckets.iter().take_while(|bucket| bucket.shares(least)) {
            count += bucket.queue.len();
            lone = bucket.queue.front().map(|ranked| ranked.position);
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
        for bucket in self.buckets.iter_mut().take_while(|bucket| bucket.shares(ratio)) {
            let gain = i64::from(bucket.rank.weight) * UNIT;
            bucket.offset += gain;
            total += gain * i64::try_from(bucket.queue.len()).unwrap_or(i64::MAX);
            if bucket.offset > FAR {
                bucket.fold(seats);
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

    /// Takes a queued peer out and gives its current weight back to the slot.
    pub(super) fn lift(&mut self, place: &mut Place, position: u32, peer: &mut PeerState) {
        let Place::Ranked { rank, debt } = *place else { return };
        *place = Place::Lifted;
        let Ok(at) = self.find(rank) else { return };
        let bucket = &mut self.buckets[at];
        peer.current = bucket.offset - debt;
        bucket.remove(Ranked { debt, position });
        if bucket.queue.is_empty() {
            self.spare.push(self.buckets.remove(at).queue);
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
                let bucket = self.bucket(rank);
                let debt = bucket.offset - current;
                bucket.insert(Ranked { debt, position });
                Place::Ranked { rank, debt }
            }
        }
    }

    /// Checks the order and returns how many peers are kept here.
    pub(super) fn check_invariants(&self, seats: &[Seat]) -> usize {
        assert!(self.buckets.iter().map(|bucket| bucket.rank).is_sorted(), "buckets out of order");
        for bucket in &self.buckets {
            assert!(!bucket.queue.is_empty(), "an empty bucket");
            assert!(bucket.queue.iter().is_sorted(), "a queue out of order");
            for ranked in &bucket.queue {
                let place = Place::Ranked { rank: bucket.rank, debt: ranked.debt };
                assert_eq!(seats[ranked.position as usize].place, place, "a seat that does not know its place");
            }
        }
        self.scanned.len() + self.buckets.iter().map(|bucket| bucket.queue.len()).sum::<usize>()
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
                let queue = self.spare.pop().unwrap_or_default();
                self.buckets.insert(at, Bucket { rank, offset: 0, queue });
                at
            }
        };
        &mut self.buckets[at]
    }
}

impl Bucket {
    /// Whether its peers are of this ratio; asked from the least on, so that a lesser one does not occur.
    fn shares(&self, ratio: (u64, i64)) -> bool {
        compare(self.rank.ratio(), ratio).is_le()
    }

    /// Nearly always at the back: who was picked pays more than anybody else has left.
    fn insert(&mut self, ranked: Ranked) {
        if self.queue.back().is_none_or(|last| *last < ranked) {
            self.queue.push_back(ranked);
        } else {
            let at = self.queue.partition_point(|other| *other < ranked);
            self.queue.insert(at, ranked);
        }
    }

    /// Nearly always at the front: the best is there.
    fn remove(&mut self, ranked: Ranked) {
        if self.queue.front() == Some(&ranked) {
            self.queue.pop_front();
        } else if let Ok(at) = self.queue.binary_search(&ranked) {
            self.queue.remove(at);
        }
    }

    /// Takes the offset into the debts.
    #[cold]
    fn fold(&mut self, seats: &mut [Seat]) {
        for ranked in &mut self.queue {
            ranked.debt -= self.offset;
            seats[ranked.position as usize].place = Place::Ranked { rank: self.rank, debt: ranked.debt };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tier;

    /// An offset that has come far is taken into the debts without moving anybody.
    #[test]
    fn folding_keeps_weights_and_order() {
        let rank = Rank { conns: 0, weight: 1 };
        let mut ranking = Ranking::default();
        let mut seats = vec![Seat { tier: Tier::Primary, place: Place::Parked }; 3];
        for (position, current) in [(0, 5), (1, -5), (2, 0)] {
            seats[position as usize].place = ranking.seat(Class::Regular(rank), position, current);
        }
        let currents = |ranking: &Ranking, seats: &[Seat]| -> Vec<_> {
            let current = |seat: &Seat| match seat.place {
                Place::Ranked { rank, debt } => ranking.current(rank, debt),
                Place::Parked | Place::Scanned | Place::Lifted => None,
            };
            seats.iter().map(current).collect()
        };
        ranking.buckets[0].offset += FAR;
        let before = currents(&ranking, &seats);
        ranking.buckets[0].fold(&mut seats);
        assert_eq!(currents(&ranking, &seats), before);
        assert_eq!(before, [Some(FAR + 5), Some(FAR - 5), Some(FAR)]);
        assert_eq!(ranking.check_invariants(&seats), 3);
        assert_eq!(ranking.buckets[0].queue.front().map(|ranked| ranked.position), Some(0));
    }
}
