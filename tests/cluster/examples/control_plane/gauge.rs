//! What is measured with: the accounts of a process, the metrics of a controller, quantiles.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A line of the table.
pub fn say(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

/// What of a way was the controller's.
pub fn histograms(told: &Metrics) {
    for (what, name) in [
        ("... the controller's part: a change noticed to published", "publish_delay_seconds"),
        ("... the controller's part: published to handed to each connection", "feed_delivery_seconds"),
    ] {
        say(what, &told.histogram(&format!("forebay_controller_{name}")));
    }
}

/// A process.
#[derive(Clone, Copy, Debug)]
pub struct Watched(pub u32);

impl Watched {
    /// Resident memory now and at most since [`Self::forget_peak`], MiB.
    pub fn memory(self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap_or(0) >> 10
        };
        (field("VmRSS"), field("VmHWM"))
    }

    pub fn forget_peak(self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.0), "5");
    }

    /// Time on a CPU so far.
    pub fn cpu(self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks = rest.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
        Duration::from_millis(ticks * 10)
    }
}

/// Everybody's time on a CPU at one moment.
pub fn cpus(processes: &[(&'static str, Watched)]) -> BTreeMap<&'static str, Duration> {
    processes.iter().map(|(name, process)| (*name, process.cpu())).collect()
}

/// What was used between two such moments, as a share of one core.
pub fn shares(
    before: &BTreeMap<&'static str, Duration>,
    after: &BTreeMap<&'static str, Duration>,
    over: Duration,
) -> String {
    let share = |(name, after): (&&'static str, &Duration)| {
        let used = after.saturating_sub(before[name]).as_secs_f64();
        format!("{name} {used:.1} s ({:.0} %)", 100.0 * used / over.as_secs_f64())
    };
    after.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// Metrics of one moment, by name and labels; histograms have their buckets.
#[derive(Clone, Debug, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    pub fn parse(text: &str) -> Self {
        let value = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(value).collect())
    }

    /// The sum of all series of a name.
    pub fn total(&self, name: &str) -> f64 {
        let series = self.0.iter().filter(|(series, _)| series.split('{').next() == Some(name));
        series.map(|(_, value)| value).sum()
    }

    /// What was counted since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let before = |name: &String| before.0.get(name).copied().unwrap_or(0.0);
        Self(self.0.iter().map(|(name, value)| (name.clone(), value - before(name))).collect())
    }

    /// The bounds of the buckets in which the median and the 99th hundredth of a histogram are, milliseconds, and its mean.
    pub fn histogram(&self, name: &str) -> String {
        let count = self.total(&format!("{name}_count"));
        let prefix = format!("{name}_bucket{{le=\"");
        let buckets = self.0.iter().filter_map(|(series, value)| {
            let bound = series.strip_prefix(&prefix)?.strip_suffix("\"}")?.replace("+Inf", "inf");
            Some((bound.parse::<f64>().ok()?, *value))
        });
        let mut buckets: Vec<_> = buckets.collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let bound =
            |share: f64| buckets.iter().find(|(_, below)| *below >= share * count).map_or(0.0, |(bound, _)| *bound);
        let mean = 1e3 * self.total(&format!("{name}_sum")) / count.max(1.0);
        format!("{count} times, mean {mean:.1} ms, p50 <= {} ms, p99 <= {} ms", 1e3 * bound(0.5), 1e3 * bound(0.99))
    }
}

/// Durations, for their quantiles.
#[derive(Clone, Debug, Default)]
pub struct Spread(Vec<Duration>);

impl Spread {
    pub fn add(&mut self, one: Duration) {
        self.0.push(one);
    }

    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn worst(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    pub fn show(mut self) -> String {
        self.0.sort();
        let Some(last) = self.0.len().checked_sub(1) else { return "none".to_owned() };
        let at = |hundredths: usize| self.0[last * hundredths / 100].as_secs_f64() * 1e3;
        format!(
            "p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, worst {:.1} ms, of {}",
            at(50),
            at(90),
            at(99),
            at(100),
            last + 1
        )
    }
}
