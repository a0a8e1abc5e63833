//! The live picture of a group: what was configured, how its state stands and what was counted, side by side. Metrics and the
//! admin interface show this one view, so they agree.

use balance::{Availability, Obstacle, PeerView, Tier};
use config::Pod;

use crate::clock::Moment;
use crate::snapshot::{GroupView, ServerView};

/// A group at a moment.
#[derive(Debug)]
pub struct GroupPicture<'a> {
    /// The group.
    pub view: &'a GroupView,
    /// Its servers, in configuration order.
    pub servers: Vec<ServerPicture<'a>>,
}

/// A server at a moment.
#[derive(Debug)]
pub struct ServerPicture<'a> {
    /// The server and its counters.
    pub view: &'a ServerView,
    /// The pod behind it, where known.
    pub pod: Option<&'a Pod>,
    /// Weights, failures, connections in use.
    pub peer: PeerView,
    /// Whether a fresh request could get it, and if not why.
    pub state: State,
}

/// Whether a fresh request could get a server, and if not why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It could.
    Up,
    /// Out on failures; back in the whole second `until` since the epoch.
    Ejected {
        /// The first second in which it may be picked.
        until: u64,
    },
    /// Configured `down`.
    Down,
    /// Configured `drain`.
    Draining,
    /// `max_conns` reached.
    Full,
}

impl<'a> GroupPicture<'a> {
    /// Reads the state of a group. Its lock is held for one pass over the servers.
    pub fn take(view: &'a GroupView, at: Moment) -> Self {
        let peers = view.cell.balance.lock().view(&view.plan, at.now());
        let server = |peer: PeerView| {
            let configured = view.config.servers.get(peer.position)?;
            let pod = configured.pod.as_ref();
            Some(ServerPicture { view: view.servers.get(peer.position)?, pod, state: State::of(&peer), peer })
        };
        Self { view, servers: peers.into_iter().filter_map(server).collect() }
    }

    /// The tier that a fresh request would be served by; `None` when nobody could.
    pub fn active_tier(&self) -> Option<Tier> {
        let serves = |tier| self.servers.iter().any(|server| server.peer.tier == tier && server.state == State::Up);
        [Tier::Primary, Tier::Backup].into_iter().find(|tier| serves(*tier))
    }
}

impl ServerPicture<'_> {
    /// The address, numbered from the second line of the same address on, so that it names one server of the group.
    pub fn address(&self) -> String {
        match self.view.key.nth {
            0 => self.view.address_text.to_string(),
            nth => format!("{}#{}", self.view.address_text, u32::from(nth) + 1),
        }
    }
}

impl State {
    /// The names of all states.
    pub const NAMES: [&'static str; 5] = ["Up", "Ejected", "Down", "Draining", "Full"];

    /// A word for labels and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "Up",
            Self::Ejected { .. } => "Ejected",
            Self::Down => "Down",
            Self::Draining => "Draining",
            Self::Full => "Full",
        }
    }

    fn of(peer: &PeerView) -> Self {
        match (peer.availability, peer.obstacle) {
            (Availability::Down, _) | (_, Some(Obstacle::Down)) => Self::Down,
            (Availability::Drain, _) | (_, Some(Obstacle::Draining)) => Self::Draining,
            (Availability::Up, Some(Obstacle::Ejected { until })) => Self::Ejected { until },
            (Availability::Up, Some(Obstacle::Full)) => Self::Full,
            // A fresh request has tried nobody.
            (Availability::Up, Some(Obstacle::Tried) | None) => Self::Up,
        }
    }
}

/// The word for a tier in labels and JSON.
pub const fn tier_name(tier: Option<Tier>) -> &'static str {
    match tier {
        Some(Tier::Primary) => "Primary",
        Some(Tier::Backup) => "Backup",
        None => "None",
    }
}

/// The word for a method, as an `UpstreamGroup` spells it.
pub const fn method_name(method: &config::Method) -> &'static str {
    match method {
        config::Method::RoundRobin => "RoundRobin",
        config::Method::LeastConn => "LeastConn",
        config::Method::IpHash => "IPHash",
        config::Method::Hash { .. } => "Hash",
        config::Method::Random | config::Method::RandomTwo => "Random",
        config::Method::LeastTime { .. } => "LeastTime",
    }
}
