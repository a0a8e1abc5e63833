//! `docs/status.md` explains every condition, reason, state and event there is, and none that there is not; it and
//! `docs/controller.md` explain every metric.

mod support;

use std::collections::BTreeSet;

use api::{ConditionType, FailureReason, ServerState};
use controller::events::EventReason;
use controller::metrics::{Metrics, of_feed};
use controller::status::StatusMetrics;
use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily};
use support::Feed;

/// The cells of the rows of the table of `docs/status.md` that begins with this head.
fn table(head: &str) -> Vec<Vec<String>> {
    table_of("status.md", head)
}

fn table_of(doc: &str, head: &str) -> Vec<Vec<String>> {
    let path = format!("{}/../../docs/{doc}", env!("CARGO_MANIFEST_DIR"));
    let doc = std::fs::read_to_string(path).expect("a document");
    let rows = doc.lines().skip_while(|line| !line.starts_with(head)).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    rows.map(cells).collect()
}

fn column(head: &str, at: usize) -> BTreeSet<String> {
    table(head).into_iter().map(|mut row| row.swap_remove(at)).collect()
}

fn names<T: std::fmt::Debug>(all: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    all.into_iter().map(|one| format!("{one:?}")).collect()
}

#[test]
fn every_reason_of_every_condition_is_explained() {
    let told: BTreeSet<_> = table("| condition |").into_iter().map(|row| (row[0].clone(), row[2].clone())).collect();
    let known: BTreeSet<_> = ConditionType::ALL
        .into_iter()
        .flat_map(|r#type| r#type.reasons().iter().map(move |reason| (r#type.to_string(), reason.to_string())))
        .collect();
    assert_eq!(told, known);
}

#[test]
fn states_reasons_and_events_are_explained() {
    assert_eq!(column("| state |", 0), names(ServerState::ALL));
    let reasons = [FailureReason::Error, FailureReason::Timeout, FailureReason::InvalidHeader, FailureReason::Status];
    assert_eq!(column("| reason | meaning", 0), names(reasons));
    let told: BTreeSet<_> =
        table("| reason | type |").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let kind = |reason: EventReason| if reason.is_normal() { "Normal" } else { "Warning" };
    let known: BTreeSet<_> =
        EventReason::ALL.into_iter().map(|reason| (format!("{reason:?}"), kind(reason).to_owned())).collect();
    assert_eq!(told, known);
}

/// What tables of metrics say, and what these families are: name and kind.
fn explained(rows: &[Vec<String>], families: &[MetricFamily]) {
    let told: BTreeSet<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let kind = |family: &MetricFamily| format!("{:?}", family.get_field_type()).to_lowercase();
    let known: BTreeSet<_> = families.iter().map(|family| (family.name().to_owned(), kind(family))).collect();
    assert_eq!(told, known);
    // Whatever a label may be is named in its row.
    for family in families {
        let row = rows.iter().find(|row| row[0] == family.name()).expect("just seen");
        for label in family.get_metric().iter().flat_map(Metric::get_label) {
            assert!(row[2].contains(label.name()), "{} does not name {}", row[0], label.name());
            let is_kind = label.name() == "kind";
            assert!(is_kind || row[2].contains(label.value()), "{} does not name {}", row[0], label.value());
        }
    }
}

#[test]
fn metrics_of_the_status_are_explained() {
    let registry = Registry::new();
    let _metrics = StatusMetrics::new(&registry).expect("new series");
    explained(&table("| metric of the controller"), &registry.gather());
}

#[tokio::test]
async fn metrics_of_the_controller_are_explained() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).expect("new series");
    // A family is shown once it has a series.
    metrics.event("Service");
    metrics.watch_error("Service", "broken");
    metrics.known(&translate::Objects::default(), 0);
    metrics.reconciled(0.0, 1, 1);
    metrics.reconciled(0.0, 0, 1);
    let feed = of_feed(&Feed::start().await.server).expect("new series");
    explained(&table_of("controller.md", "| metric |"), &[registry.gather(), feed].concat());
}
