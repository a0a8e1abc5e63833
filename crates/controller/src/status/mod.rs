//! What data planes report, and what translation found, becomes the status of objects: written by the leader alone, on a
//! budget, and only where it differs from what the cluster has.
//!
//! [`render`] says what a status should be and [`budget`] when it may be written, both pure; [`desk`] puts the two together;
//! [`writer`] speaks to the API server. The desk looks every second at what changed, and a few times per interval at all.

pub mod budget;
mod conditions;
mod desk;
mod load_balancer;
mod metrics;
pub mod render;
mod round;
#[cfg(test)]
mod tests;
mod users;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::events::{Journal, Posted, Poster};
use crate::facts::Facts;
use crate::fleet::Reports;
use crate::lease::Leadership;
use budget::Limits;
use desk::Desk;
use writer::Writer;

pub use load_balancer::addresses;
pub use metrics::StatusMetrics;
pub use writer::FIELD_MANAGER;

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);

/// What [`run`] is told by its operator.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often what may be written.
    pub limits: Limits,
    /// Written into Ingresses in place of what the publishing Service says.
    pub publish_addresses: Vec<String>,
    /// Who reports events: the replica's identity.
    pub identity: Arc<str>,
}

/// What [`run`] reads.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What translation found.
    pub facts: Arc<Facts>,
    /// What data planes report.
    pub reports: Reports,
    /// Whether this replica leads.
    pub leadership: watch::Receiver<Leadership>,
}

/// Writes status and events while this replica leads, until `stop`. The client must not try again by itself
/// ([`crate::connect::client`]): it would spend what the budget does not know of.
pub async fn run(
    client: Client,
    sources: Sources,
    clock: Clock,
    options: &Options,
    metrics: StatusMetrics,
    stop: CancellationToken,
) {
    let leadership = sources.leadership.clone();
    let mut writer = Writer::new(client.clone());
    let mut poster = Poster::new(client, &options.identity);
    let mut journal = Journal::new(clock.now());
    let mut desk = Desk::new(sources, options, metrics.clone(), clock.now());
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let leads = || leadership.borrow().leads(clock.now());
        metrics.leader(leads());
        if !leads() {
            desk.stand_down();
            journal.clear();
            continue;
        }
        desk.look_around(clock.now(), clock.wall(), &mut journal);
        while leads()
            && !stop.is_cancelled()
            && let Some(write) = desk.next(clock.now(), clock.wall())
        {
            let outcome = writer.write(&write).await;
            desk.wrote(write, outcome, clock.now(), &mut journal);
        }
        while leads()
            && !stop.is_cancelled()
            && let Some(event) = journal.next(clock.now())
        {
            let posted = poster.post(&event, clock.wall()).await;
            metrics.event(posted);
            match posted {
                Posted::Failed => journal.failed(event, clock.now()),
                Posted::Created | Posted::Counted | Posted::Known => journal.told(),
            }
        }
    }
}
