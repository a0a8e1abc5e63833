//! How many refused tokens an address may send. Only refusals count, so a fleet that comes at once pays nothing; an address
//! that guesses is answered without asking the API server.

use std::collections::HashMap;
use std::net::IpAddr;

use config::Millis;

/// Addresses remembered; beyond it those with the least to answer for are forgotten.
const ADDRESSES: usize = 4096;

/// Refusals an address has at once, and the time after which it has one more.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// At once.
    pub refusals: u64,
    /// One more after this time.
    pub refill: Millis,
}

/// What each address has used. A use is a moment in time by which it is forgiven (a token bucket without tokens).
#[derive(Debug)]
pub(super) struct RefusalBudget {
    allowance: Allowance,
    forgiven: HashMap<IpAddr, Millis>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { refusals: 10, refill: Millis::from_secs(6) }
    }
}

impl RefusalBudget {
    /// Nobody used anything.
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, forgiven: HashMap::new() }
    }

    /// Whether another token of this address may be looked at; else how long to wait.
    pub fn check(&self, address: IpAddr, now: Millis) -> Result<(), Millis> {
        let Some(forgiven) = self.forgiven.get(&address) else { return Ok(()) };
        let allowed = Millis((self.allowance.refusals - 1) * self.allowance.refill.0).after(now);
        if *forgiven <= allowed { Ok(()) } else { Err(forgiven.since(allowed)) }
    }

    /// A token of this address was refused.
    pub fn spend(&mut self, address: IpAddr, now: Millis) {
        if self.forgiven.len() >= ADDRESSES && !self.forgiven.contains_key(&address) {
            self.forgiven.retain(|_, forgiven| forgiven.0 > now.0);
            if self.forgiven.len() >= ADDRESSES
                && let Some(least) = self.forgiven.iter().min_by_key(|(_, at)| **at).map(|(address, _)| *address)
            {
                self.forgiven.remove(&least);
            }
        }
        let forgiven = self.forgiven.entry(address).or_insert(now);
        *forgiven = self.allowance.refill.after(now.max(*forgiven));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn refusals_are_forgiven_with_time() {
        let mut budget = RefusalBudget::new(Allowance { refusals: 3, refill: Millis(1000) });
        let (bad, good) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..3 {
            assert_eq!(budget.check(bad, Millis(0)), Ok(()));
            budget.spend(bad, Millis(0));
        }
        assert_eq!(budget.check(bad, Millis(0)), Err(Millis(1000)));
        assert_eq!(budget.check(good, Millis(0)), Ok(()));
        assert_eq!(budget.check(bad, Millis(1000)), Ok(()));
        budget.spend(bad, Millis(1000));
        assert_eq!(budget.check(bad, Millis(1000)), Err(Millis(1000)));
        assert_eq!(budget.check(bad, Millis(10_000)), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut budget = RefusalBudget::new(Allowance::default());
        for n in 0..10_000_u32 {
            budget.spend(IpAddr::V4(Ipv4Addr::from(n)), Millis(0));
        }
        assert_eq!(budget.forgiven.len(), ADDRESSES);
    }
}
