//! Wall-clock texts. Each thread keeps the texts of the second it printed last, as nginx does (`ngx_time_update`).

use std::cell::RefCell;
use std::io::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::Moment;

/// The texts of one second in the local time zone.
struct Second {
    second: u64,
    /// `22/Nov/2026:10:00:00 +0000`
    local: Vec<u8>,
    /// `2026-11-22T10:00:00+00:00`
    iso8601: Vec<u8>,
    /// `2026/11/22 10:00:00`
    error_log: Vec<u8>,
}

/// Appends `$time_local`.
pub(super) fn push_local(out: &mut Vec<u8>, at: Moment) {
    with_second(at, |second| out.extend_from_slice(&second.local));
}

/// Appends `$time_iso8601`.
pub(super) fn push_iso8601(out: &mut Vec<u8>, at: Moment) {
    with_second(at, |second| out.extend_from_slice(&second.iso8601));
}

/// Appends the time as nginx's error log has it.
pub(crate) fn push_error_log_time(out: &mut Vec<u8>, at: Moment) {
    with_second(at, |second| out.extend_from_slice(&second.error_log));
}

/// Appends the time as Kubernetes writes it: UTC, whole seconds.
pub(crate) fn push_rfc3339_utc(out: &mut Vec<u8>, at: Moment) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{}", timestamp(at.micros() / 1_000_000));
}

fn with_second(at: Moment, use_it: impl FnOnce(&Second)) {
    thread_local! {
        static LAST: RefCell<Option<Second>> = const { RefCell::new(None) };
    }
    let second = at.micros() / 1_000_000;
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|last| last.second != second) {
            *last = Some(Second::format(second, &TimeZone::system()));
        }
        if let Some(last) = last {
            use_it(last);
        }
    });
}

fn timestamp(second: u64) -> Timestamp {
    i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(Timestamp::MAX)
}

impl Second {
    fn format(second: u64, zone: &TimeZone) -> Self {
        let time = timestamp(second).to_zoned(zone.clone());
        let text = |format: &str| time.strftime(format).to_string().into_bytes();
        Self {
            second,
            local: text("%d/%b/%Y:%H:%M:%S %z"),
            iso8601: text("%Y-%m-%dT%H:%M:%S%:z"),
            error_log: text("%Y/%m/%d %H:%M:%S"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_nginx_does() {
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        let second = Second::format(1_795_341_600, &zone);
        assert_eq!(String::from_utf8_lossy(&second.local), "22/Nov/2026:07:00:00 -0300");
        assert_eq!(String::from_utf8_lossy(&second.iso8601), "2026-11-22T07:00:00-03:00");
        assert_eq!(String::from_utf8_lossy(&second.error_log), "2026/11/22 07:00:00");
        let mut utc = Vec::new();
        push_rfc3339_utc(&mut utc, Moment::from(1_795_341_600_999_999));
        assert_eq!(utc, b"2026-11-22T10:00:00Z");
    }
}
