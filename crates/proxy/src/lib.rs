//! The data plane: listeners, routing, the attempt loop, pools, tunnels, stats, admin.
//!
//! A request's way is the room `request`, its record what the rooms `access_log`, `stats`, `metrics` and `variables` read;
//! `worker` is where it runs, `upstream` whom it is sent to, `snapshot` what it pins and `apply` how that changes. This crate
//! decides nothing about balancing (that is `balance`) and knows no Kubernetes; it is told a [`config::Config`] and applies it
//! whole or not at all.

mod alarm;
mod apply;
mod listen;
mod request;
mod timed;
mod worker;

pub mod access_log;
pub mod admin;
pub mod clock;
pub mod config_status;
pub mod error_log;
pub mod metrics;
pub mod observed;
pub mod options;
pub mod picture;
pub mod proxy;
pub mod record;
pub mod route;
pub mod snapshot;
pub mod source;
pub mod spec;
pub mod stats;
pub mod tls;
pub mod upstream;
pub mod variables;

#[cfg(test)]
mod testing;

pub use apply::{ApplyError, compile_check};
pub use listen::ListenError;
pub use options::{Early, Limits, Listener, Options, Protocol};
pub use proxy::{Proxy, StartError};
pub use request::{Evaluated, is_non_idempotent};
pub use worker::WorkerReport;
