//! The retry engine (`ngx_http_upstream.c`, `ngx_http_upstream_next` and `ngx_http_upstream_test_next`).

mod support;

use balance::{
    Availability, Method, Now, Tier,
    retry::{Condition, Facts, Failure, HeaderVerdict, Policy, Tries, Verdict},
};
use support::{lab::Lab, weighted};

const BEGUN: Facts = Facts { non_idempotent: false, begun: true, reused: false, replayable: true };

fn tries(servers: usize, policy: &Policy) -> Tries {
    let lab = Lab::new(&weighted(Method::RoundRobin, &vec![1; servers]));
    Tries::new(&lab.plan, policy, at(0))
}

fn at(millis: u64) -> Now {
    Now::from_millis(1_000_000 + millis)
}

fn listing(conditions: &[Condition]) -> Policy {
    Policy { conditions: conditions.iter().copied().collect(), ..Policy::default() }
}

/// Tries are the servers of both lists that are neither down nor draining, capped by `proxy_next_upstream_tries`.
#[test]
fn tries_are_counted_from_the_configuration() {
    let mut spec = weighted(Method::RoundRobin, &[1; 5]);
    spec.servers[0].availability = Availability::Down;
    spec.servers[1].availability = Availability::Drain;
    spec.servers[2].tier = Tier::Backup;
    let lab = Lab::new(&spec);
    assert_eq!(lab.plan.tries(), 3);
    for (limit, left) in [(0, 3), (2, 2), (9, 3)] {
        let policy = Policy { tries: limit, ..Policy::default() };
        assert_eq!(Tries::new(&lab.plan, &policy, at(0)).left(), left);
    }
}

#[test]
fn a_failure_is_retried_while_a_try_is_left() {
    let policy = Policy::default();
    let mut tries = tries(3, &policy);
    assert_eq!(tries.after_failure(&policy, Failure::Error, BEGUN, at(0)), Verdict::Retry);
    assert_eq!(tries.after_failure(&policy, Failure::Timeout, BEGUN, at(0)), Verdict::Retry);
    assert_eq!(tries.after_failure(&policy, Failure::Timeout, BEGUN, at(0)), Verdict::Return(504));
    assert_eq!(tries.left(), 0);
}

#[test]
fn what_is_not_listed_is_not_retried() {
    let policy = Policy::default();
    assert_eq!(tries(3, &policy).after_failure(&policy, Failure::InvalidHeader, BEGUN, at(0)), Verdict::Return(502));
    let off = listing(&[]);
    for (failure, status) in [(Failure::Error, 502), (Failure::Timeout, 504), (Failure::InvalidHeader, 502)] {
        assert_eq!(tries(3, &off).after_failure(&off, failure, BEGUN, at(0)), Verdict::Return(status));
    }
    for status in [200, 301, 400, 403, 404, 429, 500, 502, 503, 504, 599] {
        assert_eq!(tries(3, &policy).after_header(&policy, status, BEGUN, at(0)), HeaderVerdict::Relay);
    }
}

#[test]
fn a_listed_status_is_retried_with_or_without_blame() {
    use Condition::{Http403, Http404, Http429, Http500, Http502, Http503, Http504};
    use HeaderVerdict::{RetryFailed, RetryNext};
    let policy = listing(&[Http500, Http502, Http503, Http504, Http403, Http404, Http429]);
    let table = [(500, RetryFailed), (502, RetryFailed), (503, RetryFailed), (504, RetryFailed), (429, RetryFailed)];
    for (status, verdict) in table.into_iter().chain([(403, RetryNext), (404, RetryNext), (501, HeaderVerdict::Relay)])
    {
        assert_eq!(tries(3, &policy).after_header(&policy, status, BEGUN, at(0)), verdict, "{status}");
    }
}

/// "Is there a try beyond this one": the last response is relayed, and relaying takes no try.
#[test]
fn the_last_listed_response_is_relayed() {
    let policy = listing(&[Condition::Http503]);
    let mut tries = tries(2, &policy);
    assert_eq!(tries.after_header(&policy, 503, BEGUN, at(0)), HeaderVerdict::RetryFailed);
    assert_eq!(tries.left(), 1);
    assert_eq!(tries.after_header(&policy, 503, BEGUN, at(0)), HeaderVerdict::Relay);
    assert_eq!(tries.left(), 1);
}

/// POST, LOCK and PATCH: not once the request was handed to a connection, a dead idle one included.
#[test]
fn an_unsafe_request_is_not_sent_twice() {
    let policy = Policy::default();
    let unsent = Facts { non_idempotent: true, begun: false, ..BEGUN };
    let sent = Facts { non_idempotent: true, ..BEGUN };
    let stale = Facts { reused: true, ..sent };
    assert_eq!(tries(3, &policy).after_failure(&policy, Failure::Error, unsent, at(0)), Verdict::Retry);
    assert_eq!(tries(3, &policy).after_failure(&policy, Failure::Error, sent, at(0)), Verdict::Return(502));
    assert_eq!(tries(3, &policy).after_failure(&policy, Failure::Error, stale, at(0)), Verdict::Return(502));
    let listed = Policy { non_idempotent: true, ..policy };
    assert_eq!(tries(3, &listed).after_failure(&listed, Failure::Error, sent, at(0)), Verdict::Retry);
    let policy = listing(&[Condition::Http503]);
    assert_eq!(tries(3, &policy).after_header(&policy, 503, sent, at(0)), HeaderVerdict::Relay);
}

#[test]
fn a_consumed_body_cannot_be_sent_again() {
    let policy = Policy::default();
    let consumed = Facts { replayable: false, ..BEGUN };
    assert_eq!(tries(3, &policy).after_failure(&policy, Failure::Error, consumed, at(0)), Verdict::Return(502));
    let untouched = Facts { begun: false, ..consumed };
    assert_eq!(tries(3, &policy).after_failure(&policy, Failure::Error, untouched, at(0)), Verdict::Retry);
}

/// Checked between attempts, from the first pick; run out at the millisecond itself.
#[test]
fn the_timeout_of_retries() {
    let policy = Policy { timeout: 500, ..Policy::default() };
    assert_eq!(tries(3, &policy).after_failure(&policy, Failure::Error, BEGUN, at(499)), Verdict::Retry);
    assert_eq!(tries(3, &policy).after_failure(&policy, Failure::Error, BEGUN, at(500)), Verdict::Return(502));
}

/// A dead idle connection gives its try back, on an error only; even to a single peer, which has no other.
#[test]
fn a_dead_idle_connection_costs_no_try() {
    let policy = Policy::default();
    let stale = Facts { reused: true, ..BEGUN };
    let mut two = tries(2, &policy);
    assert_eq!(two.after_failure(&policy, Failure::Error, stale, at(0)), Verdict::Retry);
    assert_eq!(two.left(), 2);
    assert_eq!(two.after_failure(&policy, Failure::Timeout, stale, at(0)), Verdict::Retry);
    assert_eq!(two.left(), 1);
    let mut single = tries(1, &policy);
    assert_eq!(single.after_failure(&policy, Failure::Error, stale, at(0)), Verdict::Retry);
    assert_eq!(single.after_failure(&policy, Failure::Error, BEGUN, at(0)), Verdict::Return(502));
}
