//! What a data plane's machine tells its owner.

use std::sync::Arc;

use config::{Config, Millis, Revision};

use crate::frames::Leader;
use crate::violation::Violation;

/// What a data plane has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The controller accepts; its name.
    Welcomed {
        /// The controller.
        server: Arc<str>,
        /// The protocol spoken.
        protocol: u32,
    },
    /// Put this in force, then call [`Client::applied`](super::Client::applied).
    Commit(Update),
    /// Everything there was is here. Time to reset the back-off and to be ready.
    Synced,
    /// Where reports go from now on; `None`: nowhere.
    Leads(Option<Leader>),
    /// The controller ends the stream: come again within this time.
    Bye {
        /// At most so much later, at a moment of chance.
        within: Millis,
        /// Why.
        reason: String,
    },
    /// The controller said what it must not. The stream is to be closed.
    Violated(Violation),
}

/// A configuration to be put in force at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The whole of it.
    pub config: Arc<Config>,
    /// Its version, from the versions of its parts.
    pub revision: Revision,
    /// What [`Client::applied`](super::Client::applied) wants back.
    pub receipt: Receipt,
}

/// Names a commit of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(super) stream: u64,
    /// `None`: nobody waits for an ack.
    pub(super) commit: Option<u64>,
}

/// A resource that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The version.
    pub version: Revision,
    /// Why.
    pub problem: String,
}
