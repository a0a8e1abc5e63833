//! What became of every set of documents that was read: put in force or refused, and why. Whoever reads documents tells it; the
//! metrics and the admin interface show it.

use config::Diagnostic;
use parking_lot::Mutex;

use crate::clock::Moment;
use crate::stats::Counter;

/// The history of reloads, as far as it matters: counts and the last one.
#[derive(Debug, Default)]
pub struct ConfigStatus {
    applied: Counter,
    refused: Counter,
    last: Mutex<Option<Reload>>,
}

/// One set of documents that was read.
#[derive(Clone, Debug)]
pub struct Reload {
    /// What became of it.
    pub result: ReloadResult,
    /// When.
    pub at: Moment,
    /// What was wrong with it; of an applied set: what might surprise.
    pub problems: Vec<Diagnostic>,
}

/// What became of a set of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// It is in force.
    Applied,
    /// It is not; the last good one stays in force.
    Refused,
}

impl ConfigStatus {
    /// Nothing was read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells of a set that was put in force, with what might surprise about it.
    pub fn applied(&self, notes: Vec<Diagnostic>, at: Moment) {
        self.applied.inc();
        *self.last.lock() = Some(Reload { result: ReloadResult::Applied, at, problems: notes });
    }

    /// Tells of a set that was refused, with what is wrong with it.
    pub fn refused(&self, problems: Vec<Diagnostic>, at: Moment) {
        self.refused.inc();
        *self.last.lock() = Some(Reload { result: ReloadResult::Refused, at, problems });
    }

    /// How many sets came to this.
    pub fn count(&self, result: ReloadResult) -> u64 {
        match result {
            ReloadResult::Applied => self.applied.value(),
            ReloadResult::Refused => self.refused.value(),
        }
    }

    /// The last set that was read.
    pub fn last(&self) -> Option<Reload> {
        self.last.lock().clone()
    }
}

impl ReloadResult {
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
