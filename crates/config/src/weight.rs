//! `weightMode: Shared`: one line's weight divided among its endpoints, so that 90/10 stays 90/10 whatever the pod counts.
//!
//! Weights are integers and an endpoint's is never zero, so the lines of a tier are scaled by one common factor, to the least
//! integers that divide every shared line evenly, while those are small: a peer that failed regains its effective weight by
//! one a pick, so large weights recover late, and a consistent ring has points by weight. Beyond [`Bound::ample`] the lines'
//! sums still keep their exact ratio and the endpoints of one line differ by at most 1. Only where even that would exceed
//! [`Bound::most`] are the sums rounded; then "never zero" is kept, and the ratio to within what the bound can express.
//!
//! The bound of a consistent ring holds for lines that share nothing, too: pods come by themselves, and one more must not make
//! a group that runs one that cannot (ledger `ring-size`).

use balance::{Availability, MOST_RING_WEIGHT, Tier};
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
/// they stay. A ring of no more than [`MOST_RING_WEIGHT`] primaries fits its bound then.
///
/// Draining servers take no share of a shared weight, since the sessions they keep are not picked; each weighs what the least
/// endpoint of its line does, so that hashes do not find it more often than the others.
pub fn weigh(servers: &mut [Server], method: &Method) {
    let is_ring = matches!(method, Method::Hash { consistent: true, .. });
    for tier in [Tier::Primary, Tier::Backup] {
        let mut servers: Vec<&mut Server> = servers.iter_mut().filter(|server| server.tier == tier).collect();
        let lines = servers.chunk_by(|one, next| one.name == next.name).map(Line::of);
        let Some(lines) = lines.collect::<Option<Vec<_>>>() else { continue };
        // A ring has no points of backups.
        let bound = if is_ring && tier == Tier::Primary { Bound::for_ring } else { Bound::for_counting };
        let totals = totals(&lines, bound(servers.len() as u64));
        let servers = servers.chunk_by_mut(|one, next| one.name == next.name);
        for ((line, total), servers) in lines.iter().zip(totals).zip(servers) {
            let mut shares = line.shares(total);
            for server in servers {
                let has_part = line.mode == WeightMode::PerEndpoint || !is_draining(server);
                let share = if has_part { shares.next() } else { None };
                server.weight = share.unwrap_or_else(|| narrowed(line.least(total)));
            }
        }
    }
}

fn is_draining(server: &Server) -> bool {
    server.availability == Availability::Drain
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
    /// How many keep sessions and take no others.
    draining: u32,
}

/// How large the sum of a tier's weights may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    /// Up to here endpoints of one line are made equal.
    ample: u64,
    /// Up to here the ratio of the lines is kept exactly. Not exceeded, but that every endpoint weighs 1 at least.
    most: u64,
}

impl Bound {
    /// The bound of methods that pay nothing for large weights.
    fn for_counting(endpoints: u64) -> Self {
        Self { ample: (1 << 15).max(100 * endpoints), most: 1 << 40 }
    }

    /// The bound of the primaries of `hash ... consistent`, whose ring has 160 points per unit of weight.
    fn for_ring(endpoints: u64) -> Self {
        Self { ample: (1 << 14).max(16 * endpoints).min(MOST_RING_WEIGHT), most: MOST_RING_WEIGHT }
    }
}

impl Line {
    /// The line of these servers, if it says what its weight is.
    fn of(servers: &[&mut Server]) -> Option<Self> {
        let LineWeight { weight, mode } = servers.first()?.line_weight?;
        let count = |servers: usize| u32::try_from(servers).unwrap_or(u32::MAX);
        let draining = servers.iter().filter(|server| is_draining(server)).count();
        Some(Self { weight, mode, endpoints: count(servers.len() - draining), draining: count(draining) })
    }

    /// How many servers its total is divided among. One that drains beside a shared line has none of it.
    fn parts(&self) -> u32 {
        match self.mode {
            WeightMode::PerEndpoint => self.endpoints.saturating_add(self.draining),
            WeightMode::Shared => self.endpoints,
        }
    }

    /// How many servers have no part of its total, and weigh what the least that has one does.
    fn partless(&self) -> u32 {
        match self.mode {
            WeightMode::PerEndpoint => 0,
            WeightMode::Shared => self.draining,
        }
    }

    /// The line's part of its tier before scaling.
    fn unit(&self) -> u64 {
        match (self.parts(), self.mode) {
            (0, _) => 0,
            (_, WeightMode::Shared) => self.weight.into(),
            (parts, WeightMode::PerEndpoint) => u64::from(self.weight) * u64::from(parts),
        }
    }

    /// What the least of its servers weighs when its total is `total`.
    fn least(&self, total: u64) -> u64 {
        total.checked_div(self.parts().into()).unwrap_or(1).max(1)
    }

    /// What all of its servers weigh then.
    fn sum(&self, total: u64) -> u64 {
        total.saturating_add(self.least(total).saturating_mul(self.partless().into()))
    }

    /// `total` in as many integers as it has parts, which differ by at most 1.
    fn shares(&self, total: u64) -> impl Iterator<Item = u32> + use<> {
        let parts = u64::from(self.parts());
        (0..parts).map(move |index| narrowed(total / parts + u64::from(index < total % parts)))
    }
}

fn narrowed(weight: u64) -> u32 {
    u32::try_from(weight).unwrap_or(u32::MAX)
}

/// What is divided among the servers of each line. Without a shared line it is what the lines say, where that fits.
fn totals(lines: &[Line], bound: Bound) -> Vec<u64> {
    let scale = Scale::of(lines, bound);
    let totals: Vec<_> = lines.iter().map(|line| scale.apply(line.unit())).collect();
    let sum = lines.iter().zip(&totals).fold(0_u64, |sum, (line, total)| sum.saturating_add(line.sum(*total)));
    if sum <= bound.most { totals } else { fitted(lines, bound.most) }
}

/// The totals whose sum is at most `most`, in the ratio of the lines but for those whose servers would weigh less than 1.
fn fitted(lines: &[Line], most: u64) -> Vec<u64> {
    let mut is_least: Vec<bool> = lines.iter().map(|line| line.unit() == 0).collect();
    loop {
        let of = |least: bool| lines.iter().zip(&is_least).filter(move |(_, is)| **is == least).map(|(line, _)| line);
        let taken: u64 = of(true).map(|line| line.sum(line.parts().into())).sum();
        let room = u128::from(most.saturating_sub(taken));
        let wanted = of(false).map(|line| {
            let unit = u128::from(line.unit());
            unit + (unit * u128::from(line.partless())).div_ceil(u128::from(line.parts()))
        });
        let wanted = wanted.sum::<u128>().max(1);
        let total = |line: &Line| u64::try_from(u128::from(line.unit()) * room / wanted).unwrap_or(u64::MAX);
        let starves = |line: &Line| total(line) < line.parts().into();
        let next: Vec<bool> = lines.iter().zip(&is_least).map(|(line, is)| *is || starves(line)).collect();
        if next == is_least {
            let total = |(line, is): (&Line, &bool)| if *is { line.parts().into() } else { total(line) };
            return lines.iter().zip(&is_least).map(total).collect();
        }
        is_least = next;
    }
}

/// `numerator / denominator`, by which the lines' units are multiplied, a whole number of times each.
#[derive(Clone, Copy)]
struct Scale {
    numerator: u64,
    denominator: u64,
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
            let each = |line: &Line| even * line.unit() / u64::from(line.parts());
            let common = lines.iter().filter(|line| line.parts() > 0).fold(0, |common, line| gcd(common, each(line)));
            if even * units / common <= bound.ample {
                return Self { numerator: even, denominator: common };
            }
        }
        let least = shared().map(|line| line.endpoints.div_ceil(line.weight.max(1))).max().unwrap_or(1);
        Self::whole(u64::from(least).max(bound.ample / units))
    }

    fn whole(numerator: u64) -> Self {
        Self { numerator, denominator: 1 }
    }

    fn apply(self, unit: u64) -> u64 {
        let product = u128::from(unit) * u128::from(self.numerator);
        u64::try_from(product / u128::from(self.denominator)).unwrap_or(u64::MAX)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shared(weight: u32, endpoints: u32) -> Line {
        Line { weight, mode: WeightMode::Shared, endpoints, draining: 0 }
    }

    fn each(weight: u32, endpoints: u32) -> Line {
        Line { weight, mode: WeightMode::PerEndpoint, endpoints, draining: 0 }
    }

    fn draining(draining: u32, line: Line) -> Line {
        Line { draining, ..line }
    }

    /// The servers of `lines`, weighed; of each line those that drain come first.
    fn weighed(lines: &[Line], method: &Method) -> Vec<Server> {
        let server = |(index, line): (usize, &Line), drains: bool| Server {
            line_weight: Some(LineWeight { weight: line.weight, mode: line.mode }),
            availability: if drains { Availability::Drain } else { Availability::Up },
            ..Server::new(&index.to_string(), crate::Address::Unix("/a".into()))
        };
        let mut servers: Vec<Server> = Vec::new();
        for line in lines.iter().enumerate() {
            servers.extend((0..line.1.draining).map(|_| server(line, true)));
            servers.extend((0..line.1.endpoints).map(|_| server(line, false)));
        }
        weigh(&mut servers, method);
        servers
    }

    fn ring() -> Method {
        Method::Hash { key: crate::Template::parse("$uri", crate::Phase::Request).unwrap(), consistent: true }
    }

    fn weights_by(lines: &[Line], method: &Method) -> Vec<Vec<u32>> {
        let mut weights = vec![Vec::new(); lines.len()];
        for server in weighed(lines, method) {
            weights[server.name.parse::<usize>().unwrap()].push(server.weight);
        }
        weights
    }

    fn weights(lines: &[Line]) -> Vec<Vec<u32>> {
        weights_by(lines, &Method::RoundRobin)
    }

    fn sums(weights: &[Vec<u32>]) -> Vec<u64> {
        weights.iter().map(|line| line.iter().map(|weight| u64::from(*weight)).sum()).collect()
    }

    #[test]
    fn ninety_ten_stays_ninety_ten() {
        assert_eq!(weights(&[shared(90, 9), shared(10, 1)]), [vec![1; 9], vec![1]]);
        assert_eq!(weights(&[shared(90, 4), shared(10, 3)]), [vec![27; 4], vec![4; 3]]);
        assert_eq!(weights(&[shared(90, 0), shared(10, 3)]), [vec![], vec![1; 3]]);
    }

    #[test]
    fn lines_that_share_nothing_keep_nginx_weights() {
        assert_eq!(weights(&[each(3, 2), draining(1, each(65_535, 1))]), [vec![3; 2], vec![65_535; 2]]);
        assert_eq!(weights_by(&[each(100, 262)], &ring()), [vec![100; 262]], "just within the bound");
    }

    #[test]
    fn a_shared_line_beside_an_ordinary_one() {
        assert_eq!(weights(&[each(1, 2), shared(1, 4)]), [vec![4; 2], vec![1; 4]]);
    }

    /// 90 of 100 must not become the weight of one endpoint because it drains.
    #[test]
    fn who_drains_weighs_no_more_than_its_line() {
        let lines = [draining(1, shared(90, 8)), draining(2, shared(10, 1)), draining(1, shared(7, 0))];
        assert_eq!(weights(&lines), [vec![9; 9], vec![8; 3], vec![1]]);
    }

    #[test]
    fn a_ring_stays_within_its_bound() {
        let spread = weights_by(&[shared(1, 5000), shared(65_535, 1)], &ring());
        assert_eq!(spread, [vec![1; 5000], vec![21_214]]);
        // Many pods keep the ratio of their lines, as long as the bound can express it.
        assert_eq!(sums(&weights_by(&[shared(90, 1009), shared(10, 1013)], &ring())), [23_580, 2620]);
        assert_eq!(sums(&weights_by(&[shared(90, 9000), shared(10, 9000)], &ring())), [17_214, 9000]);
        let (fewest, most) = (each(100, 263), each(1, 26_214));
        assert_eq!(sums(&weights_by(&[fewest], &ring())), [26_214], "one pod more than has room at 100");
        assert_eq!(weights_by(&[most], &ring()), [vec![1; 26_214]]);
    }

    #[test]
    fn backups_have_no_points() {
        let mut servers = weighed(&[each(65_535, 2)], &Method::RoundRobin);
        for server in &mut servers {
            server.tier = Tier::Backup;
        }
        weigh(&mut servers, &ring());
        assert!(servers.iter().all(|server| server.weight == 65_535));
    }

    fn any_line() -> impl Strategy<Value = Line> {
        let weight = prop_oneof![1..=100_u32, 1..=65_535_u32];
        (weight, any::<bool>(), 0..200_u32, prop_oneof![Just(0), 0..20_u32]).prop_map(
            |(weight, is_shared, endpoints, drain)| {
                draining(drain, if is_shared { shared(weight, endpoints) } else { each(weight, endpoints) })
            },
        )
    }

    proptest! {
        #[test]
        fn sums_are_in_the_ratio_of_the_lines(lines in prop::collection::vec(any_line(), 1..12)) {
            let lines: Vec<Line> = lines.into_iter().map(|line| draining(0, line)).collect();
            let sums: Vec<u128> = sums(&weights(&lines)).into_iter().map(u128::from).collect();
            let total: u128 = sums.iter().sum();
            let units: u128 = lines.iter().map(|line| u128::from(line.unit())).sum();
            for (line, sum) in lines.iter().zip(&sums) {
                prop_assert_eq!(sum * units, u128::from(line.unit()) * total);
            }
        }

        #[test]
        fn no_weight_is_zero_and_servers_of_a_line_differ_by_at_most_one(
            lines in prop::collection::vec(any_line(), 1..12),
            is_ring in any::<bool>(),
        ) {
            let method = if is_ring { ring() } else { Method::RoundRobin };
            for (line, weights) in lines.iter().zip(weights_by(&lines, &method)) {
                prop_assert_eq!(weights.len(), (line.endpoints + line.draining) as usize);
                if let (Some(least), Some(most)) = (weights.iter().min(), weights.iter().max()) {
                    prop_assert!(*least >= 1 && most - least <= 1);
                }
            }
        }

        /// Who weighs and who builds rings have one bound: what was weighed can be built, whatever the lines say.
        #[test]
        fn whatever_is_weighed_can_be_built(
            lines in prop::collection::vec(any_line(), 1..12),
            pods in prop_oneof![0..2_u32, 0..23_000_u32],
            mode in prop_oneof![Just(WeightMode::Shared), Just(WeightMode::PerEndpoint)],
        ) {
            let many = Line { mode, ..shared(1 + pods % 100, pods) };
            let servers = weighed(&[lines, vec![many]].concat(), &ring());
            let spec = |(nth, server): (u16, &Server)| balance::ServerSpec {
                key: balance::PeerKey { address: "a".into(), nth, incarnation: None },
                server: "a".into(),
                weight: server.weight,
                max_fails: 1,
                fail_timeout: 10,
                max_conns: 0,
                slow_start: 0,
                tier: server.tier,
                availability: server.availability,
                route: None,
            };
            let servers = (0..).zip(&servers).map(spec).collect();
            let spec = balance::GroupSpec { method: balance::Method::ConsistentHash, servers, sticky: true };
            prop_assert_eq!(balance::Plan::check(&spec), Ok(()));
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
