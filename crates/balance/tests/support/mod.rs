//! What the tests of this crate share: a seeded source of numbers and short ways to write groups down.
#![allow(dead_code, reason = "every test file uses its own part")]

pub mod lab;
pub mod model;

use std::sync::Arc;

use balance::{GroupSpec, Method, PeerKey, Rng, ServerSpec, Tier};

/// `SplitMix64`: enough for tests, and a seed replays it anywhere.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// Begins anywhere: a state that grew with the seed as it grows with each number would make of the next seed the same
    /// sequence, one number on.
    pub fn new(seed: u64) -> Self {
        Self(Self(seed).next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether something happens that happens once in `odds` times.
    pub fn once_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[usize::try_from(self.below(among.len() as u64)).expect("an index")]
    }

    pub fn small(&mut self, bound: u32) -> u32 {
        u32::try_from(self.below(u64::from(bound))).expect("below a u32")
    }
}

impl Rng for Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A server with nginx's defaults.
pub fn server(address: &str) -> ServerSpec {
    ServerSpec {
        key: PeerKey { address: Arc::from(address), nth: 0, incarnation: None },
        server: Arc::from(address),
        weight: 1,
        max_fails: 1,
        fail_timeout: 10,
        max_conns: 0,
        slow_start: 0,
        tier: Tier::Primary,
        availability: balance::Availability::Up,
        route: None,
    }
}

/// A group of servers of these weights at 10.0.x.y:80.
pub fn weighted(method: Method, weights: &[u32]) -> GroupSpec {
    let servers = weights
        .iter()
        .enumerate()
        .map(|(at, &weight)| ServerSpec { weight, ..server(&format!("10.0.{}.{}:80", at / 250, at % 250)) })
        .collect();
    GroupSpec { method, servers, sticky: false }
}
