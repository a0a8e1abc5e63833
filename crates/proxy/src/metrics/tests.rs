use std::collections::BTreeSet;
use std::sync::Arc;

use config::{Group, Pod};

use super::*;
use crate::record::{Attempt, AttemptEnd, FailureReason};
use crate::snapshot::GroupView;
use crate::testing::Fixed;
use crate::{stats, testing};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");

fn scrape(source: &Arc<Fixed>) -> String {
    let status = Arc::new(ConfigStatus::new());
    status.refused(Vec::new(), source.now());
    Metrics::new(Registry::new(), source.clone(), status).unwrap().render().unwrap()
}

/// Every sample line, parsed as the text format has it: name, labels, value.
fn samples(text: &str) -> Vec<(&str, &str, f64)> {
    let sample = |line| -> Option<_> {
        let (series, value) = str::rsplit_once(line, ' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        Some((name, labels, value.parse().ok()?))
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}"))).collect()
}

fn value(text: &str, name: &str, labels: &str) -> Option<f64> {
    samples(text).into_iter().find(|sample| (sample.0, sample.1) == (name, labels)).map(|sample| sample.2)
}

fn failing_group() -> Arc<GroupView> {
    let mut record = testing::record();
    record.begin_attempt(Attempt::begin(testing::server_of(&record, 0), record.started));
    record.end_attempt(AttemptEnd::Failed(FailureReason::ReadTimeout), true, record.finished);
    record.status = 504;
    stats::request_ends(&record, &stats::ProcessStats::default());
    record.group.unwrap()
}

#[test]
fn what_was_counted_is_shown() {
    let group = failing_group();
    let text = scrape(&Fixed::new([group]));
    let find = |name: &str, wanted: &[&str]| {
        let has = |labels: &str| wanted.iter().all(|label| labels.split(',').any(|pair| pair == *label));
        samples(&text).into_iter().find(|sample| sample.0 == name && has(sample.1)).map(|sample| sample.2)
    };
    let server = [r#"address="127.0.0.1:1""#, r#"group="app""#, r#"namespace="shop""#, r#"server="a""#];
    let with = |label: &'static str| [&server[..], &[label]].concat();
    assert_eq!(find("forebay_upstream_server_failures_total", &with(r#"kind="read_timeout""#)), Some(1.0));
    assert_eq!(find("forebay_upstream_server_requests_total", &with(r#"code_class="none""#)), Some(1.0));
    assert_eq!(find("forebay_upstream_server_ejections_total", &server), Some(1.0));
    assert_eq!(find("forebay_upstream_server_weight", &server), Some(1.0));
    let group = [r#"group="app""#, r#"namespace="shop""#];
    assert_eq!(find("forebay_upstream_request_duration_seconds_count", &group), Some(1.0));
    let bucket = [&group[..], &[r#"le="0.025""#]].concat();
    assert_eq!(find("forebay_upstream_request_duration_seconds_bucket", &bucket), Some(1.0));
    let active = [&group[..], &[r#"tier="Primary""#]].concat();
    assert_eq!(find("forebay_upstream_active_tier", &active), Some(1.0));
    assert_eq!(value(&text, "forebay_config_last_reload_successful", ""), Some(0.0));
    let certificate = r#"namespace="shop",name="tls""#;
    assert_eq!(value(&text, "forebay_certificate_expiry_timestamp_seconds", certificate), Some(1.8e9));
    assert_eq!(value(&text, "forebay_config_reloads_total", r#"result="refused""#), Some(1.0));
    assert!(text.contains("process_open_fds"));
}

#[test]
fn the_series_of_a_server_leave_with_it() {
    let source = Fixed::new([testing::group("shop/app", &["127.0.0.1:1", "127.0.0.1:2"])]);
    let metrics = Metrics::new(Registry::new(), source.clone(), Arc::default()).unwrap();
    assert!(metrics.render().unwrap().contains("127.0.0.1:2"));
    source.apply([testing::group("shop/app", &["127.0.0.1:1"])]);
    let text = metrics.render().unwrap();
    assert!(text.contains("127.0.0.1:1") && !text.contains("127.0.0.1:2"));
    source.apply([]);
    assert!(!metrics.render().unwrap().contains("forebay_upstream_"));
}

#[test]
fn a_large_group_has_a_bounded_number_of_series() {
    let server = |n: usize| testing::server("s", &format!("10.0.{}.{}:80", n / 250, n % 250));
    let servers: Vec<_> = (0..MAX_SERVERS + 44).map(server).collect();
    let view = testing::view(&"shop/big".parse().unwrap(), Group::with_defaults(servers));
    for server in &view.servers {
        server.stats.failures[FailureReason::Tls.index()].inc();
    }
    let source = Fixed::new([view]);
    let text = scrape(&source);
    let weights: Vec<_> =
        samples(&text).into_iter().filter(|(name, ..)| *name == "forebay_upstream_server_weight").collect();
    assert_eq!(weights.len(), MAX_SERVERS + 1);
    let other = weights.iter().find(|(_, labels, _)| labels.contains(r#"server="other""#)).unwrap();
    assert_eq!(format!("{}", other.2), "44");
    let counters = |name: &str| name.starts_with("forebay_upstream_server_") && name.ends_with("_total");
    assert!(!samples(&text).iter().any(|(name, labels, _)| counters(name) && labels.contains(r#"server="other""#)));

    // The bounds that docs/metrics.md prints; 7 series are the process collector's.
    let ours = samples(&text).iter().filter(|(name, ..)| name.starts_with("forebay_")).count();
    let (process, certificates, group, server, others) = (34, 1, 43, 24, 4);
    assert_eq!(ours, process - 7 + certificates + group + MAX_SERVERS * server + others);
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let bound = format!("{process} + certificates + groups x ({group} + {MAX_SERVERS} x {server} + {others})");
    assert!(document.contains(&bound), "docs/metrics.md lacks {bound}");
}

#[test]
fn no_two_series_are_the_same_and_all_are_described() {
    let mut server = testing::server("a", "127.0.0.1:1");
    let zone = Some("eu-1".into());
    server.pod = Some(Pod { name: "app-1".into(), uid: None, zone });
    let servers = vec![server, testing::server("a", "127.0.0.1:2")];
    let source = Fixed::new([testing::view(&"shop/app".parse().unwrap(), Group::with_defaults(servers))]);
    let status = Arc::new(ConfigStatus::of_feed(crate::source::FeedStatus::sample()));
    status.refused(Vec::new(), source.now());
    let text = Metrics::new(Registry::new(), source, status).unwrap().render().unwrap();
    let all = samples(&text);
    // The number of the feed's series that docs/metrics.md prints.
    let fed = |name: &str| name.starts_with("forebay_feed_") || name.starts_with("forebay_last_good_");
    assert_eq!(all.iter().filter(|(name, ..)| fed(name)).count(), 19);
    let distinct: BTreeSet<_> = all.iter().map(|(name, labels, _)| (name, labels)).collect();
    assert_eq!(distinct.len(), all.len());
    assert!(text.contains(r#"pod="app-1""#) && text.contains(r#"zone="eu-1""#));
    for family in ALL {
        assert!(text.contains(&format!("# TYPE {} {}\n", family.name, family.kind.name())), "{}", family.name);
    }
}

#[test]
fn the_documentation_lists_what_is_exposed() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    for family in ALL {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!("| `{}` | {} | {} | {} |", family.name, family.kind.name(), labels.join(" "), family.help);
        assert!(document.contains(&row), "docs/metrics.md lacks this line:\n{row}");
    }
    let rows = document.lines().filter(|line| line.starts_with("| `forebay_")).count();
    assert_eq!(rows, ALL.len(), "docs/metrics.md describes a metric that does not exist");
}
