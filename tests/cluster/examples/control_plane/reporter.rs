//! The reports that a busy data plane would send.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use config::{Resource, Revision, Tier};
use feed::Client;
use feed::report::{Counters, Delivered, GroupReport, Groups, Part, Report, ServerReport, ServerState};
use http_body_util::{BodyExt as _, Full};

use crate::plane::{Common, Sender, connect, post};

/// What became of reports.
#[derive(Debug, Default)]
pub struct Reports {
    pub taken: AtomicU64,
    pub refused: AtomicU64,
    pub bytes: AtomicU64,
}

/// What makes reports and knows which were delivered. A task of its own, as in a real data plane: lines do not wait for it.
pub struct Reporter {
    /// Dialled when there is something to report.
    pub connection: Option<Sender>,
    pub delivered: Delivered,
    pub seq: u64,
}

impl Reporter {
    /// Delivers one; if that fails, says what it was of.
    pub async fn deliver(
        mut self,
        part: Part,
        now: Arc<Groups>,
        head: Report,
        common: &Common,
        token: &str,
    ) -> (Self, Option<Part>) {
        self.seq += 1;
        let (extent, groups) = self.delivered.report(part, &now);
        let report = Report { seq: self.seq, extent, groups, ..head };
        let json = report.to_json();
        let counts = &common.reports;
        counts.bytes.fetch_add(json.len() as u64, Ordering::Relaxed);
        let body = Full::new(Bytes::from(json)).boxed();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(common).await),
        };
        let answer = post(connection, common, token, "/report/v1", "application/json", body).await;
        if answer.status() == 204 {
            counts.taken.fetch_add(1, Ordering::Relaxed);
            let now = if part == Part::News { Groups::new() } else { Groups::clone(&now) };
            self.delivered.note(part, now, report.groups);
            return (self, None);
        }
        counts.refused.fetch_add(1, Ordering::Relaxed);
        (self, Some(part))
    }
}

fn told(group: &config::Group, version: Option<Revision>, seconds: u64) -> GroupReport {
    let server = |server: &config::Server| ServerReport {
        name: server.name.clone(),
        address: server.address.clone(),
        state: ServerState::Up,
        effective_weight: server.weight,
        active: seconds % 3,
        counters: Counters {
            requests: 3 * seconds,
            bytes_received: 3000 * seconds,
            bytes_sent: 900 * seconds,
            response_micros: 4000 * seconds,
            responses: 3 * seconds,
            ..Counters::default()
        },
        last_failure: None,
    };
    GroupReport { version, active_tier: Tier::Primary, servers: group.servers.iter().map(server).collect() }
}

/// The last picture, of the configuration and the seconds it is of.
pub type Shared = Mutex<Option<(Revision, u64, Arc<Groups>)>>;

/// Every group as a data plane would report it. All of them serve alike, and the cores they share are not to be spent on a
/// hundred equal pictures.
pub fn picture(machine: &Client, common: &Common) -> Arc<Groups> {
    let since = common.began.elapsed().as_secs() / 5 * 5;
    let revision = machine.revision();
    let mut last = common.picture.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, at, groups)) = &*last
        && (*of, *at) == (revision, since)
    {
        return groups.clone();
    }
    let groups = Arc::new(groups(machine, common, since));
    *last = Some((revision, since, groups.clone()));
    groups
}

fn groups(machine: &Client, common: &Common, since: u64) -> Groups {
    let groups = machine.resources().filter_map(|(_, resource, version)| match resource {
        Resource::Group(id, group) => Some((id, group, version)),
        Resource::Certificate(..) | Resource::Route(_) => None,
    });
    groups
        .enumerate()
        .map(|(n, (id, group, version))| {
            let is_busy = n % common.one_busy_of == common.one_busy_of - 1;
            (id.clone(), told(group, version, if is_busy { since } else { 0 }).into())
        })
        .collect()
}
