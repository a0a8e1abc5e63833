//! Durations sorted into fixed buckets: two additions per observation, whatever their number.

use std::time::Duration;

use super::Counter;

/// Upper bounds of the buckets, microseconds, inclusive; one more bucket holds the rest. From a local cache's answer to
/// nginx's default timeout.
pub const BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
    60_000_000,
];

/// A distribution of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    sum_micros: Counter,
}

impl Histogram {
    /// Adds one duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[BOUNDS.partition_point(|bound| *bound < micros)].inc();
        self.sum_micros.add(micros);
    }

    /// How many were at most so long: one number per bound, then all of them.
    pub fn cumulative(&self) -> [u64; BOUNDS.len() + 1] {
        let mut total = 0;
        std::array::from_fn(|index| {
            total += self.buckets[index].value();
            total
        })
    }

    /// Sum of all, microseconds.
    pub fn sum_micros(&self) -> u64 {
        self.sum_micros.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let cumulative = histogram.cumulative();
        assert_eq!(cumulative[..2], [2, 3]);
        assert_eq!(cumulative[13..], [4, 5]);
        assert_eq!(histogram.sum_micros(), 120_001_002);
    }
}
