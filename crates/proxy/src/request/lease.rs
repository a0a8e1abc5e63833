//! One selection, released exactly once.
//!
//! [`Lease::finish`] consumes it and `Drop` releases it as abandoned: `conns` cannot leak when a client goes away and hyper
//! drops the request's future.

use std::sync::Arc;

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
        rand::RngExt::random_range(&mut rand::rng(), 0..bound)
    }
}
