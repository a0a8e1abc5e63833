//! A scrape in the making: series sorted into their families.

use std::collections::BTreeMap;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, Summary};

use super::families::Family;
use crate::stats;

/// Labels of a series: name and value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// The series collected so far.
#[derive(Debug, Default)]
pub(super) struct Sheet(BTreeMap<&'static str, (&'static Family, Vec<Metric>)>);

impl Sheet {
    pub(super) fn counter(&mut self, family: &'static Family, labels: &[&[Label<'_>]], value: u64) {
        let mut counter = Counter::default();
        counter.set_value(float(value));
        self.push(family, labels, |metric| metric.set_counter(counter));
    }

    pub(super) fn gauge(&mut self, family: &'static Family, labels: &[&[Label<'_>]], value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        self.push(family, labels, |metric| metric.set_gauge(gauge));
    }

    /// A sum in microseconds and the number of its parts, as seconds.
    pub(super) fn summary(&mut self, family: &'static Family, labels: &[&[Label<'_>]], micros: u64, count: u64) {
        let mut summary = Summary::default();
        summary.set_sample_count(count);
        summary.set_sample_sum(seconds(micros));
        self.push(family, labels, |metric| metric.set_summary(summary));
    }

    pub(super) fn histogram(&mut self, family: &'static Family, labels: &[&[Label<'_>]], of: &stats::Histogram) {
        let cumulative = of.cumulative();
        let bucket = |(bound, count): (&u64, &u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(*bound));
            bucket.set_cumulative_count(*count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(stats::BOUNDS.iter().zip(&cumulative).map(bucket).collect());
        histogram.set_sample_count(cumulative[stats::BOUNDS.len()]);
        histogram.set_sample_sum(seconds(of.sum_micros()));
        self.push(family, labels, |metric| metric.set_histogram(histogram));
    }

    /// The families that have series, by name.
    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        let family = |(family, metrics): (&Family, Vec<Metric>)| {
            let mut filled = MetricFamily::default();
            filled.set_name(family.name.to_owned());
            filled.set_help(family.help.to_owned());
            filled.set_field_type(family.kind.as_proto());
            filled.set_metric(metrics);
            filled
        };
        self.0.into_values().map(family).collect()
    }

    fn push(&mut self, family: &'static Family, labels: &[&[Label<'_>]], set: impl FnOnce(&mut Metric)) {
        let labels = labels.iter().copied().flatten().filter(|(_, value)| !value.is_empty());
        let pairs = labels.map(|(name, value)| {
            debug_assert!(family.labels.contains(name), "{} has no label {name}", family.name);
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        set(&mut metric);
        self.0.entry(family.name).or_insert((family, Vec::new())).1.push(metric);
    }
}

/// A count as Prometheus holds numbers; exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "Prometheus has only floats; counts are exact up to 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// Microseconds as seconds.
pub(super) fn seconds(micros: u64) -> f64 {
    float(micros) / 1e6
}
