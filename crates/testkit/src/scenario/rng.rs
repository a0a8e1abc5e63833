//! Seeded randomness that is the same on every machine and in every release: `SplitMix64`.

/// The generator; its whole state is one number.
#[derive(Clone, Debug)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; the bias of the remainder does not matter to tests.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// A place in a collection of `len`.
    pub fn index(&mut self, len: usize) -> usize {
        // The remainder is below `len`, which is a usize.
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }
}

impl balance::Rng for SplitMix {
    fn below(&mut self, bound: u64) -> u64 {
        Self::below(self, bound)
    }
}
