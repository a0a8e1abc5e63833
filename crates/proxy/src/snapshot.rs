//! What a request pins: everything the data plane knows, immutable, with the mutable state of groups beside it.
//!
//! A request loads the [`Snapshot`] once and keeps its [`GroupView`] through all retries. State ([`GroupCell`]) outlives
//! snapshots: an update of a group shares the cell, so no failure is forgotten and no connection is disturbed.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use balance::learn::Sessions;
use balance::{BoundPlan, PeerKey};
use config::{Address, GroupId, Revision};
use parking_lot::Mutex;

use crate::clock::Moment;
use crate::route::RouteTable;
use crate::stats::{GroupStats, ServerStats};
use crate::tls::Certificates;
use crate::upstream::{GroupTls, PeerTls};

/// One configuration in force.
#[derive(Debug)]
pub struct Snapshot {
    /// Its content version.
    pub revision: Revision,
    /// Where it came from, for people: a path, a controller's URL.
    pub source: Arc<str>,
    /// When it was put in force.
    pub applied: Moment,
    /// How requests find a group.
    pub routes: RouteTable,
    /// The groups.
    pub groups: HashMap<GroupId, Arc<GroupView>>,
    /// What TLS listeners present.
    pub certificates: Certificates,
}

/// One group in force: its plan and policies, and a handle on its state.
#[derive(Debug)]
pub struct GroupView {
    /// Its name.
    pub id: GroupId,
    /// `NAMESPACE/NAME`, printed once.
    pub name: Arc<str>,
    /// What was configured.
    pub config: Arc<config::Group>,
    /// What it was made of: the same for every zone.
    pub published: Arc<config::Group>,
    /// TLS to the servers, if it is spoken.
    pub tls: Option<Arc<GroupTls>>,
    /// The retry policy in the balancer's terms.
    pub policy: balance::retry::Policy,
    /// The plan, bound to the slots of `cell`.
    pub plan: BoundPlan,
    /// The servers, in the order of the plan's positions.
    pub servers: Vec<Arc<ServerView>>,
    /// The state that outlives this view.
    pub cell: Arc<GroupCell>,
}

/// One server of a group.
#[derive(Debug)]
pub struct ServerView {
    /// Whose state it is.
    pub key: PeerKey,
    /// The name of its line.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: Address,
    /// Printed once, as nginx prints it.
    pub address_text: Arc<str>,
    /// What a sticky session calls it.
    pub sid: Arc<str>,
    /// TLS to it, if it is spoken.
    pub tls: Option<Arc<PeerTls>>,
    /// What was counted of it; survives updates that keep the key.
    pub stats: Arc<ServerStats>,
}

/// The mutable state of one group, shared by all workers (nginx `zone`).
#[derive(Debug)]
pub struct GroupCell {
    /// Weights, failures, connections in use.
    pub balance: Mutex<balance::Group>,
    /// The table of `sticky learn`.
    pub sessions: Mutex<Sessions>,
    /// What was counted of the group as a whole.
    pub stats: GroupStats,
    /// What was counted of its servers, for as long as `balance` remembers them: some come back.
    pub server_stats: Mutex<HashMap<PeerKey, Arc<ServerStats>>>,
    /// The view that `balance` was brought in line with last; changed with it, under its lock.
    pub newest: Mutex<Weak<GroupView>>,
}

impl GroupView {
    /// Whether a server at `address` still takes requests: then its idle connections are worth keeping.
    pub(crate) fn takes_requests(&self, address: &str) -> bool {
        self.servers.iter().zip(&self.config.servers).any(|(server, config)| {
            &*server.address_text == address && config.availability == balance::Availability::Up
        })
    }

    /// Whether the server with this key is one of its own. Where nothing tells the holders of an address apart, they are one.
    pub(crate) fn has(&self, key: &PeerKey) -> bool {
        let is_same = |server: &Arc<ServerView>| {
            let other = &server.key;
            let is_other_pod =
                key.incarnation.is_some() && other.incarnation.is_some() && key.incarnation != other.incarnation;
            (&key.address, key.nth) == (&other.address, other.nth) && !is_other_pod
        };
        self.servers.iter().any(is_same)
    }
}
