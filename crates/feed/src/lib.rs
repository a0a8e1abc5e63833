//! The protocol between controllers and data planes: what a Kubernetes watch is to a controller, this is to a data plane.
//!
//! Frames are lines of JSON over one stream ([`frames`]). The two ends are machines that are told what arrived and what time
//! it is, and say what to send ([`Subscriber`] at the controller, [`Client`] at the data plane); whoever owns the sockets
//! moves the bytes. There is no IO here, no clock and no randomness, which is why a whole fleet fits into a test.
//!
//! Level, not event: a controller keeps, per data plane, the version of each resource that it sent, and computes the next
//! frame when there is room for one. A slow data plane gets the latest value later, never a backlog.

mod backoff;
mod client;
pub mod frames;
mod last_good;
pub mod limits;
mod lines;
mod published;
pub mod report;
mod scope;
mod server;
mod text;
mod versions;
mod violation;

pub use backoff::Backoff;
pub use client::{Check, Client, ClientOptions, Event, Receipt, Rejection, Update};
pub use last_good::{LastGood, LastGoodError, Remembered, Skipped};
pub use lines::LineDecoder;
pub use published::{Change, Changes, Encoded, Prepared, Publication, Published, Unpublishable};
pub use scope::{Forbidden, Grant, Namespaces, PrivateKeys, Scope, View};
pub use server::{Received, ServerOptions, Standing, Subscriber};
pub use versions::Versions;
pub use violation::Violation;
