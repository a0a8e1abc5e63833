//! `weightMode: Shared`: one line's weight divided among its endpoints, so that 90/10 stays 90/10 whatever the pod counts.
//!
//! Weights are integers and an endpoint's is never zero, so the lines of a tier are scaled by one common factor, to the least
//! integers that divide every shared line evenly, while those are small: a peer that failed regains its effective weight by
//! one a pick, so large weights recover late, and a consistent ring has points by weight. Beyond [`Bound::ample`] the lines'
//! sums still keep their exact ratio and the endpoints of one line differ by at most 1. Only where even that would exceed
//! [`Bound::most`] are the sums rounded; then "never zero" is kept, and the ratio to within what the bound can express.

use balance::{Availability, Tier};
use serde::{Deserialize, Serialize};

use crate::{Method, Server};

/// Whether a line's weight is each endpoint's or all endpoints' together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightMode {
    /// nginx: every address of the line has its weight.
    PerEndpoint,
    /// The addresses of the line share its weight.
    Shared,
}

/// What a line says of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineWeight {
    /// Its `weight`, at least 1.
    pub weight: u32,
    /// Whose weight that is.
    pub mode: WeightMode,
}

/// Makes the weights of servers of what their lines say ([`Server::line_weight`]), tier by tier; where a line does not say it,
/// they stay. Draining servers take no share: the sessions they keep are not picked.
pub fn weigh(servers: &mut [Server], method: &Method) {
    let is_ring = matches!(method, Method::Hash { consistent: true, .. });
    for tier in [Tier::Primary, Tier::Backup] {
        let is_counted = |server: &&mut Server| server.tier == tier && server.availability != Availability::Drain;
        let counted: Vec<&mut Server> = servers.iter_mut().filter(is_counted).collect();
        let lines = counted.chunk_by(|one, next| one.name == next.name).map(|line| {
            let LineWeight { weight, mode } = line.first()?.line_weight?;
            Some(Line { weight, mode, endpoints: u32::try_from(line.len()).unwrap_or(u32::MAX) })
        });
        let Some(lines) = lines.collect::<Option<Vec<_>>>() else { continue };
        let endpoints = counted.len() as u64;
        let bound = if is_ring { Bound::for_ring(endpoints) } else { Bound::for_counting(endpoints) };
        let weights = endpoint_weights(&lines, bound).into_iter().flatten();
        counted.into_iter().zip(weights).for_each(|(server, weight)| server.weight = weight);
    }
}

/// What is needed of a `servers` entry to weigh its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    /// The line's `weight`, at least 1.
    weight: u32,
    /// Whose weight that is.
    mode: WeightMode,
    /// How many endpoints take requests.
    endpoints: u32,
}

/// How large the sum of a tier's weights may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    /// Up to here endpoints of one line are made equal.
    ample: u64,
    /// Up to here the ratio of the lines is kept exactly.
    most: u64,
}

impl Bound {
    /// The bound of methods that pay nothing for large weights.
    fn for_counting(endpoints: u64) -> Self {
        Self { ample: (1 << 15).max(100 * endpoints), most: 1 << 40 }
    }

    /// The bound of `hash ... consistent`, whose ring has 160 points per unit of weight.
    fn for_ring(endpoints: u64) -> Self {
        Self { ample: (1 << 14).max(16 * endpoints), most: MOST_RING_WEIGHT.max(endpoints) }
    }
}

/// The largest sum of weights a consistent ring is built for: 21 million points.
pub const MOST_RING_WEIGHT: u64 = 1 << 17;

/// The weights of every line's endpoints, in the order of `lines`. Without a shared line they are the lines' own.
fn endpoint_weights(lines: &[Line], bound: Bound) -> Vec<Vec<u32>> {
    let scale = Scale::of(lines, bound);
    lines.iter().map(|line| divide(scale.apply(line.unit()).max(line.endpoints.into()), line.endpoints)).collect()
}

/// `numerator / denominator`, by which the lines' units are multiplied.
#[derive(Clone, Copy)]
struct Scale {
    numerator: u64,
    denominator: u64,
}

impl Line {
    /// The line's part of its tier before scaling.
    fn unit(&self) -> u64 {
        match (self.endpoints, self.mode) {
            (0, _) => 0,
            (_, WeightMode::Shared) => self.weight.into(),
            (endpoints, WeightMode::PerEndpoint) => u64::from(self.weight) * u64::from(endpoints),
        }
    }
}

impl Scale {
    fn of(lines: &[Line], bound: Bound) -> Self {
        let shared = || lines.iter().filter(|line| line.mode == WeightMode::Shared && line.endpoints > 0);
        let units = lines.iter().map(Line::unit).sum::<u64>().max(1);
        if shared().next().is_none() {
            return Self::whole(1);
        }
        let even = shared().try_fold(1_u64, |scale, line| {
            let step = u64::from(line.endpoints) / gcd(line.endpoints.into(), line.weight.into());
            (scale / gcd(scale, step)).checked_mul(step)
        });
        if let Some(even) = even.filter(|even| even.checked_mul(units).is_some()) {
            let each = |line: &Line| even * line.unit() / u64::from(line.endpoints);
            let common = lines.iter().filter(|line| line.endpoints > 0).fold(0, |common, line| gcd(common, each(line)));
            if even * units / common <= bound.ample {
                return Self { numerator: even, denominator: common };
            }
        }
        let least = shared().map(|line| line.endpoints.div_ceil(line.weight.max(1))).max().unwrap_or(1);
        let exact = u64::from(least).max(bound.ample / units);
        if exact.saturating_mul(units) <= bound.most {
            Self::whole(exact)
        } else {
            Self { numerator: bound.most, denominator: units }
        }
    }

    fn whole(numerator: u64) -> Self {
        Self { numerator, denominator: 1 }
    }

    /// Rounded to the nearest.
    fn apply(self, unit: u64) -> u64 {
        let product = u128::from(unit) * u128::from(self.numerator) + u128::from(self.denominator / 2);
        u64::try_from(product / u128::from(self.denominator)).unwrap_or(u64::MAX)
    }
}

/// `total` in `parts` integers that differ by at most 1.
fn divide(total: u64, parts: u32) -> Vec<u32> {
    let n = u64::from(parts.max(1));
    let share = |extra| u32::try_from(total / n + extra).unwrap_or(u32::MAX);
    (0..u64::from(parts)).map(|index| share(u64::from(index < total % n))).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shared(weight: u32, endpoints: u32) -> Line {
        Line { weight, mode: WeightMode::Shared, endpoints }
    }

    fn each(weight: u32, endpoints: u32) -> Line {
        Line { weight, mode: WeightMode::PerEndpoint, endpoints }
    }

    fn weights(lines: &[Line]) -> Vec<Vec<u32>> {
        endpoint_weights(lines, Bound::for_counting(lines.iter().map(|line| u64::from(line.endpoints)).sum()))
    }

    #[test]
    fn ninety_ten_stays_ninety_ten() {
        assert_eq!(weights(&[shared(90, 9), shared(10, 1)]), [vec![1; 9], vec![1]]);
        assert_eq!(weights(&[shared(90, 4), shared(10, 3)]), [vec![27; 4], vec![4; 3]]);
        assert_eq!(weights(&[shared(90, 0), shared(10, 3)]), [vec![], vec![1; 3]]);
    }

    #[test]
    fn lines_that_share_nothing_keep_nginx_weights() {
        assert_eq!(weights(&[each(3, 2), each(65_535, 1)]), [vec![3; 2], vec![65_535]]);
    }

    #[test]
    fn a_shared_line_beside_an_ordinary_one() {
        assert_eq!(weights(&[each(1, 2), shared(1, 4)]), [vec![4; 2], vec![1; 4]]);
    }

    #[test]
    fn a_ring_stays_within_its_bound() {
        let lines = [shared(1, 5000), shared(65_535, 1)];
        let spread = endpoint_weights(&lines, Bound::for_ring(5001));
        assert_eq!(spread[0], vec![1; 5000]);
        assert!(u64::from(spread[1][0]) <= MOST_RING_WEIGHT);
    }

    fn any_line() -> impl Strategy<Value = Line> {
        (1..=65_535_u32, any::<bool>(), 0..200_u32).prop_map(|(weight, is_shared, endpoints)| {
            if is_shared { shared(weight, endpoints) } else { each(weight, endpoints) }
        })
    }

    proptest! {
        #[test]
        fn sums_are_in_the_ratio_of_the_lines(lines in prop::collection::vec(any_line(), 1..12)) {
            let spread = weights(&lines);
            let sums: Vec<u128> = spread.iter().map(|line| line.iter().map(|w| u128::from(*w)).sum()).collect();
            let total: u128 = sums.iter().sum();
            let units: u128 = lines.iter().map(|line| u128::from(line.unit())).sum();
            for (line, sum) in lines.iter().zip(&sums) {
                prop_assert_eq!(sum * units, u128::from(line.unit()) * total);
            }
        }

        #[test]
        fn no_weight_is_zero_and_endpoints_of_a_line_differ_by_at_most_one(
            lines in prop::collection::vec(any_line(), 1..12),
            ring in any::<bool>(),
        ) {
            let endpoints = lines.iter().map(|line| u64::from(line.endpoints)).sum();
            let bound = if ring { Bound::for_ring(endpoints) } else { Bound::for_counting(endpoints) };
            let spread = endpoint_weights(&lines, bound);
            for (line, weights) in lines.iter().zip(&spread) {
                prop_assert_eq!(weights.len(), line.endpoints as usize);
                if let (Some(least), Some(most)) = (weights.iter().min(), weights.iter().max()) {
                    prop_assert!(*least >= 1 && most - least <= 1);
                }
            }
            if lines.iter().any(|line| line.mode == WeightMode::Shared && line.endpoints > 0) {
                let total: u64 = spread.iter().flatten().map(|w| u64::from(*w)).sum();
                prop_assert!(total <= bound.most.max(bound.ample) + endpoints + lines.len() as u64);
            }
        }

        #[test]
        fn small_groups_are_divided_evenly(lines in prop::collection::vec((1..=100_u32, 1..=12_u32), 1..3)) {
            let lines: Vec<Line> = lines.into_iter().map(|(weight, endpoints)| shared(weight, endpoints)).collect();
            for weights in weights(&lines) {
                prop_assert!(weights.iter().all(|weight| *weight == weights[0]));
            }
        }
    }
}
