//! Wall-clock texts. Each thread keeps the texts of the second it printed last, as nginx does (`ngx_time_update`).

use std::cell::RefCell;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::Moment;

/// The texts of one second in the local time zone.
struct Texts {
    second: u64,
    /// `22/Nov/2026:10:00:00 +0000`
    local: Vec<u8>,
    /// `2026-11-22T10:00:00+00:00`
    iso8601: Vec<u8>,
}

/// Appends `$time_local`.
pub(super) fn push_local(out: &mut Vec<u8>, at: Moment) {
    with_second(at, |texts| out.extend_from_slice(&texts.local));
}

/// Appends `$time_iso8601`.
pub(super) fn push_iso8601(out: &mut Vec<u8>, at: Moment) {
    with_second(at, |texts| out.extend_from_slice(&texts.iso8601));
}

/// The time as Kubernetes writes it: UTC, whole seconds.
pub(crate) fn rfc3339_utc(at: Moment) -> String {
    timestamp(at.micros() / 1_000_000).to_string()
}

fn with_second(at: Moment, use_it: impl FnOnce(&Texts)) {
    thread_local! {
        static LAST: RefCell<Option<Texts>> = const { RefCell::new(None) };
    }
    let second = at.micros() / 1_000_000;
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|last| last.second != second) {
            *last = Some(Texts::format(second, &TimeZone::system()));
        }
        if let Some(last) = last {
            use_it(last);
        }
    });
}

fn timestamp(second: u64) -> Timestamp {
    i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(Timestamp::MAX)
}

impl Texts {
    fn format(second: u64, zone: &TimeZone) -> Self {
        let time = timestamp(second).to_zoned(zone.clone());
        let text = |format: &str| time.strftime(format).to_string().into_bytes();
        Self { second, local: text("%d/%b/%Y:%H:%M:%S %z"), iso8601: text("%Y-%m-%dT%H:%M:%S%:z") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_nginx_does() {
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        let texts = Texts::format(1_795_341_600, &zone);
        assert_eq!(String::from_utf8_lossy(&texts.local), "22/Nov/2026:07:00:00 -0300");
        assert_eq!(String::from_utf8_lossy(&texts.iso8601), "2026-11-22T07:00:00-03:00");
        assert_eq!(rfc3339_utc(Moment::from(1_795_341_600_999_999)), "2026-11-22T10:00:00Z");
    }
}
