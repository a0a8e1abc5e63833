//! `forebay proxy` against scripted controllers, over real sockets: what it serves, whom it follows, what it says of it.

mod boot;
mod follows;
mod refuses;
mod reports;
mod rig;
mod sidecar;
mod zones;
