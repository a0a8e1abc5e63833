//! What the data plane does at one moment, and what changed since the last.

use std::fmt;
use std::sync::Arc;

use balance::{Availability, Obstacle, Tier};
use config::GroupId;
use proxy::Proxy;

/// One server, as shown.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: Arc<str>,
    pub address: Arc<str>,
    pub tier: Tier,
    pub weight: i64,
    pub picks: u64,
    pub failures: u64,
    pub ejections: u64,
    /// nginx's count of failures since the last success that cleared it.
    pub fails: u32,
    pub state: State,
}

/// Whether a server takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Up,
    /// Out on failures for so many more seconds.
    Ejected(u64),
    Out,
}

/// A group at one moment.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    pub rows: Vec<Row>,
}

/// Something a person should notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Ejected { name: Arc<str>, secs: u64 },
    Recovered { name: Arc<str> },
    BackupSteppedIn,
    PrimariesReturned,
}

impl Picture {
    /// Looks at a group now.
    pub fn take(proxy: &Proxy, group: &GroupId) -> Self {
        let now = proxy.clock().now().now();
        let Some(view) = proxy.snapshot().and_then(|snapshot| snapshot.groups.get(group).cloned()) else {
            return Self::default();
        };
        let peers = view.cell.balance.lock().view(&view.plan, now);
        let rows = view.servers.iter().zip(peers).map(|(server, peer)| Row {
            name: server.name.clone(),
            address: server.address_text.clone(),
            tier: peer.tier,
            weight: peer.weight,
            picks: server.stats.requests.iter().map(proxy::stats::Counter::value).sum(),
            failures: server.stats.failures.iter().map(proxy::stats::Counter::value).sum(),
            ejections: server.stats.ejections.value(),
            fails: peer.fails,
            state: match peer.obstacle {
                None if peer.availability == Availability::Up => State::Up,
                Some(Obstacle::Ejected { until }) => State::Ejected(until.saturating_sub(now.secs())),
                None | Some(Obstacle::Tried | Obstacle::Down | Obstacle::Draining | Obstacle::Full) => State::Out,
            },
        });
        Self { rows: rows.collect() }
    }

    /// What changed since `last`.
    pub fn events_since(&self, last: &Self) -> Vec<Event> {
        let mut events = Vec::new();
        for (row, before) in self.rows.iter().zip(&last.rows) {
            if row.ejections > before.ejections && !matches!(before.state, State::Ejected(_)) {
                let secs = if let State::Ejected(secs) = row.state { secs } else { 0 };
                events.push(Event::Ejected { name: row.name.clone(), secs });
            } else if row.fails == 0 && before.fails > 0 {
                events.push(Event::Recovered { name: row.name.clone() });
            }
        }
        let served = |picture: &Self, tier| -> u64 {
            let rows = picture.rows.iter().filter(|row| row.tier == tier);
            rows.map(|row| row.picks - row.failures.min(row.picks)).sum()
        };
        let gained = |tier| served(self, tier) > served(last, tier);
        let was_on_backup = last.on_backup();
        if gained(Tier::Backup) && !was_on_backup {
            events.push(Event::BackupSteppedIn);
        } else if gained(Tier::Primary) && was_on_backup {
            events.push(Event::PrimariesReturned);
        }
        events
    }

    /// Whether no primary is up, so that a backup serves.
    fn on_backup(&self) -> bool {
        !self.rows.iter().any(|row| row.tier == Tier::Primary && row.state == State::Up)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ejected { name, secs } => {
                write!(f, "{name} failed and is out for {secs} s; its request went to the next server")
            }
            Self::Recovered { name } => write!(f, "{name} answered its probe and is back"),
            Self::BackupSteppedIn => f.write_str("no primary is left: the backup steps in"),
            Self::PrimariesReturned => f.write_str("a primary answers again: the backup rests"),
        }
    }
}
