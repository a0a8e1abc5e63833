//! One selection, released exactly once.
//!
//! [`Lease::finish`] consumes it and `Drop` releases it as abandoned: `conns` cannot leak when a client goes away and hyper
//! drops the request's future.

use std::sync::Arc;
use std::time::Duration;

use balance::{NoLivePeers, Outcome, Peer, Released, Request, Rng};

use crate::clock::{Clock, Moment};
use crate::snapshot::GroupView;

/// A picked server, counted as busy until this value is gone.
#[derive(Debug)]
pub(crate) struct Lease {
    group: Arc<GroupView>,
    peer: Peer,
    clock: Clock,
    released: bool,
}

impl Lease {
    /// Picks the next server for a request.
    pub(crate) fn select(
        group: &Arc<GroupView>,
        request: &mut Request,
        now: Moment,
        clock: Clock,
    ) -> Result<Self, NoLivePeers> {
        let peer = group.cell.balance.lock().select(&group.plan, request, now.now(), &mut ThreadRandom)?;
        Ok(Self { group: group.clone(), peer, clock, released: false })
    }

    /// Index of the server in the group's view.
    pub(crate) fn position(&self) -> usize {
        self.peer.position
    }

    /// A complete response header, to be relayed, came `after` the attempt began.
    pub(crate) fn header_arrived(&mut self, after: Duration) {
        let plan = &self.group.plan;
        if plan.is_notified() {
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            self.group.cell.balance.lock().header_received(plan, &mut self.peer, millis);
        }
    }

    /// Ends the attempt.
    pub(crate) fn finish(mut self, outcome: Outcome, now: Moment) -> Released {
        self.release(outcome, now)
    }

    fn release(&mut self, outcome: Outcome, now: Moment) -> Released {
        self.released = true;
        self.group.cell.balance.lock().release(&self.group.plan, self.peer, outcome, now.now())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.released {
            self.release(Outcome::Abandoned, self.clock.now());
        }
    }
}

/// The worker thread's generator: nginx seeds libc's `random()` per worker.
struct ThreadRandom;

impl Rng for ThreadRandom {
    fn below(&mut self, bound: u64) -> u64 {
        uniform(&mut rand::rng(), bound)
    }
}

/// A number below `bound`, each as likely as any other: a modulus would favour the low ones (ledger `random-source`).
fn uniform(source: &mut impl rand::RngExt, bound: u64) -> u64 {
    source.random_range(0..bound)
}

#[cfg(test)]
mod tests {
    use balance::Inputs;
    use config::{LeastTimeMeasure, Method};

    use super::*;
    use crate::testing;

    /// Of three quarters of 2^31, which is what libc's `random()` draws from, or of 2^64 a modulus meets the first third twice
    /// as often as it should.
    #[test]
    fn no_number_is_favoured() {
        use rand::SeedableRng as _;

        for third in [1 << 29, 1 << 62] {
            let mut source = rand::rngs::StdRng::seed_from_u64(1);
            let low = (0..3000).filter(|_| uniform(&mut source, 3 * third) < third).count();
            assert!((900..1100).contains(&low), "{low} of 3000 in the first third of {}", 3 * third);
        }
    }

    /// `least_time header inflight`: what streams has shown its time, and only who has shown nothing grows old.
    #[test]
    fn a_response_that_streams_is_not_waited_for() {
        let servers = vec![testing::server("a", "127.0.0.1:1"), testing::server("b", "127.0.0.1:2")];
        let method = Method::LeastTime { measure: LeastTimeMeasure::Header, inflight: true };
        let group = testing::view(
            &"shop/app".parse().unwrap(),
            config::Group { method, ..config::Group::with_defaults(servers) },
        );
        let select = |seconds: u64| {
            let mut request = Request::new(&group.plan, &Inputs { hash_key: b"", client: None, sid: None });
            let now = Moment::from(testing::START + seconds * 1_000_000);
            Lease::select(&group, &mut request, now, Clock::start()).unwrap()
        };
        let mut streaming = select(0);
        streaming.header_arrived(Duration::from_millis(10));
        let hanging = select(0);
        assert_eq!((streaming.position(), hanging.position()), (0, 1));
        for _ in 0..5 {
            assert_eq!(select(60).position(), 0, "a minute later");
        }
    }
}
