//! What a run saw, as values: the JSON output is this, the table is drawn from it.

use std::net::IpAddr;

use balance::{Availability, Tier};
use serde::Serialize;

/// Where the virtual clock begins, and the times of a trace: far enough from zero that no failure window reaches before it, on a
/// whole second.
pub const ORIGIN_SECS: u64 = 1_000_000_000;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Trace {
    /// `NAMESPACE/GROUP`
    pub group: String,
    /// The method in nginx's words.
    pub method: String,
    /// The servers, in the order of every list of weights below.
    pub servers: Vec<Server>,
    /// The requests, in the order of their arrival.
    pub requests: Vec<Request>,
    /// What each server had of them.
    pub shares: Vec<Share>,
}

/// A server of the group.
#[derive(Debug, Serialize)]
pub struct Server {
    /// The line's name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Its configured weight.
    pub weight: u32,
    /// Which list it is in.
    pub tier: Tier,
    /// What the operator says of it.
    pub availability: Availability,
}

/// A request.
#[derive(Debug, Serialize)]
pub struct Request {
    /// From 1.
    pub number: u32,
    /// Milliseconds since the start.
    pub at: u64,
    /// Where it came from.
    pub client: IpAddr,
    /// What it asked for.
    pub uri: String,
    /// The evaluated hash key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The attempts, in order.
    pub attempts: Vec<Attempt>,
    /// The status the client got.
    pub status: u16,
}

/// One pick and what came of it.
#[derive(Debug, Serialize)]
pub struct Attempt {
    /// The pick.
    #[serde(flatten)]
    pub choice: Choice,
    /// What came of it.
    pub outcome: Outcome,
    /// The failure took the server out until this many seconds after the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_until: Option<u64>,
    /// The response brought a server back that had been out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
}

/// A pick.
#[derive(Debug, Serialize)]
pub struct Choice {
    /// Milliseconds since the start.
    pub at: u64,
    /// Index of the server; none when nobody was eligible.
    pub server: Option<usize>,
    /// Why this one.
    pub why: String,
    /// The state of every server around the pick.
    pub weights: Vec<Weights>,
    /// Who could not be picked.
    pub passed_over: Vec<PassedOver>,
}

/// nginx's numbers of one server around a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// `current_weight` before.
    pub before: i64,
    /// `effective_weight` before.
    pub effective: i64,
    /// `current_weight` after.
    pub after: i64,
    /// Requests in progress before.
    pub active: u32,
}

/// A server that was not eligible.
#[derive(Debug, Serialize)]
pub struct PassedOver {
    /// Its index.
    pub server: usize,
    /// Why not.
    pub reason: String,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client got this status.
    Answered(u16),
    /// It failed in this way and was tried again.
    Retried(String),
    /// It failed in this way and was not tried again.
    GivenUp(String),
    /// Nobody was eligible.
    NoLiveUpstreams,
}

/// What a server had of a run.
#[derive(Debug, Default, Serialize)]
pub struct Share {
    /// Attempts on it.
    pub attempts: u32,
    /// Attempts that were charged to it.
    pub failures: u32,
    /// Responses of it that went to a client.
    pub answers: u32,
}
