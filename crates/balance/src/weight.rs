//! The unit in which weights are computed.
//!
//! A weight of 1 counts as [`UNIT`], so that a slow start has steps to climb even where the configured weight is 1. Smooth
//! weighted round robin is scale-invariant: multiplying every weight, recovery step and penalty by one constant changes no
//! pick (`ngx_http_upstream_round_robin.c`, `ngx_http_upstream_get_peer` only adds, subtracts and compares). `i64` holds
//! the sum of 10,000 servers of the greatest `u32` weight with a factor of 200 to spare.

/// What a configured weight of 1 counts as.
pub(crate) const UNIT: i64 = 1 << 10;

/// A slow start begins at this fraction of the weight (one 64th), not at nothing: the peer must be heard of.
const RAMP_FLOOR: u64 = 64;

/// The weight after `elapsed` of `slow_start` milliseconds, growing linearly from a 64th to `full`.
pub(crate) fn ramped(full: i64, elapsed: u64, slow_start: u64) -> i64 {
    let elapsed = elapsed.max(slow_start / RAMP_FLOOR).max(1);
    if elapsed >= slow_start {
        return full;
    }
    let share = i128::from(full) * i128::from(elapsed) / i128::from(slow_start);
    i64::try_from(share).unwrap_or(full).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_linear_and_ends_at_the_full_weight() {
        assert_eq!(ramped(UNIT, 0, 64_000), UNIT / 64);
        assert_eq!(ramped(UNIT, 32_000, 64_000), UNIT / 2);
        assert_eq!(ramped(UNIT, 63_999, 64_000), UNIT - 1);
        assert_eq!(ramped(UNIT, 64_000, 64_000), UNIT);
        assert_eq!(ramped(UNIT, 5, 0), UNIT);
        assert_eq!(ramped(UNIT, 0, 1), UNIT);
    }

    #[test]
    fn the_greatest_weights_do_not_overflow() {
        let full = i64::from(u32::MAX) * UNIT;
        assert_eq!(ramped(full, 1 << 62, 1 << 63), full / 2);
        assert!(full.checked_mul(10_000 * 200).is_some());
    }
}
