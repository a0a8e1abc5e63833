//! What tests stand on: upstreams and controllers that misbehave on the wire when told to, clients that see every byte, a
//! running Forebay, and a real nginx to compare both with.
//!
//! It imports neither the data plane nor the controller: whatever a test learns here it learns from sockets, logs and
//! processes, as a user would. Nothing listens on a fixed port and nothing sleeps to wait for something: every wait names its condition and
//! fails loudly, with what was seen instead, after [`PATIENCE`].

use std::time::Duration;

pub mod client;
pub mod controller;
pub mod dns;
pub mod edits;
pub mod gate;
pub mod http2;
pub mod log;
pub mod message;
pub mod nginx;
mod port;
pub mod process;
pub mod rig;
pub mod scenario;
pub mod stream;
pub mod tls;
pub mod upstream;

pub use client::{Client, Response};
pub use controller::Controller;
pub use dns::{Dns, Records};
pub use gate::Gate;
pub use log::Log;
pub use message::{Head, Headers};
pub use port::Port;
pub use process::Forebay;
pub use rig::Rig;
pub use stream::{Address, Stream};
pub use tls::Authority;
pub use upstream::{Mode, Received, Upstream};

/// How long a wait may last before the test fails: long enough for a loaded two-core machine, and never a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `condition`, and fails the test with `what` when [`PATIENCE`] runs out.
///
/// # Panics
/// When the time is over.
pub async fn patiently<T>(what: &str, condition: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, condition).await;
    outcome.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}
