//! What a person should see in `kubectl describe`: transitions, each once, summarised. An outage of 200 pods is one event.
//!
//! Of groups the transitions are those from the previous status to the one that was just written, so a controller that
//! restarts tells nothing twice. An Ingress has no conditions to remember by, nor has a Service; their events have names
//! that follow from what they say, and the API server, which keeps events for an hour, refuses what it has already. That is
//! also why kube's `Recorder` is not used: its names are random, and it counts a later event as the former one whatever the
//! text.

mod journal;
mod out;
mod poster;
mod reason;
mod said;
#[cfg(test)]
mod tests;
mod transitions;

use std::sync::Arc;

pub use journal::Journal;
pub use poster::{Posted, Poster};
pub use reason::EventReason;

/// Servers and problems that a note names; the others are counted.
const NAMED: usize = 5;

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Regarding {
    /// Its kind, which tells its API too.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its UID.
    pub uid: Arc<str>,
}

/// The kinds of objects events are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `forebay.dev/v1alpha1`
    UpstreamGroup,
    /// `networking.k8s.io/v1`
    Ingress,
    /// `v1`
    Service,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of what.
    pub regarding: Regarding,
    /// Why.
    pub reason: EventReason,
    /// In words; at most a kilobyte.
    pub note: String,
    /// What telling it again means.
    pub again: Again,
}

/// What telling an event again means while the cluster still has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It happened again and is counted.
    Counts,
    /// It is still so and was told.
    IsKnown,
}

fn list(items: &[String]) -> String {
    config::listed(items, NAMED, "; ")
}
