//! What became of every configuration that was read or received: put in force or refused, and why. Whoever gets one tells it;
//! the metrics and the admin interface show it.

use std::sync::Arc;
use std::time::Duration;

use config::Diagnostic;
use parking_lot::Mutex;

use crate::clock::Moment;
use crate::source::FeedStatus;
use crate::stats::Counter;

/// The history of reloads, as far as it matters: counts and the last one.
#[derive(Debug, Default)]
pub struct ConfigStatus {
    applied: Counter,
    refused: Counter,
    last: Mutex<Option<Reload>>,
    /// Since when the files say something else than what is in force.
    outdated: Mutex<Option<Moment>>,
    feed: Option<Arc<FeedStatus>>,
}

/// One configuration that was read or received.
#[derive(Clone, Debug)]
pub struct Reload {
    /// What became of it.
    pub result: ReloadResult,
    /// When.
    pub at: Moment,
    /// What was wrong with it; of an applied set: what might surprise.
    pub problems: Vec<Diagnostic>,
}

/// What became of a configuration.
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

    /// Of a data plane that is fed by controllers.
    pub fn of_feed(feed: Arc<FeedStatus>) -> Self {
        Self { feed: Some(feed), ..Self::default() }
    }

    /// How it stands with its controllers, if it has any.
    pub fn feed(&self) -> Option<&FeedStatus> {
        self.feed.as_deref()
    }

    /// How old what is in force may be: zero while files or a controller keep it current, else the time since they last did.
    pub fn age(&self, now: Moment) -> Option<Duration> {
        match &self.feed {
            Some(feed) => feed.age(now),
            None => {
                self.last.lock().as_ref().map(|_| self.outdated.lock().map_or(Duration::ZERO, |since| now.since(since)))
            }
        }
    }

    /// Tells of a set that was put in force, with what might surprise about it.
    pub fn applied(&self, notes: Vec<Diagnostic>, at: Moment) {
        self.applied.inc();
        *self.outdated.lock() = None;
        *self.last.lock() = Some(Reload { result: ReloadResult::Applied, at, problems: notes });
    }

    /// Tells what might surprise about the set that was put in force last, where that is seen only afterwards.
    pub fn noted(&self, notes: Vec<Diagnostic>) {
        if let Some(Reload { result: ReloadResult::Applied, problems, .. }) = &mut *self.last.lock() {
            *problems = notes;
        }
    }

    /// Tells of a set that was refused, with what is wrong with it.
    pub fn refused(&self, problems: Vec<Diagnostic>, at: Moment) {
        self.refused.inc();
        self.outdated.lock().get_or_insert(at);
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
