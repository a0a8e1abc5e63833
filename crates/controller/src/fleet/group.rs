//! One group as all instances report it.

use std::cmp::max_by_key;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::FailureReason;
use config::{Address, Millis, Revision, Tier};
use feed::report::{GroupReport, Rejected, ServerReport, ServerState};

/// A server within its group: the name of its line and its address.
pub type ServerKey = (Arc<str>, Address);

/// What the fleet says of a group.
#[derive(Debug)]
pub struct GroupView<'f> {
    /// The data planes concerned, by name.
    pub standings: Vec<Standing<'f>>,
    /// Whether each of them sent a full report, so that sums are sums of all.
    pub complete: bool,
    pub(super) group: Option<&'f Group>,
}

/// How one data plane stands with a group that concerns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'f> {
    /// Its name.
    pub instance: &'f Arc<str>,
    /// The zone whose part of the group it uses.
    pub zone: Option<&'f str>,
    /// The version in force there; `None` if it reported none of this group.
    pub version: Option<Revision>,
    /// The tier that serves there; the primaries, too, where nobody can.
    pub tier: Option<Tier>,
    /// The version it refused, and why.
    pub rejected: Option<&'f Rejected>,
}

/// One server over all data planes that report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerSum {
    /// Those it is up with: picked, recovering, or as busy as it may be.
    pub up: u32,
    /// Those it is as busy with as `maxConns` allows.
    pub busy: u32,
    /// Those that ejected it.
    pub ejected: u32,
    /// Requests running.
    pub active: u64,
    /// Times picked in the data planes' present lives.
    pub requests: u64,
    /// Failed attempts charged to it.
    pub failures: u64,
    /// Times it reached `maxFails`.
    pub ejections: u64,
    /// The latest failure anywhere, and when, milliseconds since 1970, to the second.
    pub last_failure: Option<(FailureReason, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    /// By instance.
    members: Vec<Member>,
    servers: BTreeMap<ServerKey, Vec<Entry>>,
}

/// What became of a report.
#[derive(Default)]
pub(super) struct Told {
    pub news: bool,
    pub changed: bool,
    /// There was no room for all of it.
    pub left_out: bool,
}

/// The group at one instance.
#[derive(Debug)]
struct Member {
    id: u32,
    /// 0 until this life said something of the group.
    seq: u64,
    tier: Tier,
    version: Option<Revision>,
    /// Requests seen to happen; what happened before the instance was heard of is not among them.
    counted: u64,
    /// Of those, what the present rate accounts for already.
    rated: u64,
    rate: f64,
}

/// A server at one instance. There may be millions, so nothing is wider than what a status shows of it.
#[derive(Debug)]
struct Entry {
    requests: u64,
    /// The number of the report: one a second for a hundred years.
    seq: u32,
    failures: u32,
    /// Seconds since 1970.
    failed_at: u32,
    id: u32,
    ejections: u32,
    active: u16,
    state: ServerState,
    reason: Option<FailureReason>,
}

/// What [`super::ENTRIES`] says of it.
const _: () = assert!(size_of::<Entry>() == 32, "an entry of a server");

impl GroupView<'_> {
    /// The sums of a server; none if no data plane reports it.
    pub fn server(&self, key: &ServerKey) -> ServerSum {
        let entries = self.group.and_then(|group| group.servers.get(key));
        entries.into_iter().flatten().fold(ServerSum::default(), ServerSum::and)
    }

    /// The servers that any data plane reports.
    pub fn servers(&self) -> impl Iterator<Item = (&ServerKey, ServerSum)> {
        let servers = self.group.into_iter().flat_map(|group| &group.servers);
        servers.map(|(key, entries)| (key, entries.iter().fold(ServerSum::default(), ServerSum::and)))
    }

    /// Requests per second, over the last interval of each data plane.
    pub fn rate(&self) -> f64 {
        self.group.into_iter().flat_map(|group| &group.members).map(|member| member.rate).sum()
    }
}

impl ServerSum {
    fn and(mut self, entry: &Entry) -> Self {
        match entry.state {
            ServerState::Up | ServerState::Recovering => self.up += 1,
            ServerState::Busy => {
                self.up += 1;
                self.busy += 1;
            }
            ServerState::Ejected => self.ejected += 1,
            ServerState::Draining | ServerState::Down | ServerState::Unknown => {}
        }
        self.active = self.active.saturating_add(entry.active.into());
        self.requests = self.requests.saturating_add(entry.requests);
        self.failures = self.failures.saturating_add(entry.failures.into());
        self.ejections = self.ejections.saturating_add(entry.ejections.into());
        let failure = entry.reason.map(|reason| (reason, u64::from(entry.failed_at) * 1000));
        // Of two at one moment always the same, in whatever order they are added.
        self.last_failure = max_by_key(self.last_failure, failure, |failure| failure.map(|(reason, at)| (at, reason)));
        self
    }
}

impl Group {
    /// Takes what instance `id` tells into account. `room` is how many entries may be added; `from_zero` whether a counter
    /// not seen before began at zero since the instance is followed.
    pub fn absorb(&mut self, id: u32, from_zero: bool, seq: u64, told: &GroupReport, room: &mut usize) -> Told {
        let mut result = Told::default();
        let at = match self.members.binary_search_by_key(&id, |member| member.id) {
            Ok(at) => at,
            Err(_) if *room == 0 => return Told { left_out: true, ..result },
            Err(at) => {
                self.members.insert(at, Member::new(id));
                *room -= 1;
                at
            }
        };
        let member = &mut self.members[at];
        if member.seq < seq {
            result.changed = (member.tier, member.version) != (told.active_tier, told.version) || member.seq == 0;
            (member.seq, member.tier, member.version) = (seq, told.active_tier, told.version);
            result.news = true;
        }
        for server in &told.servers {
            let key = (server.name.clone(), server.address.clone());
            if *room == 0 && !self.servers.contains_key(&key) {
                result.left_out = true;
                continue;
            }
            let entries = self.servers.entry(key).or_default();
            match entries.binary_search_by_key(&id, |entry| entry.id) {
                Ok(at) if u64::from(entries[at].seq) < seq => {
                    let entry = Entry::new(id, seq, server);
                    member.count(entry.requests.saturating_sub(entries[at].requests));
                    result.changed |= entry.state != entries[at].state;
                    result.news = true;
                    entries[at] = entry;
                }
                Err(at) if *room > 0 => {
                    let entry = Entry::new(id, seq, server);
                    member.count(if from_zero { entry.requests } else { 0 });
                    if entries.len() == entries.capacity() {
                        // Growth by doubling would waste half of the one large thing here.
                        entries.reserve_exact(entries.len() / 8 + 1);
                    }
                    entries.insert(at, entry);
                    *room -= 1;
                    (result.news, result.changed) = (true, true);
                }
                Ok(_) => {}
                Err(_) => result.left_out = true,
            }
        }
        result
    }

    /// Forgets what instance `id` said before the full report of number `full`, but for what that has `told`: its counters are
    /// compared with those that follow. Says how many entries were forgotten.
    pub fn forget_unnamed(&mut self, id: u32, full: u64, told: Option<&GroupReport>) -> usize {
        let named: BTreeSet<_> = told.iter().flat_map(|told| &told.servers).map(ServerReport::key).collect();
        let mut forgotten = 0;
        self.servers.retain(|(name, address), entries| {
            if let Ok(at) = entries.binary_search_by_key(&id, |entry| entry.id)
                && u64::from(entries[at].seq) < full
                && !named.contains(&(&**name, address))
            {
                entries.remove(at);
                forgotten += 1;
            }
            !entries.is_empty()
        });
        if told.is_none()
            && let Ok(at) = self.members.binary_search_by_key(&id, |member| member.id)
            && self.members[at].seq < full
        {
            self.members.remove(at);
            forgotten += 1;
        }
        forgotten
    }

    /// The instance began anew: its counters are at zero, what was counted stays counted.
    /// Says how many entries were forgotten.
    pub fn begin_life(&mut self, id: u32) -> usize {
        let forgotten = self.remove_servers(id);
        if let Ok(at) = self.members.binary_search_by_key(&id, |member| member.id) {
            (self.members[at].seq, self.members[at].version) = (0, None);
        }
        forgotten
    }

    pub fn remove(&mut self, id: u32) {
        self.remove_servers(id);
        self.members.retain(|member| member.id != id);
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.servers.is_empty()
    }

    /// The tier that serves and the version in force.
    pub fn standing(&self, id: u32) -> Option<(Tier, Option<Revision>)> {
        let at = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        let member = &self.members[at];
        (member.seq > 0).then_some((member.tier, member.version))
    }

    /// Ends an interval of an instance.
    pub fn take_rate(&mut self, id: u32, elapsed: Millis) {
        if let Ok(at) = self.members.binary_search_by_key(&id, |member| member.id) {
            let member = &mut self.members[at];
            #[allow(clippy::cast_precision_loss, reason = "two digits of it are shown")]
            let requests = (member.counted - member.rated) as f64;
            member.rate = requests / elapsed.as_duration().as_secs_f64();
            member.rated = member.counted;
        }
    }

    fn remove_servers(&mut self, id: u32) -> usize {
        let mut removed = 0;
        self.servers.retain(|_, entries| {
            if let Ok(at) = entries.binary_search_by_key(&id, |entry| entry.id) {
                entries.remove(at);
                removed += 1;
            }
            !entries.is_empty()
        });
        removed
    }
}

impl Member {
    fn new(id: u32) -> Self {
        Self { id, seq: 0, tier: Tier::Primary, version: None, counted: 0, rated: 0, rate: 0.0 }
    }

    fn count(&mut self, requests: u64) {
        self.counted = self.counted.saturating_add(requests);
    }
}

impl Entry {
    fn new(id: u32, seq: u64, server: &ServerReport) -> Self {
        let last = server.last_failure.as_ref();
        let narrow = |wide: u64| u32::try_from(wide).unwrap_or(u32::MAX);
        Self {
            requests: server.counters.requests,
            seq: narrow(seq),
            failures: narrow(server.counters.failed()),
            failed_at: last.map_or(0, |failure| narrow(failure.at / 1000)),
            id,
            ejections: narrow(server.counters.ejections),
            active: u16::try_from(server.active).unwrap_or(u16::MAX),
            state: server.state,
            reason: last.map(|failure| reason_of(&failure.reason)),
        }
    }
}

/// The data planes' names of failures (`docs/metrics.md`), in the words of the API.
fn reason_of(name: &str) -> FailureReason {
    match name {
        "connect_timeout" | "send_timeout" | "read_timeout" => FailureReason::Timeout,
        "invalid_header" | "header_too_large" => FailureReason::InvalidHeader,
        name if name == "status" || name.starts_with("http_") => FailureReason::Status,
        // connect, reset, closed; a newer data plane's is an error of some sort too.
        _ => FailureReason::Error,
    }
}
