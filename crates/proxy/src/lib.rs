//! The data plane: listeners, routing, the attempt loop, pools, tunnels, stats, admin.
//!
//! A request's way: [`serve`] takes it from hyper and finds its group in the pinned [`snapshot::Snapshot`]; [`attempt`] selects
//! a server, sends, judges and relays or tries again; [`exchange`] accounts and logs it once, however it ended. This crate
//! decides nothing about balancing (that is `balance`) and knows no Kubernetes; it is told a [`config::Config`] and applies it
//! whole or not at all.

mod alarm;
mod apply;
mod attempt;
mod body;
mod client;
mod cookie;
mod exchange;
mod failure;
mod headers;
mod inputs;
mod lease;
mod listen;
mod relay;
mod respond;
mod send;
mod serve;
mod session;
mod tunnel;
mod upstream;
mod worker;

pub mod access_log;
pub mod admin;
pub mod clock;
pub mod error_log;
pub mod metrics;
pub mod options;
pub mod picture;
pub mod proxy;
pub mod record;
pub mod route;
pub mod snapshot;
pub mod spec;
pub mod stats;
pub mod variables;

#[cfg(test)]
mod testing;

pub use apply::{ApplyError, compile_check};
pub use listen::ListenError;
pub use options::{Limits, Listener, Options};
pub use proxy::{Proxy, StartError};
pub use worker::WorkerReport;
