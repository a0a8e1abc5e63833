//! The fleet as it is shared between who receives reports and who writes status.

use std::sync::Arc;

use feed::report::{Absorbed, Report};
use parking_lot::Mutex;

use super::Fleet;
use crate::clock::Clock;

/// A [`Fleet`] behind a lock that is held for a report or a look, never across a wait.
#[derive(Clone, Debug)]
pub struct Reports {
    fleet: Arc<Mutex<Fleet>>,
    clock: Clock,
}

impl Reports {
    /// No data plane yet.
    pub fn new(clock: Clock) -> Self {
        Self { fleet: Arc::default(), clock }
    }

    /// Takes a report that was checked ([`Report::from_json`]) into account.
    pub fn absorb(&self, report: Report) -> Absorbed {
        let now = self.clock.now();
        self.fleet.lock().absorb(report, now)
    }

    /// Looks at the fleet, or changes it.
    pub fn with<R>(&self, look: impl FnOnce(&mut Fleet) -> R) -> R {
        look(&mut self.fleet.lock())
    }
}
