//! What operators scrape of the watching and publishing part, as `forebay_controller_*`. Labels come from closed sets.

use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::identity::Denied;
use crate::serve::Server;

/// The metrics; cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    watch_events: IntCounterVec,
    watch_errors: IntCounterVec,
    objects: IntGaugeVec,
    unreadable: IntGauge,
    synchronised: IntGauge,
    reconciles: IntCounterVec,
    reconcile_seconds: Histogram,
    publish_delay: Histogram,
    publications: IntCounter,
    published: IntCounter,
    resources: IntGauge,
}

impl Metrics {
    /// Registers them; fails only if they are registered already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let name = |name: &str, help: &str| Opts::new(format!("forebay_controller_{name}"), help);
        let reconcile = times(name("reconcile_seconds", "Time to translate and publish"));
        let delay =
            times(name("publish_delay_seconds", "Time from the first change of a batch noticed to what is published"));
        let metrics = Self {
            watch_events: IntCounterVec::new(name("watch_events_total", "Events of watches"), &["kind"])?,
            watch_errors: IntCounterVec::new(
                name("watch_errors_total", "Errors of watches, each followed by another try"),
                &["kind", "reason"],
            )?,
            objects: IntGaugeVec::new(name("objects", "Objects known"), &["kind"])?,
            unreadable: IntGauge::with_opts(name("unreadable_objects", "Objects whose newest version cannot be read"))?,
            synchronised: IntGauge::with_opts(name("synchronised", "1 once every kind is known and published"))?,
            reconciles: IntCounterVec::new(
                name("reconcile_total", "Translations, by whether anything came out different"),
                &["result"],
            )?,
            reconcile_seconds: Histogram::with_opts(reconcile)?,
            publish_delay: Histogram::with_opts(delay)?,
            publications: IntCounter::with_opts(name(
                "publications_total",
                "Times data planes were told of something",
            ))?,
            published: IntCounter::with_opts(name("published_resources_total", "Resources put or deleted"))?,
            resources: IntGauge::with_opts(name("resources", "Resources in force"))?,
        };
        registry.register(Box::new(metrics.watch_events.clone()))?;
        registry.register(Box::new(metrics.watch_errors.clone()))?;
        registry.register(Box::new(metrics.objects.clone()))?;
        registry.register(Box::new(metrics.unreadable.clone()))?;
        registry.register(Box::new(metrics.synchronised.clone()))?;
        registry.register(Box::new(metrics.reconciles.clone()))?;
        registry.register(Box::new(metrics.reconcile_seconds.clone()))?;
        registry.register(Box::new(metrics.publish_delay.clone()))?;
        registry.register(Box::new(metrics.publications.clone()))?;
        registry.register(Box::new(metrics.published.clone()))?;
        registry.register(Box::new(metrics.resources.clone()))?;
        Ok(metrics)
    }

    /// A watch saw something.
    pub fn event(&self, kind: &'static str) {
        self.watch_events.with_label_values(&[kind]).inc();
    }

    /// A watch failed.
    pub fn watch_error(&self, kind: &'static str, reason: &'static str) {
        self.watch_errors.with_label_values(&[kind, reason]).inc();
    }

    /// What is known after a translation.
    pub fn known(&self, objects: &translate::Objects, unreadable: usize) {
        for (kind, count) in [
            ("UpstreamGroup", objects.upstream_groups.len()),
            ("Ingress", objects.ingresses.len()),
            ("IngressClass", objects.ingress_classes.len()),
            ("Secret", objects.secrets.len()),
            ("ConfigMap", objects.config_maps.len()),
            ("Service", objects.services.len()),
            ("EndpointSlice", objects.endpoint_slices.len()),
        ] {
            self.objects.with_label_values(&[kind]).set(signed(count));
        }
        self.unreadable.set(signed(unreadable));
    }

    /// What was noticed so many seconds ago is published.
    pub fn published(&self, seconds: f64) {
        self.publish_delay.observe(seconds);
    }

    /// A translation took `seconds` and `changed` resources came out different, of which there are `resources` now.
    pub fn reconciled(&self, seconds: f64, changed: usize, resources: usize) {
        self.synchronised.set(1);
        self.reconcile_seconds.observe(seconds);
        self.reconciles.with_label_values(&[if changed > 0 { "changed" } else { "unchanged" }]).inc();
        self.publications.inc_by(u64::from(changed > 0));
        self.published.inc_by(changed as u64);
        self.resources.set(signed(resources));
    }
}

/// From what is published to what each subscriber's connection was handed.
pub fn delivery() -> Histogram {
    let about = "Time from what is published to what the connection of each subscriber was handed";
    let options = times(Opts::new("forebay_controller_feed_delivery_seconds", about));
    Histogram::with_opts(options).expect("a name and buckets that are right")
}

fn times(about: Opts) -> HistogramOpts {
    let bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5];
    HistogramOpts::from(about).buckets(bounds.into())
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What the feed's server counts, as of now.
pub fn of_feed(server: &Server) -> prometheus::Result<Vec<MetricFamily>> {
    let registry = Registry::new();
    let counts = server.counters().counts();
    for (name, help, value) in [
        ("connections_total", "Connections accepted on the feed's listener", counts.connections),
        ("connections_refused_total", "Connections beyond a bound", counts.connections_refused),
        ("connections_cut_total", "Connections cut: nobody read, or proved who it is", counts.connections_cut),
        ("handshakes_failed_total", "TLS handshakes that failed", counts.handshakes_failed),
        ("streams_total", "Subscriptions begun", counts.streams),
        ("lines_total", "Lines sent to subscribers", counts.lines),
        ("bytes_total", "Bytes sent to subscribers", counts.bytes),
        ("violations_total", "Subscribers that broke the protocol", counts.violations),
        ("resources_rejected_total", "Resources that a data plane refused", counts.resources_refused),
        ("reports_accepted_total", "Reports taken", counts.reports_accepted),
        ("reports_refused_total", "Reports not taken: not sound, too slow, or too many", counts.reports_refused),
        ("reports_misdirected_total", "Reports meant for the leader", counts.reports_misdirected),
    ] {
        let counter = IntCounter::new(format!("forebay_controller_feed_{name}"), help)?;
        counter.inc_by(value);
        registry.register(Box::new(counter))?;
    }
    let denied = Opts::new("forebay_controller_feed_denied_total", "Peers that were not let in");
    let denied = IntCounterVec::new(denied, &["reason"])?;
    // A series that begins with its first event has no rate when it is looked for.
    for reason in Denied::REASONS {
        denied.with_label_values(&[reason]);
    }
    for (reason, value) in &counts.denied {
        denied.with_label_values(&[reason]).inc_by(*value);
    }
    registry.register(Box::new(denied))?;
    registry.register(Box::new(server.delivery().clone()))?;
    let subscribers = IntGauge::new("forebay_controller_feed_subscribers", "Streams of data planes at this replica")?;
    subscribers.set(signed(server.roster().len()));
    registry.register(Box::new(subscribers))?;
    Ok(registry.gather())
}
