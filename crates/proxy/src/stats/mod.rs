//! What is counted, and the one place where a finished request is counted.
//!
//! Counters live where their subject lives: a server's with its state in the group, a group's in its cell, the rest with
//! the process. There is no registry beside the live objects, so nothing has to be cleaned up when a server leaves.

use crate::record::{Attempt, AttemptEnd, FailureReason, Record};

mod class;
mod counter;
mod histogram;
mod last_failure;

pub use class::{CodeClass, Handshake, RetryReason};
pub use counter::{Counted, Counter, Gauge};
pub use histogram::{BOUNDS, Histogram};
pub use last_failure::LastFailure;

/// What was counted of one server. One attempt is one request here.
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Attempts by the class of the status the server sent, in the order of [`CodeClass::ALL`].
    pub requests: [Counter; CodeClass::ALL.len()],
    /// Attempts charged to the server, in the order of [`FailureReason::ALL`].
    pub failures: [Counter; FailureReason::ALL.len()],
    /// Failures at or past `max_fails`, each of which puts the server out for `fail_timeout`.
    pub ejections: Counter,
    /// Sum of the times to the end of the attempts that brought a response, microseconds.
    pub response_micros: Counter,
    /// The number of those attempts.
    pub responses: Counter,
    /// Attempts that another one followed.
    pub retried: Counter,
    /// Bytes received from it, on the wire.
    pub received_bytes: Counter,
    /// Bytes sent to it, on the wire.
    pub sent_bytes: Counter,
    /// The last attempt charged to the server.
    pub last_failure: LastFailure,
}

/// What was counted of one group.
#[derive(Debug, Default)]
pub struct GroupStats {
    /// Requests by the class of the status sent to the client, in the order of [`CodeClass::ALL`].
    pub requests: [Counter; CodeClass::ALL.len()],
    /// Attempts after the first, in the order of [`RetryReason::ALL`].
    pub retries: [Counter; RetryReason::ALL.len()],
    /// Requests that found no eligible server, at first or after a retry: nginx's `no live upstreams`.
    pub no_live: Counter,
    /// From the request's header to its end.
    pub duration: Histogram,
}

/// What was counted of the process.
#[derive(Debug, Default)]
pub struct ProcessStats {
    /// Client connections accepted.
    pub connections_accepted: Counter,
    /// Times that a connection could not be accepted, most often for want of descriptors.
    pub accept_failures: Counter,
    /// TLS handshakes, in the order of [`Handshake::ALL`].
    pub handshakes: [Counter; Handshake::ALL.len()],
    /// Client connections open now.
    pub connections_active: Gauge,
    /// Requests between their header and their end.
    pub requests_active: Gauge,
    /// Connections that were upgraded and are now tunnels.
    pub tunnels_active: Gauge,
    /// Finished requests by the class of their status, those without a group included.
    pub requests: [Counter; CodeClass::ALL.len()],
    /// Bytes of request body received from clients.
    pub received_bytes: Counter,
    /// Bytes of response header and body handed to clients' connections.
    pub sent_bytes: Counter,
    /// Requests that matched no route.
    pub no_route: Counter,
    /// Requests refused before a route was looked for: their header could not be parsed, or contradicts itself.
    pub bad_requests: Counter,
}

impl ProcessStats {
    /// The count of handshakes that came to this.
    pub(crate) fn handshake(&self, outcome: Handshake) -> &Counter {
        &self.handshakes[outcome.index()]
    }
}

/// Counts a finished request. Call it once for each.
pub fn account(record: &Record, process: &ProcessStats) {
    let class = CodeClass::of(record.status).index();
    process.requests[class].inc();
    process.received_bytes.add(record.request_body_bytes);
    process.sent_bytes.add(record.body_bytes_sent + record.header_bytes_sent);

    let Some(group) = &record.group else { return };
    let stats = &group.cell.stats;
    stats.requests[class].inc();
    stats.duration.observe(record.finished.since(record.started));

    let mut attempts = record.attempts.iter().peekable();
    while let Some(attempt) = attempts.next() {
        if attempt.end == AttemptEnd::NoLivePeers {
            stats.no_live.inc();
        } else if let Some(server) = &attempt.server {
            account_attempt(attempt, &server.stats, record);
        }
        if let (Some(_), Some(reason)) = (attempts.peek(), RetryReason::of(attempt.end)) {
            stats.retries[reason.index()].inc();
            if let Some(server) = &attempt.server {
                server.stats.retried.inc();
            }
        }
    }
}

/// Counts one attempt at the server it was made at.
fn account_attempt(attempt: &Attempt, stats: &ServerStats, record: &Record) {
    if attempt.header.is_some() {
        stats.requests[attempt.status.map_or(CodeClass::None, CodeClass::of).index()].inc();
        stats.responses.inc();
        let response = attempt.response.or(attempt.header).unwrap_or_default();
        stats.response_micros.add(u64::try_from(response.as_micros()).unwrap_or(u64::MAX));
    } else {
        stats.requests[CodeClass::None.index()].inc();
    }
    if let AttemptEnd::Failed(reason) = attempt.end {
        stats.failures[class::failure_index(reason)].inc();
        stats.last_failure.set(reason, record.finished);
    }
    stats.received_bytes.add(attempt.bytes_received);
    stats.sent_bytes.add(attempt.bytes_sent);
    if attempt.disabled {
        stats.ejections.inc();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing;

    #[test]
    fn one_record_is_counted_once_everywhere() {
        let mut record = testing::record();
        let refused = AttemptEnd::Failed(FailureReason::Connect);
        record.attempts.push(Attempt {
            end: refused,
            status: Some(502),
            disabled: true,
            ..Attempt::begin(testing::server_of(&record, 0), record.started)
        });
        record.attempts.push(Attempt {
            end: AttemptEnd::Relayed,
            status: Some(404),
            header: Some(Duration::from_millis(2)),
            response: Some(Duration::from_millis(3)),
            ..Attempt::begin(testing::server_of(&record, 1), record.started)
        });
        record.status = 404;
        let process = ProcessStats::default();
        account(&record, &process);

        assert_eq!(process.requests[CodeClass::ClientError.index()].value(), 1);
        assert_eq!(process.sent_bytes.value(), 612);
        let group = record.group.as_ref().unwrap();
        let stats = &group.cell.stats;
        assert_eq!(stats.requests[CodeClass::ClientError.index()].value(), 1);
        assert_eq!(stats.retries[RetryReason(balance::retry::Condition::Error).index()].value(), 1);
        assert_eq!(stats.duration.sum_micros(), 12_345);
        let [first, second] = [&group.servers[0].stats, &group.servers[1].stats];
        assert_eq!(first.requests[CodeClass::None.index()].value(), 1, "no response: no class");
        assert_eq!(first.failures[0].value(), 1);
        assert_eq!(first.ejections.value(), 1);
        assert_eq!(first.last_failure.load().map(|(reason, _)| reason), Some(FailureReason::Connect));
        assert_eq!(second.requests[CodeClass::ClientError.index()].value(), 1);
        assert_eq!((second.responses.value(), second.response_micros.value()), (1, 3_000));
    }

    #[test]
    fn nobody_eligible_is_the_groups_not_a_servers() {
        let mut record = testing::record();
        record.attempts.push(Attempt::no_live_peers(record.started));
        record.status = 502;
        account(&record, &ProcessStats::default());
        let group = record.group.as_ref().unwrap();
        assert_eq!(group.cell.stats.no_live.value(), 1);
        assert!(group.servers.iter().all(|server| server.stats.requests.iter().all(|count| count.value() == 0)));
    }

    #[test]
    fn the_last_attempt_is_not_retried() {
        let mut record = testing::record();
        let end = AttemptEnd::Failed(FailureReason::ReadTimeout);
        record.attempts.push(Attempt { end, ..Attempt::begin(testing::server_of(&record, 0), record.started) });
        account(&record, &ProcessStats::default());
        let stats = &record.group.as_ref().unwrap().cell.stats;
        assert!(stats.retries.iter().all(|count| count.value() == 0));
    }
}
