//! The peers one request has tried (nginx `rrp->tried`): the first few inline, a bitmap only for a request that goes on.
//!
//! nginx keeps a bitmap as long as the group. A request rarely tries more than two peers, so a bitmap of 10,000 bits would
//! be an allocation per request for nothing.

use smallvec::SmallVec;

const INLINE: usize = 8;

/// A set of positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tried {
    /// In the order tried.
    order: SmallVec<[u32; INLINE]>,
    /// Filled once `order` has left its inline place.
    bits: Vec<u64>,
}

impl Tried {
    pub(crate) fn insert(&mut self, position: u32) {
        self.order.push(position);
        if !self.bits.is_empty() {
            self.mark(position);
        } else if self.order.spilled() {
            for at in 0..self.order.len() {
                self.mark(self.order[at]);
            }
        }
    }

    /// Mostly asked of a fresh request, once per peer of a scan.
    #[inline]
    pub(crate) fn contains(&self, position: u32) -> bool {
        !self.order.is_empty() && self.search(position)
    }

    pub(crate) fn clear(&mut self) {
        self.order.clear();
        self.bits.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.iter().copied()
    }

    fn search(&self, position: u32) -> bool {
        if self.bits.is_empty() {
            return self.order.contains(&position);
        }
        self.bits.get(position as usize / 64).is_some_and(|word| word & (1 << (position % 64)) != 0)
    }

    fn mark(&mut self, position: u32) {
        let word = position as usize / 64;
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << (position % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_few_and_many() {
        let mut tried = Tried::default();
        for position in (0..300).step_by(3) {
            assert!(!tried.contains(position));
            tried.insert(position);
            for asked in 0..300 {
                assert_eq!(tried.contains(asked), asked % 3 == 0 && asked <= position, "{asked} after {position}");
            }
        }
        assert_eq!(tried.iter().count(), 100);
        tried.clear();
        assert!((0..300).all(|position| !tried.contains(position)));
        tried.insert(7);
        assert!(tried.contains(7) && !tried.contains(3));
    }
}
