//! The series of the process and of its configuration.

use super::families as family;
use super::sheet::{Sheet, seconds};
use crate::admin::{ConfigStatus, ReloadResult, Source};
use crate::clock::Moment;
use crate::snapshot::Snapshot;
use crate::stats::CodeClass;

pub(super) fn collect(sheet: &mut Sheet, source: &impl Source) {
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
        sheet.gauge(family, &[], super::sheet::float(u64::try_from(gauge.value()).unwrap_or(0)));
    }
    for class in CodeClass::ALL {
        let count = stats.requests[class.index()].value();
        sheet.counter(&family::REQUESTS, &[&[("code_class", class.label())]], count);
    }
    sheet.counter(&family::LOST_LINES, &[], source.lost_log_lines());
}

pub(super) fn collect_config(sheet: &mut Sheet, snapshot: Option<&Snapshot>, status: &ConfigStatus, now: Moment) {
    if let Some(snapshot) = snapshot {
        sheet.gauge(&family::CONFIG_INFO, &[&[("revision", &snapshot.revision.to_string())]], 1.0);
        sheet.gauge(&family::CONFIG_APPLIED, &[], seconds(snapshot.applied.micros()));
        sheet.gauge(&family::CONFIG_AGE, &[], now.since(snapshot.applied).as_secs_f64());
    }
    for result in ReloadResult::ALL {
        sheet.counter(&family::CONFIG_RELOADS, &[&[("result", result.name())]], status.count(result));
    }
    if let Some(last) = status.last() {
        let successful = last.result == ReloadResult::Applied;
        sheet.gauge(&family::CONFIG_LAST_SUCCESSFUL, &[], f64::from(u8::from(successful)));
    }
}
