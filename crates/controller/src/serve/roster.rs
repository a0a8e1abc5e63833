//! Who is subscribed at this moment, for people and metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use feed::Scope;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

use super::lines::Stream;
use crate::identity::Account;

/// The subscribers.
#[derive(Debug, Default)]
pub struct Roster {
    state: Mutex<State>,
}

/// One subscriber, as the admin endpoint shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its name; `None` until it introduced itself.
    pub instance: Option<Arc<str>>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The ServiceAccount it proved to be.
    pub account: String,
    /// What it asked for.
    pub scope: Option<Scope>,
    /// The protocol spoken with it.
    pub protocol: Option<u32>,
    /// When its stream began.
    pub since: Timestamp,
    /// Lines sent to it.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The last commit it put in force.
    pub acked: u64,
    /// Resources it refuses as they are; at most 32 are named.
    pub rejected: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    serial: u64,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub peer: SocketAddr,
    pub account: Account,
    pub since: Timestamp,
    pub stream: Arc<Stream>,
}

/// Strikes a subscriber off the list when it is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    roster: Arc<Roster>,
    serial: u64,
}

impl Roster {
    /// The subscribers, those connected longest first.
    pub fn seen(&self) -> Vec<Seen> {
        let entries: Vec<Entry> = self.state.lock().entries.values().cloned().collect();
        entries.into_iter().map(Entry::seen).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.state.lock().entries.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn enter(self: &Arc<Self>, entry: Entry) -> Entered {
        let mut state = self.state.lock();
        state.serial += 1;
        let serial = state.serial;
        state.entries.insert(serial, entry);
        Entered { roster: self.clone(), serial }
    }
}

impl Entry {
    fn seen(self) -> Seen {
        let Self { peer, account, since, stream } = self;
        stream.look(|subscriber, sent, refused| Seen {
            instance: subscriber.instance().cloned(),
            peer,
            account: account.to_string(),
            scope: subscriber.scope().cloned(),
            protocol: subscriber.protocol(),
            since,
            lines: sent.lines,
            bytes: sent.bytes,
            acked: subscriber.acked(),
            rejected: refused.iter().map(ToString::to_string).collect(),
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.roster.state.lock().entries.remove(&self.serial);
    }
}
