//! What the data plane does at one moment, and what changed since the last.

use std::fmt;
use std::sync::Arc;

use balance::Tier;
use config::GroupId;
use proxy::Proxy;
use proxy::picture::{self, GroupPicture, ServerPicture};

/// One server, as shown.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: Arc<str>,
    /// Its address, which names one server of the group.
    pub address: String,
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
    /// The tier of whoever answered last.
    pub serving: Option<Tier>,
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
        let now = proxy.clock().now();
        let Some(view) = proxy.snapshot().and_then(|snapshot| snapshot.groups.get(group).cloned()) else {
            return Self::default();
        };
        let servers = GroupPicture::take(&view, now).servers;
        let rows = servers.into_iter().map(|server| Row::of(&server, now.now().secs())).collect();
        Self { rows, serving: None }
    }

    /// The same with who answered, which is told by the server's name; where nobody did, whoever did by `last`.
    pub fn answered_by(self, name: Option<&str>, last: &Self) -> Self {
        let row = name.and_then(|name| self.rows.iter().find(|row| &*row.name == name));
        Self { serving: row.map(|row| row.tier).or(last.serving), ..self }
    }

    /// The seconds until a primary may be picked, at most; 0 if one may be now, `None` if none ever will.
    pub fn primary_in(&self) -> Option<u64> {
        let primaries = self.rows.iter().filter(|row| row.tier == Tier::Primary);
        let waits = primaries.filter_map(|row| match row.state {
            State::Up => Some(0),
            State::Ejected(secs) => Some(secs),
            State::Out => None,
        });
        waits.min()
    }

    /// Whether no server is out on failures.
    pub fn is_settled(&self) -> bool {
        !self.rows.iter().any(|row| matches!(row.state, State::Ejected(_)))
    }

    /// What changed since `last`.
    pub fn events_since(&self, last: &Self) -> Vec<Event> {
        let mut events = Vec::new();
        for row in &self.rows {
            // A server that is new has no past.
            let is_same = |before: &&Row| before.name == row.name && before.address == row.address;
            let Some(before) = last.rows.iter().find(is_same) else { continue };
            if row.ejections > before.ejections && !matches!(before.state, State::Ejected(_)) {
                let secs = if let State::Ejected(secs) = row.state { secs } else { 0 };
                events.push(Event::Ejected { name: row.name.clone(), secs });
            } else if row.fails == 0 && before.fails > 0 {
                events.push(Event::Recovered { name: row.name.clone() });
            }
        }
        match (last.serving, self.serving) {
            (None | Some(Tier::Primary), Some(Tier::Backup)) => events.push(Event::BackupSteppedIn),
            (Some(Tier::Backup), Some(Tier::Primary)) => events.push(Event::PrimariesReturned),
            (_, None)
            | (Some(Tier::Backup), Some(Tier::Backup))
            | (None | Some(Tier::Primary), Some(Tier::Primary)) => {}
        }
        events
    }
}

impl Row {
    fn of(server: &ServerPicture<'_>, now_secs: u64) -> Self {
        let (view, peer) = (server.view, &server.peer);
        Self {
            name: view.name.clone(),
            address: server.address(),
            tier: peer.tier,
            weight: peer.weight,
            picks: view.stats.requests.iter().map(proxy::stats::Counter::value).sum(),
            failures: view.stats.failures.iter().map(proxy::stats::Counter::value).sum(),
            ejections: view.stats.ejections.value(),
            fails: peer.fails,
            state: match server.state {
                picture::State::Up => State::Up,
                picture::State::Ejected { until } => State::Ejected(until.saturating_sub(now_secs)),
                picture::State::Down | picture::State::Draining | picture::State::Full => State::Out,
            },
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, tier: Tier, fails: u32) -> Row {
        let (picks, failures, ejections, state) = (9, 1, 1, State::Up);
        let address = format!("127.0.0.1:{}", name.len());
        Row { name: name.into(), address, tier, weight: 1, picks, failures, ejections, fails, state }
    }

    fn picture(rows: &[Row]) -> Picture {
        Picture { rows: rows.to_vec(), serving: None }
    }

    /// The rows of two configurations are those of the same servers, wherever their lines stand.
    #[test]
    fn a_server_that_an_edit_took_away_did_not_come_back() {
        let (one, two, spare) =
            (row("one", Tier::Primary, 0), row("second", Tier::Primary, 1), row("spare", Tier::Backup, 0));
        let before = picture(&[one.clone(), two.clone(), spare.clone()]);
        assert_eq!(picture(&[one.clone(), spare.clone()]).events_since(&before), []);
        assert_eq!(picture(&[spare.clone(), two.clone(), one.clone()]).events_since(&before), []);
        let back = Row { fails: 0, ..two };
        let recovered = Event::Recovered { name: back.name.clone() };
        assert_eq!(picture(&[back.clone(), one]).events_since(&before), [recovered]);
        // The line of another server, under the old name.
        assert_eq!(picture(&[Row { address: "127.0.0.1:9".into(), ..back }]).events_since(&before), []);
    }

    #[test]
    fn who_serves_is_who_answered() {
        let all = picture(&[row("one", Tier::Primary, 0), row("spare", Tier::Backup, 0)]);
        let mut last = all.clone();
        let mut next = |name| {
            let picture = all.clone().answered_by(name, &last);
            let events = picture.events_since(&last);
            last = picture;
            events
        };
        assert_eq!(next(Some("one")), []);
        assert_eq!(next(Some("spare")), [Event::BackupSteppedIn]);
        assert_eq!(next(None), [], "a request that was lost");
        assert_eq!(next(Some("spare")), []);
        assert_eq!(next(Some("one")), [Event::PrimariesReturned]);
    }

    #[test]
    fn a_primary_may_be_picked_when_the_first_ejection_ends() {
        let with = |states: &[State]| {
            let primary = |state: &State| Row { state: *state, ..row("one", Tier::Primary, 0) };
            let rows: Vec<Row> = states.iter().map(primary).chain([row("spare", Tier::Backup, 0)]).collect();
            picture(&rows).primary_in()
        };
        assert_eq!(with(&[State::Ejected(3), State::Ejected(2), State::Out]), Some(2));
        assert_eq!(with(&[State::Ejected(3), State::Up]), Some(0));
        assert_eq!(with(&[State::Out]), None);
    }
}
