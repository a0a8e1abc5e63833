//! A data plane that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use config::{Config, Routes};

use crate::clock::Moment;
use crate::observed::Observed;
use crate::route::RouteTable;
use crate::snapshot::{GroupView, Snapshot};
use crate::stats::ProcessStats;
use crate::testing;
use crate::worker::WorkerReport;

/// A source whose every answer is set by the test.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    pub(crate) snapshot: ArcSwapOption<Snapshot>,
    pub(crate) stats: ProcessStats,
    pub(crate) leaving: AtomicBool,
    pub(crate) stuck: AtomicBool,
}

impl Fixed {
    pub(crate) fn new(groups: impl IntoIterator<Item = Arc<GroupView>>) -> Arc<Self> {
        let fixed = Arc::new(Self::default());
        fixed.apply(groups);
        fixed
    }

    /// Routes instead of none, beside the groups of the last [`Self::apply`].
    pub(crate) fn route(&self, routes: &Routes) {
        if let Some(mut snapshot) = self.snapshot.swap(None).and_then(Arc::into_inner) {
            snapshot.routes = RouteTable::new(routes);
            self.snapshot.store(Some(Arc::new(snapshot)));
        }
    }

    pub(crate) fn apply(&self, groups: impl IntoIterator<Item = Arc<GroupView>>) {
        self.snapshot.store(Some(Arc::new(Snapshot {
            certificates: crate::tls::Certificates::sample(1_800_000_000),
            revision: Config::default().revision(),
            source: "examples/quickstart".into(),
            applied: Moment::from(testing::START),
            routes: RouteTable::default(),
            groups: groups.into_iter().map(|group| (group.id.clone(), group)).collect(),
        })));
    }
}

impl Observed for Fixed {
    fn now(&self) -> Moment {
        Moment::from(testing::START + 5_000_000)
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    fn stats(&self) -> &ProcessStats {
        &self.stats
    }

    fn lost_log_lines(&self) -> u64 {
        0
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    async fn ping_workers(&self) -> Vec<Option<WorkerReport>> {
        let report = WorkerReport { idle_connections: 0, tasks: 0 };
        vec![Some(report), (!self.stuck.load(Relaxed)).then_some(report)]
    }
}
