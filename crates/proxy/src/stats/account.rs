//! The moments of a request at which something is counted.
//!
//! An attempt is counted when it ends, not with its request: a server that refuses is known at once, though another one may
//! carry the request for hours.

use super::{CodeClass, ProcessStats};
use crate::clock::Moment;
use crate::record::{Attempt, AttemptEnd, Record};

/// Counts that `attempt` follows those of `record`. Call it once for each attempt.
pub fn attempt_begins(record: &Record, attempt: &Attempt) {
    let Some(group) = &record.group else { return };
    let stats = &group.cell.stats;
    if attempt.end == AttemptEnd::NoLivePeers {
        // Nothing follows.
        return stats.no_live.inc();
    }
    if let Some(last) = record.attempts.last()
        && let Some(condition) = last.end.condition()
    {
        stats.retries[condition.index()].inc();
        if let Some(server) = &last.server {
            server.stats.retried.inc();
        }
    }
}

/// Counts an attempt that ended at `at` for the server it was made at. `disabled`: its failure put the server out. Call it once
/// for each attempt.
pub fn attempt_ends(attempt: &Attempt, disabled: bool, at: Moment) {
    let Some(server) = &attempt.server else { return };
    let stats = &server.stats;
    if attempt.header.is_some() {
        stats.requests[attempt.status.map_or(CodeClass::None, CodeClass::of).index()].inc();
        stats.responses.inc();
        let response = at.since(attempt.started);
        stats.response_micros.add(u64::try_from(response.as_micros()).unwrap_or(u64::MAX));
    } else {
        stats.requests[CodeClass::None.index()].inc();
    }
    if let AttemptEnd::Failed(reason) = attempt.end {
        stats.failures[reason.index()].inc();
        stats.last_failure.set(reason, at);
    }
    stats.received_bytes.add(attempt.bytes_received);
    stats.sent_bytes.add(attempt.bytes_sent);
    if disabled {
        stats.ejections.inc();
    }
}

/// Counts a finished request. Call it once for each.
pub fn request_ends(record: &Record, process: &ProcessStats) {
    let class = CodeClass::of(record.status).index();
    process.requests[class].inc();
    process.received_bytes.add(record.request_body_bytes);
    process.sent_bytes.add(record.body_bytes_sent + record.header_bytes_sent);
    if let Some(group) = &record.group {
        let stats = &group.cell.stats;
        stats.requests[class].inc();
        stats.duration.observe(record.finished.since(record.started));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use balance::retry::Condition;

    use super::*;
    use crate::record::FailureReason;
    use crate::stats::{GroupStats, ServerStats};
    use crate::testing;

    fn group(record: &Record) -> &GroupStats {
        &record.group.as_ref().unwrap().cell.stats
    }

    fn server(record: &Record, position: usize) -> &ServerStats {
        &record.group.as_ref().unwrap().servers[position].stats
    }

    /// A request after an attempt that ended so, 1 s after its start.
    fn after(end: AttemptEnd) -> (Record, Moment) {
        let mut record = testing::record();
        let ended = Moment::from(testing::START + 1_000_000);
        record.begin_attempt(Attempt::begin(testing::server_of(&record, 0), record.started));
        record.end_attempt(end, false, ended);
        (record, ended)
    }

    #[test]
    fn a_failure_is_counted_at_its_own_moment() {
        let (mut record, refused) = after(AttemptEnd::Failed(FailureReason::Connect));
        record.begin_attempt(Attempt::begin(testing::server_of(&record, 1), refused));
        // Another server carries it now, for as long as it likes.
        let stats = server(&record, 0);
        assert_eq!((stats.failures[0].value(), stats.retried.value()), (1, 1));
        assert_eq!(stats.requests[CodeClass::None.index()].value(), 1, "no response: no class");
        assert_eq!(stats.last_failure.load().unwrap().0, FailureReason::Connect);
        assert_eq!(stats.last_failure.load().unwrap().1.micros() / 1000, refused.micros() / 1000);
        assert_eq!(group(&record).retries[Condition::Error.index()].value(), 1);
        assert_eq!(server(&record, 1).requests.iter().map(crate::stats::Counter::value).sum::<u64>(), 0);
    }

    #[test]
    fn a_response_is_counted_with_its_end() {
        let mut record = testing::record();
        record.begin_attempt(Attempt {
            status: Some(404),
            header: Some(Duration::from_millis(2)),
            ..Attempt::begin(testing::server_of(&record, 1), record.started)
        });
        record.end_attempt(AttemptEnd::Relayed, false, Moment::from(testing::START + 3_000));
        record.status = 404;
        let process = ProcessStats::default();
        request_ends(&record, &process);

        assert_eq!(process.requests[CodeClass::ClientError.index()].value(), 1);
        assert_eq!(process.sent_bytes.value(), 612);
        assert_eq!(group(&record).requests[CodeClass::ClientError.index()].value(), 1);
        assert_eq!(group(&record).duration.sum_micros(), 12_345);
        let stats = server(&record, 1);
        assert_eq!(stats.requests[CodeClass::ClientError.index()].value(), 1);
        assert_eq!((stats.responses.value(), stats.response_micros.value()), (1, 3_000));
    }

    #[test]
    fn what_is_charged_to_nobody_is_no_failure_of_the_server() {
        let (mut record, ended) = after(AttemptEnd::Excused(FailureReason::Tls));
        record.begin_attempt(Attempt::begin(testing::server_of(&record, 1), ended));
        let stats = server(&record, 0);
        assert!(stats.failures.iter().all(|count| count.value() == 0) && stats.last_failure.load().is_none());
        assert_eq!((stats.requests[CodeClass::None.index()].value(), stats.retried.value()), (1, 1));
        assert_eq!(group(&record).retries[Condition::Error.index()].value(), 1);
    }

    #[test]
    fn nobody_eligible_is_the_groups_not_a_servers() {
        let mut record = testing::record();
        record.begin_attempt(Attempt::no_live_peers(record.started));
        assert_eq!(group(&record).no_live.value(), 1);
        let servers = &record.group.as_ref().unwrap().servers;
        assert!(servers.iter().all(|server| server.stats.requests.iter().all(|count| count.value() == 0)));
    }

    #[test]
    fn a_failure_that_nobody_is_left_for_is_not_retried() {
        let (mut record, ended) = after(AttemptEnd::Failed(FailureReason::Connect));
        record.begin_attempt(Attempt::no_live_peers(ended));
        assert_eq!(group(&record).no_live.value(), 1);
        assert_eq!(
            (group(&record).retries[Condition::Error.index()].value(), server(&record, 0).retried.value()),
            (0, 0)
        );
    }

    #[test]
    fn the_last_attempt_is_not_retried() {
        let (record, _) = after(AttemptEnd::Failed(FailureReason::ReadTimeout));
        request_ends(&record, &ProcessStats::default());
        assert!(group(&record).retries.iter().all(|count| count.value() == 0));
    }
}
