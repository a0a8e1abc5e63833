//! Who takes the next attempt: one file per nginx method, dispatched without trait objects so that a new method does not
//! compile until every place that must know it does.
//!
//! A method picks within the list in use and changes weights or hash state; counting the attempt and moving on to the
//! backups is common to all and done by [`crate::Group::select`].

pub(crate) mod hash;
pub(crate) mod ip_hash;
pub(crate) mod ketama;
pub(crate) mod least_conn;
pub(crate) mod least_time;
mod modulo;
mod random;
pub(crate) mod round_robin;

pub use ketama::MOST_RING_WEIGHT;

use crate::{Method, Request, Rng, turn::Turn};

/// Picks in the list `request` is using.
pub(crate) fn pick(turn: &mut Turn<'_>, request: &mut Request, rng: &mut impl Rng) -> Option<u32> {
    match turn.plan.method() {
        Method::RoundRobin => round_robin::pick(turn, request),
        Method::LeastConn => least_conn::pick(turn, request),
        Method::IpHash | Method::Hash => modulo::pick(turn, request),
        Method::ConsistentHash => ketama::pick(turn, request),
        Method::Random => random::pick(turn, request, rng),
        Method::RandomTwo => random::pick_two(turn, request, rng),
        Method::LeastTime { measure, inflight } => least_time::pick(turn, request, measure, inflight),
    }
}

/// Picks in the backups, to which `request` has just moved. The hash methods and `random` find out that the primaries are
/// exhausted inside their round-robin fall-back, which goes on to the backups by itself
/// (`ngx_http_upstream_round_robin.c`, `ngx_http_upstream_get_round_robin_peer`, `failed:`).
pub(crate) fn pick_backup(turn: &mut Turn<'_>, request: &mut Request) -> Option<u32> {
    match turn.plan.method() {
        Method::RoundRobin
        | Method::IpHash
        | Method::Hash
        | Method::ConsistentHash
        | Method::Random
        | Method::RandomTwo => round_robin::pick(turn, request),
        Method::LeastConn => least_conn::pick(turn, request),
        Method::LeastTime { measure, inflight } => least_time::pick(turn, request, measure, inflight),
    }
}
