//! What is reported of one server.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::Address;
use serde::{Deserialize, Serialize};

/// One server on one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Flat")]
pub struct ServerReport {
    /// The name of its line; with the address it names the server within the group.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: Address,
    /// How it stands now.
    pub state: ServerState,
    /// Its effective weight now.
    #[serde(skip_serializing_if = "is_zero")]
    pub effective_weight: u32,
    /// Requests running now.
    #[serde(skip_serializing_if = "is_zero")]
    pub active: u64,
    /// Since this life began.
    #[serde(flatten)]
    pub counters: Counters,
    /// The last failure charged to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
}

/// How a server stands with one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It is picked.
    Up,
    /// It is picked, with less than its weight: it recovers or is new.
    Recovering,
    /// It has as many requests as `max_conns` allows.
    Busy,
    /// It takes only the sessions it has.
    Draining,
    /// Its configuration says `down`.
    Down,
    /// Out after `max_fails` failures.
    Ejected,
    /// A newer data plane's.
    #[serde(other)]
    Unknown,
}

/// Sums since a life began. A missing one is zero, and zeros are left out: most servers of a large fleet have just them, and
/// what a full report takes of both ends is its length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Attempts at it that have ended.
    #[serde(skip_serializing_if = "is_zero")]
    pub requests: u64,
    /// Attempts charged to it, by reason (`connect`, `read_timeout`, `status`, ...); a newer data plane may know more.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<Arc<str>, u64>,
    /// Requests passed on to another server after it.
    #[serde(skip_serializing_if = "is_zero")]
    pub retried: u64,
    /// Times it reached `max_fails`.
    #[serde(skip_serializing_if = "is_zero")]
    pub ejections: u64,
    /// Bytes received from it.
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes_received: u64,
    /// Bytes sent to it.
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes_sent: u64,
    /// Sum of its response times, microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub response_micros: u64,
    /// Response times that make up that sum.
    #[serde(skip_serializing_if = "is_zero")]
    pub responses: u64,
}

/// A [`ServerReport`] as it is read. What is flattened is read twice, the first time into a tree of values, and a leader
/// reads a million of these.
#[derive(Deserialize)]
struct Flat {
    #[serde(deserialize_with = "config::text::shared")]
    name: Arc<str>,
    address: Address,
    state: ServerState,
    #[serde(default)]
    effective_weight: u32,
    #[serde(default)]
    active: u64,
    #[serde(default)]
    requests: u64,
    #[serde(default)]
    failures: BTreeMap<Arc<str>, u64>,
    #[serde(default)]
    retried: u64,
    #[serde(default)]
    ejections: u64,
    #[serde(default)]
    bytes_received: u64,
    #[serde(default)]
    bytes_sent: u64,
    #[serde(default)]
    response_micros: u64,
    #[serde(default)]
    responses: u64,
    #[serde(default)]
    last_failure: Option<LastFailure>,
}

impl From<Flat> for ServerReport {
    fn from(flat: Flat) -> Self {
        let Flat { name, address, state, effective_weight, active, last_failure, .. } = flat;
        let counters = Counters {
            requests: flat.requests,
            failures: flat.failures,
            retried: flat.retried,
            ejections: flat.ejections,
            bytes_received: flat.bytes_received,
            bytes_sent: flat.bytes_sent,
            response_micros: flat.response_micros,
            responses: flat.responses,
        };
        Self { name, address, state, effective_weight, active, counters, last_failure }
    }
}

impl ServerReport {
    /// What names it within its group.
    pub fn key(&self) -> (&str, &Address) {
        (&self.name, &self.address)
    }
}

/// When a server last failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    /// As in [`Counters::failures`], but a status by its number: `http_502`.
    pub reason: Arc<str>,
    /// Milliseconds since 1970, by the instance's clock.
    pub at: u64,
}

impl Counters {
    /// Adds the sums of another instance.
    pub fn add(&mut self, other: &Self) {
        let Self { requests, failures, retried, ejections, bytes_received, bytes_sent, response_micros, responses } =
            other;
        for (mine, theirs) in [
            (&mut self.requests, requests),
            (&mut self.retried, retried),
            (&mut self.ejections, ejections),
            (&mut self.bytes_received, bytes_received),
            (&mut self.bytes_sent, bytes_sent),
            (&mut self.response_micros, response_micros),
            (&mut self.responses, responses),
        ] {
            *mine = mine.saturating_add(*theirs);
        }
        for (reason, count) in failures {
            let mine = self.failures.entry(reason.clone()).or_default();
            *mine = mine.saturating_add(*count);
        }
    }

    /// All failures, whatever the reason.
    pub fn failed(&self) -> u64 {
        self.failures.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}
