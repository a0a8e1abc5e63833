//! What became of every set of documents that was read: applied or refused, and why. Whoever reads documents tells it; the
//! metrics and the admin interface show it.

use config::Diagnostic;
use parking_lot::Mutex;

use crate::clock::Moment;
use crate::stats::Counter;

/// The history of reloads, as far as it matters: counts and the last one.
#[derive(Debug, Default)]
pub struct Reloads {
    applied: Counter,
    refused: Counter,
    last: Mutex<Option<Reload>>,
}

/// One set of documents that was read.
#[derive(Clone, Debug)]
pub struct Reload {
    /// What became of it.
    pub outcome: Outcome,
    /// When.
    pub at: Moment,
    /// What was wrong with it; of an applied set: what might surprise.
    pub problems: Vec<Diagnostic>,
}

/// What became of a set of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in force.
    Applied,
    /// It is not; the last good one stays in force.
    Refused,
}

impl Reloads {
    /// Tells of a set that was read.
    pub fn record(&self, reload: Reload) {
        self.counter(reload.outcome).inc();
        *self.last.lock() = Some(reload);
    }

    /// How many sets came to this.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.counter(outcome).value()
    }

    /// The last set that was read.
    pub fn last(&self) -> Option<Reload> {
        self.last.lock().clone()
    }

    fn counter(&self, outcome: Outcome) -> &Counter {
        match outcome {
            Outcome::Applied => &self.applied,
            Outcome::Refused => &self.refused,
        }
    }
}

impl Outcome {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Applied, Self::Refused];

    /// A word for labels and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}
