//! What the feed put in force, as those who come after it need it: the keeper of the last good configuration, the reporter,
//! and whoever composed the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Config, Resource, ResourceKey, Revision};
use feed::Rejection;

use crate::snapshot::Snapshot;

/// A configuration in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The configuration.
    pub config: Arc<Config>,
    /// What the workers made of it.
    pub snapshot: Arc<Snapshot>,
    /// Where it came from.
    pub origin: Origin,
    /// What was sent with it or after it and cannot be used.
    pub rejected: Arc<BTreeMap<String, Rejection>>,
    pub(super) resources: Arc<[Held]>,
}

/// Where a configuration came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A controller.
    Controller,
    /// The disk.
    LastGood,
}

/// A resource with the version a controller gave it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub key: ResourceKey,
    pub resource: Resource,
    pub version: Option<Revision>,
}
