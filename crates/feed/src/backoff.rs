//! How long to wait before the next try: full jitter, so that a fleet that lost its controller at one moment does not come
//! back at one moment. Chance is a parameter.

use config::Millis;

/// Waiting times between tries, uniform between zero and a ceiling that doubles from 100 ms to 10 s.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The first ceiling.
    pub const BASE: Millis = Millis(100);
    /// The last.
    pub const CAP: Millis = Millis(10_000);
    /// The most that a `bye` may ask for: what a fleet of thousands is spread over.
    pub const BYE_CAP: Millis = Millis(30_000);

    /// How long to wait before the next try. `chance` is uniform over all 64-bit numbers.
    pub fn next(&mut self, chance: u64) -> Millis {
        let ceiling = Self::BASE.0.checked_shl(self.tries).map_or(Self::CAP.0, |millis| millis.min(Self::CAP.0));
        // Beyond 7 doublings nothing changes; counting on would overflow one day.
        self.tries = (self.tries + 1).min(16);
        spread(Millis(ceiling), chance)
    }

    /// How long to wait after a `bye` that asks for at most `within`: the controller knows how fast it can take them all.
    pub fn after_bye(within: Millis, chance: u64) -> Millis {
        spread(within.min(Self::BYE_CAP), chance)
    }

    /// To be called after `synced`, not after a mere connection: a controller that accepts and fails is not spared otherwise.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// Uniform in `0..=ceiling`.
fn spread(ceiling: Millis, chance: u64) -> Millis {
    let scaled = u128::from(chance) * (u128::from(ceiling.0) + 1);
    // The high half of a product with a 64-bit number fits into 64 bits.
    Millis(u64::try_from(scaled >> 64).unwrap_or(ceiling.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_cap_and_start_again() {
        let mut backoff = Backoff::default();
        let ceilings: Vec<_> = (0..10).map(|_| backoff.next(u64::MAX).0).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
        assert_eq!(backoff.next(0), Millis(0));
        for _ in 0..1000 {
            backoff.next(0);
        }
        assert_eq!(backoff.next(u64::MAX), Backoff::CAP);
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX), Backoff::BASE);
    }

    #[test]
    fn chance_is_spread_evenly() {
        let mut buckets = [0u32; 101];
        for step in 0..101_000u64 {
            let wait = Backoff::default().next(step * (u64::MAX / 101_000));
            buckets[usize::try_from(wait.0).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|count| (990..=1010).contains(count)), "{buckets:?}");
    }

    #[test]
    fn a_bye_is_heeded_up_to_all_that_a_controller_asks_for() {
        assert_eq!(Backoff::after_bye(Millis(u64::MAX), u64::MAX), Backoff::BYE_CAP);
        assert_eq!(Backoff::after_bye(Backoff::BYE_CAP, u64::MAX), Backoff::BYE_CAP);
        assert_eq!(Backoff::after_bye(Millis(0), u64::MAX), Millis(0));
    }
}
