//! A request that never became one: hyper refused its header, or the header did not come whole. It has its line in the access
//! log and its place in the counts, as in nginx (`ngx_http_finalize_request` while reading the header).
//!
//! What the client had sent of it is not logged: of a header that hyper took from its buffer before it refused it only what
//! stood behind it is left, perhaps a body.

use std::sync::Arc;

use http::{Request, StatusCode};

use crate::alarm::Alarm;
use crate::record::{Downstream, Record};
use crate::request::exchange::Exchange;
use crate::request::serve::record;
use crate::worker::Worker;

/// hyper's bound of a target, whatever the limit of the header is.
const TARGET_BYTES: usize = u16::MAX as usize - 1;

/// What became of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It was told the status.
    Sent(StatusCode),
    /// Nobody waited for one, or hyper has none: the status is what nginx logs then.
    Silence(StatusCode),
}

/// Accounts and logs a request in whose header a connection ended, if one had begun: `rest` is what hyper had read and not
/// taken. A connection that was idle or silent leaves no line.
pub(crate) fn log(error: &hyper::Error, rest: &[u8], worker: &Arc<Worker>, downstream: Arc<Downstream>, alarm: Alarm) {
    let Some(answer) = answer(error, rest, worker.shared.options.limits.header_bytes) else { return };
    worker.shared.stats.bad_requests.inc();
    let (status, complete) = match answer {
        Answer::Sent(status) => (status, true),
        Answer::Silence(status) => (status, false),
    };
    let parts = Request::new(()).into_parts().0;
    let record = Record { unread: true, status: status.as_u16(), complete, ..record(worker, downstream, parts) };
    drop(Exchange::begin(record, worker.clone(), alarm, None));
}

fn answer(error: &hyper::Error, rest: &[u8], header_bytes: usize) -> Option<Answer> {
    if error.is_parse_version_h2() {
        return Some(Answer::Silence(StatusCode::BAD_REQUEST));
    }
    if error.is_parse_too_large() {
        return Some(Answer::Sent(if is_target_too_long(rest, header_bytes) {
            StatusCode::URI_TOO_LONG
        } else {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }));
    }
    if error.is_parse() {
        return Some(Answer::Sent(StatusCode::BAD_REQUEST));
    }
    // What comes behind a response that broke off is never looked at.
    if rest.is_empty() || error.is_user() || error.is_shutdown() {
        return None;
    }
    Some(Answer::Silence(if error.is_timeout() { StatusCode::REQUEST_TIMEOUT } else { StatusCode::BAD_REQUEST }))
}

/// hyper does not tell a target that is too long from a header that is: it looks at the target once the header is whole and
/// within the limit.
fn is_target_too_long(rest: &[u8], header_bytes: usize) -> bool {
    let is_whole = rest.windows(4).take(header_bytes.saturating_sub(3)).any(|end| end == b"\r\n\r\n");
    let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    is_whole && line > TARGET_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_too_long_in_a_header_that_is_not() {
        let header = |target: usize| format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(target)).into_bytes();
        assert!(is_target_too_long(&header(TARGET_BYTES), 1 << 17));
        assert!(!is_target_too_long(&header(TARGET_BYTES), 1 << 16), "the header is");
        assert!(!is_target_too_long(&header(TARGET_BYTES)[..=TARGET_BYTES], 1 << 16), "the header is, and goes on");
        assert!(!is_target_too_long(&header(100), 1 << 17), "too many lines, say");
    }
}
