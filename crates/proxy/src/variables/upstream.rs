//! The lists with one entry per attempt (`ngx_http_upstream_addr_variable` and its neighbours): `, ` between attempts.

use std::time::Duration;

use super::Presence;
use super::number::{push_duration, push_number, push_status};
use crate::record::{Attempt, Record};

/// `$upstream_addr`: the server's address, or the group's name when no server was eligible.
pub(super) fn addresses(record: &Record, out: &mut Vec<u8>) -> Presence {
    list(record, out, |attempt, out| {
        if let Some(group) = &record.group {
            let text = attempt.server.as_ref().map_or(&group.name, |server| &server.address_text);
            out.extend_from_slice(text.as_bytes());
        }
    })
}

/// `$upstream_status`
pub(super) fn statuses(record: &Record, out: &mut Vec<u8>) -> Presence {
    list(record, out, |attempt, out| match attempt.status {
        Some(status) => push_status(out, status),
        None => out.push(b'-'),
    })
}

/// `$upstream_connect_time`, `$upstream_header_time`, `$upstream_response_time`
pub(super) fn times(record: &Record, time: impl Fn(&Attempt) -> Option<Duration>, out: &mut Vec<u8>) -> Presence {
    list(record, out, |attempt, out| match time(attempt) {
        Some(time) => push_duration(out, time),
        None => out.push(b'-'),
    })
}

/// `$upstream_response_length`, `$upstream_bytes_sent`, `$upstream_bytes_received`
pub(super) fn bytes(record: &Record, bytes: impl Fn(&Attempt) -> u64, out: &mut Vec<u8>) -> Presence {
    list(record, out, |attempt, out| push_number(out, bytes(attempt)))
}

fn list(record: &Record, out: &mut Vec<u8>, entry: impl Fn(&Attempt, &mut Vec<u8>)) -> Presence {
    for (place, attempt) in record.attempts.iter().enumerate() {
        if place > 0 {
            out.extend_from_slice(b", ");
        }
        entry(attempt, out);
    }
    (!record.attempts.is_empty()).into()
}
