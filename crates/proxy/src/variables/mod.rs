//! The values of nginx's variables, computed from what is known of one request.
//!
//! Everything is appended to the caller's buffer; nothing is kept but the current second's text. A value that does not exist
//! is told apart from an empty one, because nginx's log prints `-` for the first and nothing for the second
//! (`ngx_http_log_variable`, `not_found`).

use std::net::IpAddr;

use config::Template;
use config::template::{Part, Variable};
use http::{HeaderMap, Version, header};

use crate::record::{Record, RequestId, Scheme, Transport};
use crate::tls::Session;

mod lookup;
mod machine;
mod number;
mod shape;
mod time;
mod upstream;
mod uri;

pub(crate) use lookup::push_header;
pub use lookup::{argument, cookie, cookie_value};
pub use machine::hostname;
use number::push_seconds;
pub(crate) use number::{push_hex, push_number};
pub(crate) use shape::{Needs, Shape, Text, shape};
pub(crate) use time::rfc3339_utc;
pub(crate) use uri::{normalise, percent_decode};

/// What a template is evaluated against.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The request so far.
    pub record: &'a Record,
    /// The header of the last server's response (`$upstream_http_*`, `$upstream_cookie_*`).
    pub upstream_headers: Option<&'a HeaderMap>,
    /// The header sent to the client (`$sent_http_*`).
    pub sent_headers: Option<&'a HeaderMap>,
}

/// Whether a variable has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It has, perhaps an empty one.
    Found,
    /// nginx's `not_found`.
    Missing,
}

impl<'a> View<'a> {
    /// A finished request with the headers it kept.
    pub fn finished(record: &'a Record) -> Self {
        Self { record, upstream_headers: record.upstream_headers.as_ref(), sent_headers: record.sent_headers.as_ref() }
    }
}

impl From<bool> for Presence {
    fn from(found: bool) -> Self {
        if found { Self::Found } else { Self::Missing }
    }
}

/// Appends the text of `template`. Values that do not exist are empty.
pub fn render(template: &Template, view: &View<'_>, out: &mut Vec<u8>) {
    for part in template.parts() {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Variable(variable) => {
                append(variable, view, out);
            }
        }
    }
}

/// Appends the value of one variable, and says whether there is one.
pub(crate) fn append(variable: &Variable, view: &View<'_>, out: &mut Vec<u8>) -> Presence {
    let record = view.record;
    match variable {
        Variable::Request
        | Variable::RequestMethod
        | Variable::RequestUri
        | Variable::Uri
        | Variable::DocumentUri
        | Variable::ServerProtocol
            if record.unread =>
        {
            return Presence::Missing;
        }
        Variable::RequestUri => push(out, request_uri(record)),
        // Nothing for a target that is answered with 400, as in nginx.
        Variable::Uri | Variable::DocumentUri => {
            out.extend_from_slice(&normalise(record.uri.path()).unwrap_or_default());
        }
        Variable::Args | Variable::QueryString => return push_some(out, query(record)),
        Variable::IsArgs => push(out, if query(record).is_some() { "?" } else { "" }),
        Variable::Host => push(out, &record.host),
        Variable::Hostname => push(out, hostname()),
        Variable::RequestMethod => push(out, record.method.as_str()),
        Variable::Request => push_request_line(record, out),
        Variable::Scheme => push(out, scheme(record)),
        Variable::Https => push(out, if session(record).is_some() { "on" } else { "" }),
        Variable::SslProtocol => return push_some(out, session(record).map(|session| session.protocol)),
        Variable::SslCipher => return push_some(out, session(record).map(|session| session.cipher)),
        Variable::SslServerName => {
            return push_some(out, session(record).and_then(|session| session.server_name.as_deref()));
        }
        Variable::SslSessionReused => {
            return push_some(out, session(record).map(|session| if session.reused { "r" } else { "." }));
        }
        Variable::RemoteAddr => push_ip(out, record.client),
        Variable::RemotePort => return push_port(out, record.client_port),
        Variable::RemoteUser => return push_some(out, lookup::basic_user(&record.headers).as_deref()),
        Variable::RealipRemoteAddr => push_ip(out, record.downstream.peer.ip()),
        Variable::RealipRemotePort => return push_port(out, record.downstream.peer.port()),
        Variable::ServerAddr => push_ip(out, record.downstream.local.ip()),
        Variable::ServerPort => push_number(out, record.downstream.local.port()),
        Variable::ServerName => push(out, record.server_name()),
        Variable::ServerProtocol => push(out, protocol(record)),
        Variable::RequestId => push_request_id(out, &record.request_id),
        Variable::ContentLength => return push_header(&record.headers, &header::CONTENT_LENGTH, out),
        Variable::ContentType => return push_header(&record.headers, &header::CONTENT_TYPE, out),
        Variable::ProxyAddXForwardedFor => {
            if lookup::push_named_header(Some(&record.headers), "x-forwarded-for", out) == Presence::Found {
                push(out, ", ");
            }
            push_ip(out, record.client);
        }
        Variable::ProxyHost => return push_some(out, record.group.as_ref().map(|group| group.id.name())),
        Variable::UpstreamGroup => return push_some(out, record.group.as_ref().map(|group| &*group.name)),
        Variable::Connection => push_number(out, record.downstream.serial),
        Variable::ConnectionRequests => push_number(out, record.serial),
        Variable::Pid => push_number(out, std::process::id()),
        Variable::Msec => push_seconds(out, record.finished.micros() / 1000),
        Variable::TimeLocal => time::push_local(out, record.finished),
        Variable::TimeIso8601 => time::push_iso8601(out, record.finished),
        Variable::UpstreamAddr => return upstream::addresses(record, out),
        Variable::UpstreamStatus => return upstream::statuses(record, out),
        Variable::UpstreamConnectTime => return upstream::times(record, |attempt| attempt.connect, out),
        Variable::UpstreamHeaderTime => return upstream::times(record, |attempt| attempt.header, out),
        Variable::UpstreamResponseTime => return upstream::times(record, |attempt| attempt.response, out),
        Variable::UpstreamResponseLength => return upstream::bytes(record, |attempt| attempt.response_length, out),
        Variable::UpstreamBytesSent => return upstream::bytes(record, |attempt| attempt.bytes_sent, out),
        Variable::UpstreamBytesReceived => return upstream::bytes(record, |attempt| attempt.bytes_received, out),
        Variable::Status => number::push_status(out, record.status),
        Variable::BodyBytesSent => push_number(out, record.body_bytes_sent),
        Variable::BytesSent => push_number(out, record.header_bytes_sent + record.body_bytes_sent),
        Variable::RequestTime => {
            number::push_duration(out, record.finished.since(record.started));
        }
        Variable::RequestLength => push_number(out, request_length(record)),
        Variable::RequestCompletion => push(out, if record.complete { "OK" } else { "" }),
        Variable::Arg(name) => return push_some(out, query(record).and_then(|query| argument(query, name))),
        Variable::Cookie(name) => return push_some(out, cookie_value(&record.headers, name)),
        Variable::Http(name) => return lookup::push_named_header(Some(&record.headers), name, out),
        Variable::UpstreamHttp(name) => return lookup::push_named_header(view.upstream_headers, name, out),
        Variable::UpstreamCookie(name) => {
            return push_some(out, view.upstream_headers.and_then(|headers| lookup::set_cookie(headers, name)));
        }
        Variable::SentHttp(name) => return lookup::push_named_header(view.sent_headers, name, out),
    }
    Presence::Found
}

/// Path and query as sent; an absolute-form target without its authority (nginx `r->unparsed_uri`).
pub(crate) fn request_uri(record: &Record) -> &str {
    record.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

/// `http` or `https`.
pub(crate) fn scheme(record: &Record) -> &'static str {
    match record.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

/// Of the client's connection, if it is TLS.
fn session(record: &Record) -> Option<&Session> {
    match &record.downstream.transport {
        Transport::Tls(session) => Some(session),
        Transport::Plain | Transport::PlainToTls => None,
    }
}

/// Appends an IP address as nginx prints it.
pub(crate) fn push_ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => number::push_octets(out, v4.octets()),
        IpAddr::V6(_) => number::push_display(out, &address),
    }
}

/// Appends the request line as the client sent it.
pub(crate) fn push_request_line(record: &Record, out: &mut Vec<u8>) {
    push(out, record.method.as_str());
    out.push(b' ');
    if let (Some(scheme), Some(authority)) = (record.uri.scheme_str(), record.uri.authority()) {
        for piece in [scheme, "://", authority.as_str()] {
            push(out, piece);
        }
    }
    push(out, request_uri(record));
    out.push(b' ');
    push(out, protocol(record));
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_some<T: AsRef<[u8]> + ?Sized>(out: &mut Vec<u8>, value: Option<&T>) -> Presence {
    if let Some(value) = value {
        out.extend_from_slice(value.as_ref());
    }
    value.is_some().into()
}

/// A port of 0 means that a trusted proxy did not tell it: nginx prints an empty value.
fn push_port(out: &mut Vec<u8>, port: u16) -> Presence {
    if port > 0 {
        push_number(out, port);
    }
    Presence::Found
}

fn push_request_id(out: &mut Vec<u8>, id: &RequestId) {
    match id {
        RequestId::Random(bits) => push_hex(out, *bits),
        RequestId::Given(text) => push(out, text),
    }
}

/// nginx's `r->args`; a question mark with nothing behind it is no query.
fn query(record: &Record) -> Option<&str> {
    record.uri.query().filter(|query| !query.is_empty())
}

fn protocol(record: &Record) -> &'static str {
    match record.version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// Request line, header lines and body with their line ends; 0, as nginx counts it, before a header line was read.
fn request_length(record: &Record) -> u64 {
    if record.unread {
        return 0;
    }
    let target = match (record.uri.scheme_str(), record.uri.authority()) {
        (Some(scheme), Some(authority)) => scheme.len() + 3 + authority.as_str().len(),
        _ => 0,
    } + request_uri(record).len();
    let line = record.method.as_str().len() + 1 + target + 1 + protocol(record).len() + 2;
    let lines: usize = record.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (line + lines + 2) as u64 + record.request_body_bytes
}

#[cfg(test)]
mod tests;
