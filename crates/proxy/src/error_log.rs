//! What goes wrong between us and an upstream, in the words an nginx operator searches for.
//!
//! Texts and levels are nginx's (`ngx_http_upstream.c`, `ngx_http_log_error_handler`). The caller says what happened; nothing
//! is formatted unless somebody listens at that level. Where a line goes and how it begins is the subscriber's business.

use std::fmt::{self, Display, Formatter};

use config::Address;
use http::header::{self, HeaderName, HeaderValue};
use tracing::{error, info, warn};

use crate::record::{Downstream, FailureReason, Record};
use crate::variables;

/// The target of every event here. Their field `connection` is nginx's `*CONNECTION`.
pub const TARGET: &str = "forebay::upstream";

/// What was being done, as nginx's `log->action` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Until the connection is established.
    Connecting,
    /// Connected, until TLS is.
    Handshaking,
    /// Until the request is sent.
    Sending,
    /// Until the response header is complete.
    ReadingHeader,
    /// The body of the response, or a tunnel.
    ReadingUpstream,
}

/// What happened, without its context.
struct Failure<'a> {
    record: &'a Record,
    reason: FailureReason,
    action: Action,
    cause: &'a dyn Display,
}

/// An operating system's error as nginx prints it: `111: Connection refused`.
struct SystemError<'a>(&'a dyn Display);

/// The tail of a line: who asked for what, where.
struct Context<'a> {
    record: &'a Record,
    upstream: Upstream,
}

/// Whether a line tells of an upstream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upstream {
    Named,
    None,
}

/// Reports the failure of the last attempt of `record`. `cause` is printed where nginx prints one: an error of the operating
/// system when connecting, what was wrong with a header. A retried status is no error to nginx and not reported.
pub fn attempt_failed(record: &Record, reason: FailureReason, action: Action, cause: &dyn Display) {
    if matches!(reason, FailureReason::Status(_)) {
        return;
    }
    let (failure, context) = (Failure { record, reason, action, cause }, Context::with_upstream(record));
    error!(target: TARGET, connection = record.downstream.serial, "{failure} while {action}{context}");
}

/// Reports a header line of the last attempt's server that says again, as `ignored`, what it said as `first`.
pub fn repeated(record: &Record, name: &HeaderName, ignored: &HeaderValue, first: &HeaderValue) {
    let [ignored, first] = [ignored, first].map(|value| value.as_bytes().escape_ascii());
    let (action, context) = (Action::ReadingHeader, Context::with_upstream(record));
    warn!(
        target: TARGET,
        connection = record.downstream.serial,
        "upstream sent duplicate header line: \"{name}: {ignored}\", previous value: \"{name}: {first}\", ignored while {action}{context}"
    );
}

/// Reports that a failure put the server of the last attempt out for `fail_timeout`.
pub fn disabled(record: &Record, action: Action) {
    let context = Context::with_upstream(record);
    let connection = record.downstream.serial;
    warn!(target: TARGET, connection, "upstream server temporarily disabled while {action}{context}");
}

/// Reports that no server was eligible.
pub fn no_live_upstreams(record: &Record) {
    let (action, context) = (Action::Connecting, Context::with_upstream(record));
    error!(target: TARGET, connection = record.downstream.serial, "no live upstreams while {action}{context}");
}

/// Reports a request whose route leads nowhere.
pub fn no_backend(record: &Record, why: &str) {
    let context = Context { record, upstream: Upstream::None };
    error!(target: TARGET, connection = record.downstream.serial, "no backend: {why}{context}");
}

/// Reports that the client left before its answer was complete.
pub fn client_left(record: &Record, action: Action) {
    let (connection, context) = (record.downstream.serial, Context::with_upstream(record));
    let text = "client prematurely closed connection, so upstream connection is closed too";
    info!(target: TARGET, connection, "{text} while {action}{context}");
}

/// Reports that the client took nothing of its answer for `send_timeout`.
pub fn client_timed_out(record: &Record, action: Action) {
    let (connection, context) = (record.downstream.serial, Context::with_upstream(record));
    info!(target: TARGET, connection, "client timed out (110: Connection timed out) while {action}{context}");
}

/// Reports that the drain ended before the request did. How many there were is a line of its own, at `warn`.
pub fn cut(record: &Record, action: Action) {
    let (connection, context) = (record.downstream.serial, Context::with_upstream(record));
    info!(target: TARGET, connection, "the request is cut by the end of the drain while {action}{context}");
}

/// Reports a TLS handshake that failed: an `info` line, as anyone can cause it.
pub fn handshake(refusal: &dyn Display, downstream: &Downstream) {
    let Downstream { serial, peer, local, .. } = downstream;
    let connection = serial;
    info!(target: TARGET, connection, "{refusal} while SSL handshaking, client: {peer}, server: {local}");
}

/// Reports how a client's connection broke: nginx logs the client's faults at `info`, as anyone can cause them.
pub fn connection(error: &dyn Display, downstream: &Downstream) {
    let Downstream { serial, peer, local, .. } = downstream;
    let connection = serial;
    info!(target: TARGET, connection, "{error}, client: {peer}, server: {local}");
}

/// Reports a request body of `bytes` (or more) that is beyond the limit: 413.
pub fn body_too_large(record: &Record, bytes: u64) {
    let (connection, context) = (record.downstream.serial, Context { record, upstream: Upstream::None });
    error!(target: TARGET, connection, "client intended to send too large body: {bytes} bytes{context}");
}

/// Reports a request body without a length that is beyond the limit after `bytes`: 413.
pub fn chunked_body_too_large(record: &Record, bytes: u64) {
    let (connection, context) = (record.downstream.serial, Context::with_upstream(record));
    error!(target: TARGET, connection, "client intended to send too large chunked body: {bytes} bytes{context}");
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting to upstream",
            Self::Handshaking => "SSL handshaking to upstream",
            Self::Sending => "sending request to upstream",
            Self::ReadingHeader => "reading response header from upstream",
            Self::ReadingUpstream => "reading upstream",
        })
    }
}

impl Display for Failure<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.reason {
            FailureReason::Connect => {
                f.write_str("connect() ")?;
                // nginx names the address only when connect() itself fails at once, as it does for a unix socket.
                if let Some(Address::Unix(path)) = last_address(self.record) {
                    write!(f, "to unix:{} ", path.display())?;
                }
                write!(f, "failed ({})", SystemError(self.cause))
            }
            FailureReason::ConnectTimeout | FailureReason::SendTimeout | FailureReason::ReadTimeout => {
                f.write_str("upstream timed out (110: Connection timed out)")
            }
            FailureReason::Tls => self.cause.fmt(f),
            FailureReason::Reset => write!(f, "{} failed ({})", self.call(), SystemError(self.cause)),
            FailureReason::Closed => f.write_str("upstream prematurely closed connection"),
            // Past the header it is the framing of the body, of which nginx says no more.
            FailureReason::InvalidHeader if self.action == Action::ReadingUpstream => {
                f.write_str("upstream sent invalid chunked response")
            }
            FailureReason::InvalidHeader => write!(f, "upstream sent invalid header: \"{}\"", self.cause),
            FailureReason::HeaderTooLarge if self.action == Action::ReadingUpstream => {
                f.write_str("upstream sent too big trailers")
            }
            FailureReason::HeaderTooLarge => f.write_str("upstream sent too big header"),
            FailureReason::Status(status) => write!(f, "upstream sent status {status}"),
        }
    }
}

impl Failure<'_> {
    /// The call that fails in nginx when a connection breaks.
    fn call(&self) -> &'static str {
        let tls = self.record.group.as_ref().is_some_and(|group| group.tls.is_some());
        match (self.action, tls) {
            (Action::Connecting | Action::Handshaking, _) => "connect()",
            (Action::Sending, false) => "writev()",
            (Action::Sending, true) => "SSL_write()",
            (Action::ReadingHeader, false) => "recv()",
            (Action::ReadingUpstream, false) => "readv()",
            (Action::ReadingHeader | Action::ReadingUpstream, true) => "SSL_read()",
        }
    }
}

impl Display for SystemError<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        // The standard library prints `Connection refused (os error 111)`.
        match text.strip_suffix(')').and_then(|text| text.split_once(" (os error ")) {
            Some((message, number)) => write!(f, "{number}: {message}"),
            None => f.write_str(&text),
        }
    }
}

impl<'a> Context<'a> {
    fn with_upstream(record: &'a Record) -> Self {
        Self { record, upstream: Upstream::Named }
    }
}

impl Display for Context<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let record = self.record;
        let mut line = Vec::with_capacity(128);
        variables::push_request_line(record, &mut line);
        let line = String::from_utf8_lossy(&line);
        write!(f, ", client: {}, server: {}, request: \"{line}\"", record.client, record.server_name())?;
        if let (Upstream::Named, Some(group)) = (self.upstream, &record.group) {
            let server = record.attempts.last().and_then(|attempt| attempt.server.as_ref());
            let upstream = server.map_or(&group.name, |server| &server.address_text);
            // nginx sets a colon between the path of a unix socket and the URI.
            let colon = if upstream.starts_with("unix:") { ":" } else { "" };
            let scheme = if group.tls.is_some() { "https" } else { "http" };
            write!(f, ", upstream: \"{scheme}://{upstream}{colon}{}\"", variables::request_uri(record))?;
        }
        for (name, key) in [("host", header::HOST), ("referrer", header::REFERER)] {
            if let Some(value) = record.headers.get(key) {
                write!(f, ", {name}: \"{}\"", value.as_bytes().escape_ascii())?;
            }
        }
        Ok(())
    }
}

fn last_address(record: &Record) -> Option<&Address> {
    Some(&record.attempts.last()?.server.as_ref()?.address)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::record::Attempt;
    use crate::testing;

    fn failure(record: &Record, reason: FailureReason, cause: &dyn Display) -> String {
        Failure { record, reason, action: Action::Connecting, cause }.to_string()
    }

    #[test]
    fn texts_an_nginx_operator_knows() {
        let record = testing::record();
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(failure(&record, FailureReason::Connect, &refused), "connect() failed (111: Connection refused)");
        let timeout = failure(&record, FailureReason::ReadTimeout, &"");
        assert_eq!(timeout, "upstream timed out (110: Connection timed out)");
        assert_eq!(failure(&record, FailureReason::Connect, &"no route"), "connect() failed (no route)");
    }

    #[test]
    fn a_broken_connection_says_what_was_tried_on_it() {
        let record = testing::record();
        let said = |reason, action, errno| {
            let cause = io::Error::from_raw_os_error(errno);
            Failure { record: &record, reason, action, cause: &cause }.to_string()
        };
        for (action, errno, text) in [
            (Action::Sending, 32, "writev() failed (32: Broken pipe)"),
            (Action::ReadingHeader, 104, "recv() failed (104: Connection reset by peer)"),
            (Action::ReadingUpstream, 104, "readv() failed (104: Connection reset by peer)"),
            (Action::ReadingUpstream, 113, "readv() failed (113: No route to host)"),
        ] {
            assert_eq!(said(FailureReason::Reset, action, errno), text);
        }
        let chunk = said(FailureReason::InvalidHeader, Action::ReadingUpstream, 0);
        assert_eq!(chunk, "upstream sent invalid chunked response");
    }

    #[test]
    fn a_unix_socket_is_named() {
        let mut record = testing::record();
        record.group = Some(testing::group("shop/app", &["unix:/run/app.sock"]));
        record.attempts.push(Attempt::begin(testing::server_of(&record, 0), record.started));
        let missing = io::Error::from_raw_os_error(2);
        let text = failure(&record, FailureReason::Connect, &missing);
        assert_eq!(text, "connect() to unix:/run/app.sock failed (2: No such file or directory)");
        let context = Context::with_upstream(&record).to_string();
        assert!(context.contains("upstream: \"http://unix:/run/app.sock:/cart?id=7\""), "{context}");
    }

    #[test]
    fn the_context_says_who_asked_for_what_where() {
        let mut record = testing::record();
        record.attempts.push(Attempt::begin(testing::server_of(&record, 1), record.started));
        assert_eq!(
            Context::with_upstream(&record).to_string(),
            ", client: 192.0.2.7, server: shop.example, request: \"GET /cart?id=7 HTTP/1.1\", \
             upstream: \"http://127.0.0.1:2/cart?id=7\", host: \"shop.example:8080\""
        );
        record.attempts.push(Attempt::no_live_peers(record.started));
        let context = Context::with_upstream(&record).to_string();
        assert!(context.contains("upstream: \"http://shop/app/cart?id=7\""), "{context}");
    }
}
