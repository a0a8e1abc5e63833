//! The attempt loop: a request's way to a response. Read this first.
//!
//! A body that is kept whole anyway is read; then select → send (an idle connection or dial) → response header → verdict →
//! relay, or release and select again. The group's view was pinned by the caller. Balancing decisions are `balance`'s; this file
//! reports facts to it and does what it says.

use std::future::poll_fn;
use std::sync::Arc;

use balance::retry::{Facts, HeaderVerdict, Tries, Verdict};
use balance::{NoLivePeers, Outcome};
use http::{HeaderMap, Response, StatusCode};

use crate::error_log::{self, Action};
use crate::record::{Attempt, AttemptEnd, FailureReason};
use crate::request::body::{ClientFault, ResponseBody};
use crate::request::exchange::Exchange;
use crate::request::inputs::{self, Asked};
use crate::request::lease::Lease;
use crate::request::relay::{relay, stick};
use crate::request::repeats::keep_first;
use crate::request::send::{Answer, send};
use crate::request::{headers, respond};
use crate::snapshot::GroupView;

/// Proxies one request to `group`; `upgrade` if it asks to leave HTTP.
pub(crate) async fn proxy(
    mut exchange: Box<Exchange>,
    mut group: Arc<GroupView>,
    upgrade: bool,
) -> Response<ResponseBody> {
    let clock = exchange.worker.shared.clock;
    // The clock is read when time may have passed: between reads all is one moment, as in nginx.
    let mut now = exchange.record.started;
    if let Some(body) = exchange.body.as_deref_mut() {
        if let Err(fault) = poll_fn(|cx| body.poll_ahead(cx)).await {
            return client_at_fault(exchange, fault);
        }
        now = clock.now();
    }
    let Asked { mut request, mut session } = inputs::ask(&exchange.record, &group, now.now());
    let mut tries = Tries::new(&group.plan, &group.policy, now.now());
    loop {
        let lease = match Lease::select(&group, &mut request, now, clock) {
            Ok(lease) => lease,
            Err(NoLivePeers) => match replaced(&group) {
                // Every server this request knew was replaced under it. nginx answers 502; the new ones can answer.
                Some(newer) => {
                    exchange.record.group = Some(newer.clone());
                    group = newer;
                    Asked { request, session } = inputs::ask(&exchange.record, &group, now.now());
                    continue;
                }
                None => return no_live_peers(exchange, &group),
            },
        };
        let server = group.servers[lease.position()].clone();
        exchange.record.begin_attempt(Attempt::begin(server.clone(), now));

        let answer = send(&mut exchange, &group, &server, now, upgrade).await;
        now = clock.now();
        match answer {
            Answer::Header(mut response, connection) => {
                keep_first(&exchange.record, response.headers_mut());
                let status = response.status().as_u16();
                exchange.record.header_arrived(status, now);
                let facts = facts(&exchange, true, connection.is_reused());
                match tries.after_header(&group.policy, status, facts, now.now()) {
                    HeaderVerdict::Relay => {
                        return relay(exchange, group, lease, session, response, connection, upgrade);
                    }
                    HeaderVerdict::RetryFailed => {
                        let disabled = lease.finish(Outcome::Failed, now).disabled;
                        let end = AttemptEnd::Failed(FailureReason::Status(status));
                        exchange.record.end_attempt(end, disabled, now);
                        if disabled {
                            error_log::disabled(&exchange.record, Action::ReadingHeader);
                        }
                    }
                    HeaderVerdict::RetryNext => {
                        lease.finish(Outcome::Next, now);
                        exchange.record.end_attempt(AttemptEnd::Next(status), false, now);
                    }
                }
            }
            Answer::Failed(failure) => {
                let disabled = lease.finish(failure.outcome, now).disabled;
                exchange.record.end_attempt(failure.end(), disabled, now);
                exchange.record.stands_for(failure.status());
                failure.report(&exchange.record, disabled);
                if failure.is_internal() {
                    return our_answer(exchange, &group, failure.status());
                }
                let facts = facts(&exchange, failure.begun, failure.reused);
                match tries.after_failure(&group.policy, failure.kind(), facts, now.now()) {
                    Verdict::Retry => {}
                    Verdict::Return(status) => return our_answer(exchange, &group, status),
                }
            }
            Answer::ClientFault(fault) => {
                // Nobody has answered, and the client is why (ledger: `slow-body`).
                lease.finish(Outcome::Unjudged, now);
                exchange.record.end_attempt(AttemptEnd::Abandoned, false, now);
                return client_at_fault(exchange, fault);
            }
        }
    }
}

/// The group as it is now, if none of the servers of `group` is left in it: the servers that could be asked of one that is left
/// were asked. The snapshot may not have it yet.
fn replaced(group: &Arc<GroupView>) -> Option<Arc<GroupView>> {
    let newest = group.cell.newest.lock().upgrade()?;
    let is_gone = !Arc::ptr_eq(&newest, group) && group.servers.iter().all(|server| !newest.has(&server.key));
    is_gone.then_some(newest)
}

fn no_live_peers(mut exchange: Box<Exchange>, group: &GroupView) -> Response<ResponseBody> {
    let now = exchange.now();
    exchange.record.begin_attempt(Attempt::no_live_peers(now));
    error_log::no_live_upstreams(&exchange.record);
    // A group without any server is "not there yet", not "all failed" (ledger: `empty-group-503`).
    let status = if group.servers.is_empty() { 503 } else { 502 };
    exchange.record.stands_for(status);
    our_answer(exchange, group, status)
}

/// Our own page at the end of the attempts.
fn our_answer(exchange: Box<Exchange>, group: &GroupView, status: u16) -> Response<ResponseBody> {
    let mut fields = HeaderMap::new();
    stick(&exchange, group, &mut fields);
    respond::with_headers(exchange, StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), fields)
}

fn facts(exchange: &Exchange, begun: bool, reused: bool) -> Facts {
    Facts {
        non_idempotent: headers::is_non_idempotent(&exchange.record.method),
        begun,
        reused,
        replayable: exchange.body.as_ref().is_none_or(|body| body.is_replayable()),
    }
}

/// Our own page for a client that did not send its body as it should.
fn client_at_fault(exchange: Box<Exchange>, fault: ClientFault) -> Response<ResponseBody> {
    let status = match fault {
        ClientFault::TooLarge => {
            let received = exchange.body.as_ref().map_or(0, |body| body.received());
            error_log::chunked_body_too_large(&exchange.record, received);
            StatusCode::PAYLOAD_TOO_LARGE
        }
        ClientFault::TimedOut => StatusCode::REQUEST_TIMEOUT,
        ClientFault::Broken => StatusCode::BAD_REQUEST,
    };
    respond::page(exchange, status)
}
