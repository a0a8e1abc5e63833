//! The control plane: watches a cluster, computes what data planes serve, publishes it to them, and writes what they report
//! into the status of the objects they serve.
//!
//! Every replica watches, translates and serves the feed; the Lease only decides who writes status and events. [`hub`] is
//! where what is computed meets who sends it, [`facts`] where what was found meets who writes about it. [`names`] follows the
//! DNS names that objects use, in a cluster and for files alike. [`listing`] looks at a cluster once. [`runtime`] puts
//! everything together.

pub mod admin;
pub mod ca;
pub mod clock;
pub mod connect;
pub mod events;
pub mod facts;
pub mod fleet;
pub mod hub;
pub mod identity;
pub mod index;
pub mod lease;
pub mod listing;
pub mod metrics;
pub mod names;
pub mod publish;
pub mod runtime;
pub mod serve;
pub mod status;
pub mod trouble;
pub mod watch;
