//! nginx's upstream behaviour as pure state machines: selection, passive failure accounting and the retry verdict.
//!
//! This crate mirrors open-source nginx **1.31.3** pick by pick. It knows no socket, no clock, no source of randomness and
//! no async: time is a parameter ([`Now`]), randomness a one-method trait ([`Rng`]). What it refuses to know is what makes
//! it testable: the recorded answers of a real nginx replay here without a network.
//!
//! The way of one request: [`Request::new`] → [`Group::select`] → (the attempt happens elsewhere) → [`retry::Tries`]
//! decides from facts → [`Group::release`] → perhaps `select` again with the same [`Request`].
//!
//! Intended differences from nginx are listed, each with its reason and its test, in `specs/nginx/ledger.toml`.

mod attempt;
mod group;
mod index;
pub mod learn;
mod method;
mod peer;
mod plan;
mod request;
pub mod retry;
mod rng;
mod slots;
mod spec;
mod sticky;
mod time;
mod tried;
mod turn;
mod view;
mod weight;

pub use attempt::{NoLivePeers, Outcome, Peer, Released, Times};
pub use group::Group;
pub use method::MOST_RING_WEIGHT;
pub use plan::{BoundPlan, Plan};
pub use request::{Inputs, Request};
pub use rng::Rng;
pub use slots::Slot;
pub use spec::{Availability, GroupSpec, Measure, Method, PeerKey, ServerSpec, SpecError, Tier};
pub use time::Now;
pub use view::{Obstacle, PeerView};

/// The nginx whose behaviour this is.
pub const NGINX_VERSION: &str = "1.31.3";
