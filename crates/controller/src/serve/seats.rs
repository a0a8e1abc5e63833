//! Bounded numbers of things per holder and in all. A seat is given back when it is dropped, whatever ended its use.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// Who has how many.
#[derive(Debug)]
pub(super) struct Seats<K>(Mutex<Taken<K>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Seat<K: Eq + Hash> {
    seats: Arc<Seats<K>>,
    holder: K,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    of: HashMap<K, usize>,
}

impl<K: Clone + Eq + Hash> Seats<K> {
    /// All are free.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Taken { all: 0, of: HashMap::new() })))
    }

    /// A seat for a holder who may have `each`, while there are less than `all`; else `None`.
    pub fn take(self: &Arc<Self>, holder: K, each: usize, all: usize) -> Option<Seat<K>> {
        let mut taken = self.0.lock();
        let own = taken.of.get(&holder).copied().unwrap_or(0);
        if own >= each || taken.all >= all {
            return None;
        }
        taken.all += 1;
        taken.of.insert(holder.clone(), own + 1);
        drop(taken);
        Some(Seat { seats: self.clone(), holder })
    }

    pub fn taken(&self) -> usize {
        self.0.lock().all
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock();
        taken.all -= 1;
        if let Some(own) = taken.of.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                taken.of.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_come_back() {
        let seats = Seats::new();
        let (a, b) = (seats.take("a", 2, 3).unwrap(), seats.take("a", 2, 3).unwrap());
        assert!(seats.take("a", 2, 3).is_none());
        let other = seats.take("b", 2, 3).unwrap();
        assert!(seats.take("c", 2, 3).is_none(), "all are taken");
        assert!(seats.take("c", 2, 4).is_some(), "for some there are more");
        drop((a, other));
        assert!(seats.take("c", 2, 3).is_some());
        drop(b);
        assert_eq!(seats.taken(), 0);
        assert!(seats.0.lock().of.is_empty());
    }
}
