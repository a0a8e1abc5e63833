//! Randomness as a parameter, so that a seed replays a run.

/// A source of uniformly distributed numbers. One method, so that no version of a random crate reaches the core.
pub trait Rng {
    /// A number in `0..bound`. `bound` is at least 1.
    fn below(&mut self, bound: u64) -> u64;
}

impl<R: Rng + ?Sized> Rng for &mut R {
    fn below(&mut self, bound: u64) -> u64 {
        (**self).below(bound)
    }
}
