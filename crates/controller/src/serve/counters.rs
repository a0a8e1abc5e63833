//! What happened at the listener, counted since the process began: the source of metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Counts. Read with [`Counters::counts`].
#[derive(Debug, Default)]
pub struct Counters {
    connections: AtomicU64,
    connections_refused: AtomicU64,
    handshakes_failed: AtomicU64,
    connections_cut: AtomicU64,
    streams: AtomicU64,
    lines: AtomicU64,
    bytes: AtomicU64,
    violations: AtomicU64,
    resources_refused: AtomicU64,
    reports_accepted: AtomicU64,
    reports_refused: AtomicU64,
    reports_misdirected: AtomicU64,
    denied: Mutex<BTreeMap<&'static str, u64>>,
}

/// The counts of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Connections closed at once, because there were too many.
    pub connections_refused: u64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: u64,
    /// Connections cut because their subscriber did not read, or nobody proved who it is in time.
    pub connections_cut: u64,
    /// Streams of the feed.
    pub streams: u64,
    /// Lines sent.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Streams ended because the subscriber broke a rule.
    pub violations: u64,
    /// Resources that subscribers refused.
    pub resources_refused: u64,
    /// Reports taken.
    pub reports_accepted: u64,
    /// Reports not taken: that are none, that the identity does not cover, too slow, or for which there is no room.
    pub reports_refused: u64,
    /// Reports for another replica.
    pub reports_misdirected: u64,
    /// Proofs not accepted, by [`Denied::reason`](crate::identity::Denied::reason).
    pub denied: BTreeMap<&'static str, u64>,
}

/// What is counted one by one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    Connection,
    ConnectionRefused,
    HandshakeFailed,
    ConnectionCut,
    Stream,
    Violation,
    ResourceRefused,
    ReportAccepted,
    ReportRefused,
    ReportMisdirected,
}

impl Counters {
    /// The counts now.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connections: read(&self.connections),
            connections_refused: read(&self.connections_refused),
            handshakes_failed: read(&self.handshakes_failed),
            connections_cut: read(&self.connections_cut),
            streams: read(&self.streams),
            lines: read(&self.lines),
            bytes: read(&self.bytes),
            violations: read(&self.violations),
            resources_refused: read(&self.resources_refused),
            reports_accepted: read(&self.reports_accepted),
            reports_refused: read(&self.reports_refused),
            reports_misdirected: read(&self.reports_misdirected),
            denied: self.denied.lock().clone(),
        }
    }

    pub(super) fn count(&self, happening: Happening) {
        let counter = match happening {
            Happening::Connection => &self.connections,
            Happening::ConnectionRefused => &self.connections_refused,
            Happening::HandshakeFailed => &self.handshakes_failed,
            Happening::ConnectionCut => &self.connections_cut,
            Happening::Stream => &self.streams,
            Happening::Violation => &self.violations,
            Happening::ResourceRefused => &self.resources_refused,
            Happening::ReportAccepted => &self.reports_accepted,
            Happening::ReportRefused => &self.reports_refused,
            Happening::ReportMisdirected => &self.reports_misdirected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn denied(&self, reason: &'static str) {
        *self.denied.lock().entry(reason).or_default() += 1;
    }
}
