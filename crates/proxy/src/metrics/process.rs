//! The series of the process and of its configuration.

use super::families as family;
use super::sheet::{Sheet, float, seconds};
use crate::clock::Moment;
use crate::config_status::{ConfigStatus, ReloadResult};
use crate::observed::Observed;
use crate::snapshot::Snapshot;
use crate::source::FeedStatus;
use crate::stats::{CodeClass, Handshake};

pub(super) fn collect(sheet: &mut Sheet, source: &impl Observed) {
    let stats = source.stats();
    let build = [("version", env!("CARGO_PKG_VERSION")), ("nginx", balance::NGINX_VERSION)];
    sheet.gauge(&family::BUILD_INFO, &[&build], 1.0);
    sheet.gauge(&family::DRAINING, &[], f64::from(u8::from(source.is_leaving())));
    for (family, counter) in [
        (&family::CONNECTIONS_ACCEPTED, &stats.connections_accepted),
        (&family::ACCEPT_FAILURES, &stats.accept_failures),
        (&family::RECEIVED_BYTES, &stats.received_bytes),
        (&family::SENT_BYTES, &stats.sent_bytes),
        (&family::NO_ROUTE, &stats.no_route),
        (&family::BAD_REQUESTS, &stats.bad_requests),
    ] {
        sheet.counter(family, &[], counter.value());
    }
    for (family, gauge) in [
        (&family::CONNECTIONS_ACTIVE, &stats.connections_active),
        (&family::REQUESTS_ACTIVE, &stats.requests_active),
        (&family::TUNNELS_ACTIVE, &stats.tunnels_active),
    ] {
        // A decrement of one worker may be seen before the increment of another.
        sheet.gauge(family, &[], float(u64::try_from(gauge.value()).unwrap_or(0)));
    }
    for class in CodeClass::ALL {
        let count = stats.requests[class.index()].value();
        sheet.counter(&family::REQUESTS, &[&[("code_class", class.label())]], count);
    }
    for outcome in Handshake::ALL {
        let count = stats.handshakes[outcome.index()].value();
        sheet.counter(&family::TLS_HANDSHAKES, &[&[("result", outcome.label())]], count);
    }
    sheet.counter(&family::LOST_LINES, &[], source.lost_log_lines());
}

pub(super) fn collect_config(sheet: &mut Sheet, snapshot: Option<&Snapshot>, status: &ConfigStatus, now: Moment) {
    if let Some(snapshot) = snapshot {
        sheet.gauge(&family::CONFIG_INFO, &[&[("revision", &snapshot.revision.to_string())]], 1.0);
        sheet.gauge(&family::CONFIG_APPLIED, &[], seconds(snapshot.applied.micros()));
        for (id, expiry) in snapshot.certificates.expiries() {
            let labels = [("namespace", id.namespace()), ("name", id.name())];
            sheet.gauge(&family::CERTIFICATE_EXPIRY, &[&labels], float(u64::try_from(expiry).unwrap_or(0)));
        }
    }
    if let Some(age) = snapshot.and_then(|_| status.age(now)) {
        sheet.gauge(&family::CONFIG_AGE, &[], age.as_secs_f64());
    }
    for result in ReloadResult::ALL {
        sheet.counter(&family::CONFIG_RELOADS, &[&[("result", result.name())]], status.count(result));
    }
    if let Some(last) = status.last() {
        let successful = last.result == ReloadResult::Applied;
        sheet.gauge(&family::CONFIG_LAST_SUCCESSFUL, &[], f64::from(u8::from(successful)));
    }
}

/// Of a data plane that is fed by controllers.
pub(super) fn collect_feed(sheet: &mut Sheet, feed: &FeedStatus) {
    let standing = feed.standing();
    if let Some(controller) = &standing.controller {
        let labels = [("controller", controller.url.as_str()), ("address", &controller.address.to_string())];
        sheet.gauge(&family::FEED_CONTROLLER_INFO, &[&labels], 1.0);
    }
    sheet.gauge(&family::FEED_SYNCED, &[], f64::from(u8::from(standing.synced)));
    sheet.counter(&family::FEED_SYNCHRONISATIONS, &[], feed.synchronisations());
    for (reason, count) in feed.faults() {
        sheet.counter(&family::FEED_FAILURES, &[&[("reason", reason)]], count);
    }
    sheet.gauge(&family::FEED_REJECTED, &[], float(u64::try_from(standing.rejected.len()).unwrap_or(u64::MAX)));
    for (family, result, counter) in [
        (&family::FEED_REPORTS, "delivered", &feed.reports_delivered),
        (&family::FEED_REPORTS, "failed", &feed.reports_failed),
        (&family::LAST_GOOD_WRITES, "written", &feed.writes),
        (&family::LAST_GOOD_WRITES, "failed", &feed.writes_failed),
    ] {
        sheet.counter(family, &[&[("result", result)]], counter.value());
    }
    if let Some(at) = standing.last_good_at {
        sheet.gauge(&family::LAST_GOOD_CURRENT, &[], seconds(at.0.saturating_mul(1000)));
    }
}
