//! What data planes are told, shared by who computes it and who sends it: one [`Published`] behind a lock that is held for a
//! look or a step, never across a wait, and a bell that is rung when there is something new to look at.
//!
//! Everybody looks at once; who publishes encodes while they look, and shuts them out only to put the result in force.

use feed::frames::Leader;
use feed::{Change, Publication, Published};
use parking_lot::{RwLock, RwLockUpgradableReadGuard};
use tokio::sync::watch;
use tokio::time::Instant;

/// The published resources and the bell.
#[derive(Debug)]
pub struct Hub {
    published: RwLock<Published>,
    bell: watch::Sender<()>,
    /// The last publication that changed something, and when it was put in force.
    latest: watch::Sender<(u64, Instant)>,
}

impl Default for Hub {
    fn default() -> Self {
        let latest = watch::Sender::new((0, Instant::now()));
        Self { published: RwLock::default(), bell: watch::Sender::new(()), latest }
    }
}

impl Hub {
    /// Publishes what changed and wakes the subscribers if anything did. The first call, with nothing if need be, says that
    /// the cluster is known: before it no data plane is told what there is not.
    pub fn publish(&self, changes: impl IntoIterator<Item = Change>) -> Publication {
        let published = self.published.upgradable_read();
        let prepared = published.prepare(changes);
        let mut published = RwLockUpgradableReadGuard::upgrade(published);
        let before = published.sequence();
        let publication = published.put_in_force(prepared);
        let sequence = published.sequence();
        drop(published);
        if sequence > before {
            self.latest.send_replace((sequence, Instant::now()));
            self.bell.send_replace(());
        }
        publication
    }

    /// Names the replica that takes reports; `None` while there is none.
    pub fn lead(&self, leader: Option<Leader>) {
        self.published.write().lead(leader);
        self.bell.send_replace(());
    }

    /// Looks at what is published. Keep it short: who publishes waits.
    pub fn read<R>(&self, look: impl FnOnce(&Published) -> R) -> R {
        look(&self.published.read())
    }

    /// Rings whenever there is something new.
    pub fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    /// The number of the last publication that changed something, and since when it is in force.
    pub fn latest(&self) -> (u64, Instant) {
        *self.latest.borrow()
    }
}
