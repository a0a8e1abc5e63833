//! What the admin interface and the metrics look at.

use std::sync::Arc;

use crate::clock::Moment;
use crate::proxy::Proxy;
use crate::snapshot::Snapshot;
use crate::stats::ProcessStats;
use crate::worker::WorkerReport;

/// A data plane, seen from outside of its workers.
pub trait Observed: Send + Sync + 'static {
    /// The present, by the clock that every other moment was read from.
    fn now(&self) -> Moment;

    /// What is in force; `None` before the first configuration.
    fn snapshot(&self) -> Option<Arc<Snapshot>>;

    /// The counters of the process.
    fn stats(&self) -> &ProcessStats;

    /// Access log lines that were lost.
    fn lost_log_lines(&self) -> u64;

    /// Whether it has been told to leave.
    fn is_leaving(&self) -> bool;

    /// Asks every worker on its own thread; `None` for one that does not answer in time.
    fn ping_workers(&self) -> impl Future<Output = Vec<Option<WorkerReport>>> + Send;
}

impl Observed for Proxy {
    fn now(&self) -> Moment {
        self.clock().now()
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot()
    }

    fn stats(&self) -> &ProcessStats {
        self.stats()
    }

    fn lost_log_lines(&self) -> u64 {
        self.access_log().lost_lines()
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving()
    }

    async fn ping_workers(&self) -> Vec<Option<WorkerReport>> {
        self.ping_workers().await
    }
}
