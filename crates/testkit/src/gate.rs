//! Requests that are held at an upstream until the test lets them go.
//!
//! One gate may serve many upstreams, since a test that holds a request often cannot know which server will get it.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;

use crate::patiently;

/// Who waits, and who may go. Cheap to clone; all clones are one gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<Sets>>);

#[derive(Debug, Default)]
struct Sets {
    held: BTreeSet<String>,
    released: BTreeSet<String>,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Sets::default())))
    }
}

impl Gate {
    /// Lets `id` go, now or when it comes.
    pub fn release(&self, id: &str) {
        self.0.send_modify(|sets| {
            sets.released.insert(id.to_owned());
        });
    }

    /// Lets everybody go who is held now.
    pub fn release_all(&self) {
        self.0.send_modify(|sets| {
            let held = sets.held.clone();
            sets.released.extend(held);
        });
    }

    /// Returns once `id` is held.
    pub async fn held(&self, id: &str) {
        let mut sets = self.0.subscribe();
        // The sender lives in `self`, so the channel cannot close.
        let _ = sets.wait_for(|sets| sets.held.contains(id)).await;
    }

    /// Returns once `count` requests are held.
    pub async fn held_count(&self, count: usize) {
        let mut sets = self.0.subscribe();
        let _ = patiently(&format!("{count} held requests"), sets.wait_for(|sets| sets.held.len() >= count)).await;
    }

    /// Holds the caller, by the name of `id`, until it is released.
    pub(crate) async fn pass(&self, id: &str) {
        let mut sets = self.0.subscribe();
        self.0.send_modify(|sets| {
            sets.held.insert(id.to_owned());
        });
        let _ = sets.wait_for(|sets| sets.released.contains(id)).await;
        self.leave(id);
    }

    /// Forgets `id`, whose connection is gone.
    pub(crate) fn leave(&self, id: &str) {
        self.0.send_modify(|sets| {
            sets.held.remove(id);
        });
    }
}
