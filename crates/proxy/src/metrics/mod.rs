//! What Prometheus scrapes: text format 0.0.4, computed from the live objects at each scrape.
//!
//! Nothing is registered per group or server, so the series of a server leave with it. Their number is bounded: per group at
//! most [`MAX_SERVERS`] servers are shown one by one, how the others stand together as `other`. Labels are what was configured, never
//! what a client sent.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

use crate::config_status::ConfigStatus;
use crate::observed::Observed;

mod families;
mod group;
mod process;
mod sheet;

pub use families::{ALL, Family, Kind};
use sheet::Sheet;

/// Servers of a group that have series of their own, in configuration order.
pub const MAX_SERVERS: usize = 256;

/// Everything that can be scraped.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
}

/// Collects from the live objects.
struct Live<S> {
    source: Arc<S>,
    status: Arc<ConfigStatus>,
    descriptions: Vec<Desc>,
}

impl Metrics {
    /// The metrics of a data plane, beside what else the process has in `registry`.
    ///
    /// # Errors
    /// Two metrics of one name. Never of these alone, as long as [`ALL`] names every family once, which a test proves.
    pub fn new<S: Observed>(
        registry: Registry,
        source: Arc<S>,
        status: Arc<ConfigStatus>,
    ) -> Result<Self, prometheus::Error> {
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let descriptions = ALL.iter().map(Family::description).collect::<Result<_, _>>()?;
        registry.register(Box::new(Live { source, status, descriptions }))?;
        Ok(Self { registry })
    }

    /// The text of a scrape.
    ///
    /// # Errors
    /// Never with the families of this crate: the encoder refuses only a family without series, and none is collected.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl<S: Observed> Collector for Live<S> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut sheet = Sheet::default();
        let (snapshot, now) = (self.source.snapshot(), self.source.now());
        process::collect(&mut sheet, &*self.source);
        process::collect_config(&mut sheet, snapshot.as_deref(), &self.status, now);
        if let Some(feed) = self.status.feed() {
            process::collect_feed(&mut sheet, feed);
        }
        if let Some(snapshot) = &snapshot {
            for group in snapshot.groups.values() {
                group::collect(&mut sheet, group, now);
            }
        }
        sheet.into_families()
    }
}

#[cfg(test)]
mod tests;
