//! `POST /report/v1`: one report, checked against the identity of who sends it, to whoever aggregates them.

use std::sync::Arc;

use feed::limits;
use feed::report::Report;
use feed::{Grant, Violation};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Server;
use super::answer::{Outgoing, Refusal};
use super::proof::Holder;
use super::route::{Proven, count_report};
use crate::serve::counters::Happening;

/// The room of reports is given out in pieces of so many bytes.
pub(super) const UNIT: usize = 1024;

/// A longer report is parsed beside the tasks of the streams, which it would delay.
const LONG: usize = 64 << 10;

/// Reports of one pod that are read at once, and of one account without pods.
const AT_ONCE: (usize, usize) = (2, 1024);

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
    let holder = Holder::of(&proven.identity);
    let each = holder.bound(AT_ONCE.0, AT_ONCE.1);
    let _seat = server.reporters.take(holder, each).ok_or(Refusal::TooMany("reports of this identity"))?;
    let reading = timeout(server.bounds.report, read(&server.report_room, body));
    let (text, room) = reading.await.map_err(|_| Refusal::TooSlow)??;
    let report = parse(text, proven.identity.grant.clone()).await.map_err(Refusal::Report)?;
    drop(room);
    proven.identity.speaks_for(&report.instance).map_err(Refusal::Forbidden)?;
    // It may have changed while the report was read.
    leads(server)?;
    server.reports.absorb(report);
    Ok(())
}

fn leads(server: &Server) -> Result<(), Refusal> {
    let leadership = server.leadership.borrow();
    if leadership.leads(server.clock.now()) { Ok(()) } else { Err(Refusal::NotLeader(leadership.leader.clone())) }
}

/// The whole body, and the room it takes.
async fn read(room: &Arc<Semaphore>, mut body: Incoming) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Refusal> {
    let too_long = || Refusal::Report(Violation::LineTooLong { max: limits::REPORT });
    if body.size_hint().lower() > limits::REPORT as u64 {
        return Err(too_long());
    }
    let (mut text, mut held): (Vec<u8>, Option<OwnedSemaphorePermit>) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::Incomplete)?;
        let Ok(data) = frame.into_data() else { continue };
        let length = text.len() + data.len();
        if length > limits::REPORT {
            return Err(too_long());
        }
        let missing = length.div_ceil(UNIT) - text.len().div_ceil(UNIT);
        let missing = u32::try_from(missing).map_err(|_| too_long())?;
        let more = room.clone().try_acquire_many_owned(missing).map_err(|_| Refusal::TooMany("bytes of reports"))?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
        text.extend_from_slice(&data);
    }
    Ok((text, held))
}

async fn parse(text: Vec<u8>, grant: Grant) -> Result<Report, Violation> {
    if text.len() <= LONG {
        return Report::from_json(&text, &grant);
    }
    let parsed = spawn_blocking(move || Report::from_json(&text, &grant)).await;
    parsed.unwrap_or(Err(Violation::OutOfPlace { frame: "report", rule: "it must be readable" }))
}
