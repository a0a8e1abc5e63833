//! `docs/status.md` explains every condition, reason, state, event and metric there is, and none that there is not.

use std::collections::BTreeSet;

use api::{ConditionType, FailureReason, ServerState};
use controller::events::EventReason;
use controller::status::StatusMetrics;
use prometheus::Registry;

fn doc() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/status.md");
    std::fs::read_to_string(path).expect("docs/status.md")
}

/// The cells of the rows of the table that begins with this head.
fn table(head: &str) -> Vec<Vec<String>> {
    let doc = doc();
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

#[test]
fn metrics_are_explained() {
    let registry = Registry::new();
    let _metrics = StatusMetrics::new(&registry).expect("new series");
    let known: BTreeSet<_> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
    assert_eq!(column("| metric of the controller", 0), known);
}
