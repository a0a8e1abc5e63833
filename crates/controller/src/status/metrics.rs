//! What an operator sees of the writing itself.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::writer::Outcome;
use crate::events::Posted;

/// The series; a clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct StatusMetrics {
    writes: IntCounterVec,
    skipped: IntCounter,
    events: IntCounterVec,
    leader: IntGauge,
    depth: IntGauge,
    data_planes: IntGauge,
}

impl StatusMetrics {
    /// Makes the series and adds them to `registry`.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let by_result = |name, help| IntCounterVec::new(Opts::new(name, help), &["result"]);
        let metrics = Self {
            writes: by_result("forebay_controller_status_writes_total", "Writes of a status, by their result.")?,
            skipped: IntCounter::new(
                "forebay_controller_status_writes_skipped_total",
                "Objects looked at whose status was as it should be.",
            )?,
            events: by_result("forebay_controller_events_total", "Events, by what became of them.")?,
            leader: IntGauge::new("forebay_controller_leader", "1 while this replica writes status.")?,
            depth: IntGauge::new("forebay_controller_queue_depth", "Objects whose status waits to be written.")?,
            data_planes: IntGauge::new("forebay_controller_data_planes", "Data planes that report to this replica.")?,
        };
        registry.register(Box::new(metrics.writes.clone()))?;
        registry.register(Box::new(metrics.skipped.clone()))?;
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.leader.clone()))?;
        registry.register(Box::new(metrics.depth.clone()))?;
        registry.register(Box::new(metrics.data_planes.clone()))?;
        for outcome in Outcome::NAMES {
            metrics.writes.with_label_values(&[outcome]);
        }
        for posted in Posted::ALL {
            metrics.events.with_label_values(&[posted.name()]);
        }
        Ok(metrics)
    }

    pub(super) fn wrote(&self, outcome: &Outcome) {
        self.writes.with_label_values(&[outcome.name()]).inc();
    }

    pub(super) fn skipped(&self) {
        self.skipped.inc();
    }

    pub(super) fn event(&self, posted: Posted) {
        self.events.with_label_values(&[posted.name()]).inc();
    }

    pub(super) fn leader(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    pub(super) fn sizes(&self, depth: usize, data_planes: usize) {
        self.depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
        self.data_planes.set(i64::try_from(data_planes).unwrap_or(i64::MAX));
    }
}
