//! `POST /report/v1`: one report, checked against the identity of who sends it, to whoever aggregates them.
//!
//! A hundred data planes may have megabytes to tell at one moment: when a leader is new, they all tell everything. So room is
//! given in the order of arrival and for a whole report, whoever has none waits with its bytes on its own side, and one
//! report is parsed at a time, beside the tasks that serve the feed. What a fleet says costs the leader time, and memory for
//! a few reports.

use std::sync::Arc;

use config::Millis;
use feed::Violation;
use feed::limits;
use feed::report::{Absorbed, Report};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::answer::{Outgoing, Refusal};
use super::proof::Holder;
use super::route::{Proven, count_report};
use super::{Bounds, Server};
use crate::identity::Identity;
use crate::serve::counters::Happening;

/// Room is given out in pieces of so many bytes.
const UNIT: usize = 1024;

/// Reports of one pod that are read at once, and of one account without pods.
const AT_ONCE: (usize, usize) = (2, 1024);

/// Once it has room, a report may take this time, and more by its length: who trickles keeps others waiting.
const READING: Millis = Millis::from_secs(5);
const BYTES_A_MILLISECOND: usize = 1 << 10;

/// How far the clock of a data plane may be ahead of ours.
const AHEAD: Millis = Millis::from_secs(24 * 3600);

/// Where reports are read and parsed.
#[derive(Debug)]
pub(super) struct Admission {
    /// For data planes that see everything.
    ingress: Arc<Semaphore>,
    /// For the others, of which anybody may run one: an ingress does not wait for them.
    sidecars: Arc<Semaphore>,
    units: usize,
    /// Who has this parses.
    turn: Semaphore,
}

impl Admission {
    /// With room for so many bytes of either sort.
    pub fn new(bytes: u32) -> Self {
        let units = bytes as usize / UNIT;
        let room = || Arc::new(Semaphore::new(units));
        Self { ingress: room(), sidecars: room(), units, turn: Semaphore::new(1) }
    }

    /// Room for the body, when it has its turn. Who does not say how long it is takes as much as there may be.
    async fn room(&self, identity: &Identity, body: &Incoming) -> Result<OwnedSemaphorePermit, Refusal> {
        let declared = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        if declared.is_some_and(|bytes| bytes > limits::REPORT) {
            return Err(too_long());
        }
        let units = declared.map_or(self.units, |bytes| bytes.div_ceil(UNIT));
        let full = || Refusal::TooMany("bytes of reports");
        if units > self.units {
            return Err(full());
        }
        let room = if identity.grant.is_ingress() { &self.ingress } else { &self.sidecars };
        room.clone().acquire_many_owned(u32::try_from(units).map_err(|_| full())?).await.map_err(|_| full())
    }
}

/// Takes a report.
pub(super) async fn take(server: &Arc<Server>, proven: &Proven, body: Incoming) -> Result<Response<Outgoing>, Refusal> {
    let taken = read_and_absorb(server, proven, body).await;
    match taken {
        Ok(()) => {
            server.counters.count(Happening::ReportAccepted);
            let mut response = Response::new(Outgoing::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        Err(refusal) => {
            count_report(server, &refusal);
            Err(refusal)
        }
    }
}

async fn read_and_absorb(server: &Arc<Server>, proven: &Proven, body: Incoming) -> Result<(), Refusal> {
    leads(server)?;
    let identity = proven.identity.clone();
    let holder = Holder::of(&identity);
    let each = holder.bound(AT_ONCE.0, AT_ONCE.1);
    let all = Bounds::all_for(&identity.grant, server.bounds.subscribers);
    let _seat = server.reporters.take(holder, each, all).ok_or(Refusal::TooMany("reports of this identity"))?;
    let reading = async {
        let room = server.admission.room(&identity, &body).await?;
        let text = read(body, room.num_permits() * UNIT).await?;
        Ok((text, room))
    };
    let (text, room) = timeout(server.bounds.report, reading).await.map_err(|_| Refusal::TooSlow)??;
    let _turn = server.admission.turn.acquire().await;
    let server = server.clone();
    let absorbed = spawn_blocking(move || {
        let report = Report::from_json(&text, &identity.grant).map_err(Refusal::Report)?;
        drop((text, room));
        identity.speaks_for(&report.instance).map_err(Refusal::Forbidden)?;
        began_by(report.epoch, server.clock.wall())?;
        // It may have changed while the report was read.
        leads(&server)?;
        match server.reports.absorb(report) {
            Absorbed::NoRoom => Err(Refusal::NoRoom),
            Absorbed::NewLife | Absorbed::News | Absorbed::Nothing => Ok(()),
        }
    });
    let unreadable = Violation::OutOfPlace { frame: "report", rule: "it must be readable" };
    absorbed.await.unwrap_or(Err(Refusal::Report(unreadable)))
}

fn leads(server: &Server) -> Result<(), Refusal> {
    let leadership = server.leadership.borrow();
    if leadership.leads(server.clock.now()) { Ok(()) } else { Err(Refusal::NotLeader(leadership.leader.clone())) }
}

/// A later life silences the former ones, so one of the far future would silence the instance for good.
fn began_by(epoch: u64, now: Timestamp) -> Result<(), Refusal> {
    let now = u64::try_from(now.as_millisecond()).unwrap_or(0);
    if epoch <= now.saturating_add(AHEAD.0) {
        return Ok(());
    }
    let rule =
        "epoch, when the data plane began, is more than a day ahead of the controller's clock; compare the clocks";
    Err(Refusal::Report(Violation::OutOfPlace { frame: "report", rule }))
}

/// The whole body, of at most so many bytes.
async fn read(mut body: Incoming, most: usize) -> Result<Vec<u8>, Refusal> {
    let declared = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    let patience = Millis(READING.0 + (most / BYTES_A_MILLISECOND) as u64);
    let mut text = Vec::with_capacity(declared.min(most));
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::Incomplete)?;
            let Ok(data) = frame.into_data() else { continue };
            if text.len() + data.len() > most {
                return Err(too_long());
            }
            text.extend_from_slice(&data);
        }
        Ok(())
    };
    timeout(patience.as_duration(), reading).await.map_err(|_| Refusal::TooSlow)??;
    Ok(text)
}

fn too_long() -> Refusal {
    Refusal::Report(Violation::LineTooLong { max: limits::REPORT })
}
