//! What data planes are told, shared by who computes it and who sends it: one [`Published`] behind a lock that is held for a
//! look or a step, never across a wait, and a bell that is rung when there is something new to look at.

use feed::frames::Leader;
use feed::{Change, Publication, Published};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The published resources and the bell.
#[derive(Debug)]
pub struct Hub {
    published: Mutex<Published>,
    bell: watch::Sender<()>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { published: Mutex::default(), bell: watch::Sender::new(()) }
    }
}

impl Hub {
    /// Publishes what changed and wakes the subscribers if anything did. The first call, with nothing if need be, says that
    /// the cluster is known: before it no data plane is told what there is not.
    pub fn publish(&self, changes: impl IntoIterator<Item = Change>) -> Publication {
        let mut published = self.published.lock();
        let was_ready = published.sequence() > 0;
        let publication = published.publish(changes);
        drop(published);
        if publication.changed > 0 || !was_ready {
            self.bell.send_replace(());
        }
        publication
    }

    /// Names the replica that takes reports; `None` while there is none.
    pub fn lead(&self, leader: Option<Leader>) {
        self.published.lock().lead(leader);
        self.bell.send_replace(());
    }

    /// Looks at what is published. Keep it short: every subscriber waits.
    pub fn read<R>(&self, look: impl FnOnce(&Published) -> R) -> R {
        look(&self.published.lock())
    }

    /// Rings whenever there is something new.
    pub fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }
}
