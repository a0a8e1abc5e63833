//! What is known about one request, gathered along its way. The access log, the metrics and every variable are computed from
//! this one value, so that they cannot disagree.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use balance::retry::Condition;
use http::{HeaderMap, Method, Uri, Version};
use smallvec::SmallVec;

use crate::clock::Moment;
use crate::snapshot::{GroupView, ServerView};
use crate::stats;
use crate::tls::Session;

mod reason;

pub use reason::FailureReason;

/// Facts of a client connection, shared by its requests.
#[derive(Debug)]
pub struct Downstream {
    /// Serial number within the process, from 1 (`$connection`).
    pub serial: u64,
    /// The address of the peer of the connection itself (`$realip_remote_addr`).
    pub peer: SocketAddr,
    /// The address that accepted it (`$server_addr`, `$server_port`).
    pub local: SocketAddr,
    /// Requests so far (`$connection_requests`).
    pub requests: AtomicU64,
    /// What carries them.
    pub transport: Transport,
}

/// What carries a connection's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP alone.
    Plain,
    /// TLS, ended here.
    Tls(Box<Session>),
    /// TCP alone, to a listener that expects TLS: every request is answered with 400 (nginx `ngx_http_wait_request_handler`).
    PlainToTls,
}

impl Transport {
    /// Whether the end of a connection is said before it is closed (`close_notify`, RFC 8446 section 6.1).
    pub(crate) fn says_goodbye(&self) -> bool {
        match self {
            Self::Plain | Self::PlainToTls => false,
            Self::Tls(_) => true,
        }
    }
}

/// `http` or `https`, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS, ended here or by a trusted proxy in front.
    Https,
}

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Still in progress; at the end of a request: the client left before a response header came.
    Running,
    /// Its response was passed on to the end.
    Relayed,
    /// Its response was passed on but broke off in the body.
    CutOff,
    /// Given up, charged to the server.
    Failed(FailureReason),
    /// Given up, charged to nobody: what went wrong is the client's choice, or ours.
    Excused(FailureReason),
    /// A listed 403 or 404 that was retried; no blame.
    Next(u16),
    /// The client, not the server, ended it.
    Abandoned,
    /// No server was eligible: `no live upstreams`.
    NoLivePeers,
}

/// One try to get a response.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The server it was made at; `None` when no server was eligible.
    pub server: Option<Arc<ServerView>>,
    /// When the server was picked.
    pub started: Moment,
    /// Whether an idle connection was reused.
    pub reused: bool,
    /// Time to connect; zero for a reused connection, `None` when not connected.
    pub connect: Option<Duration>,
    /// Time to the complete response header.
    pub header: Option<Duration>,
    /// Time to the end of the attempt.
    pub response: Option<Duration>,
    /// The status received, or the one the failure stands for.
    pub status: Option<u16>,
    /// How it ended.
    pub end: AttemptEnd,
    /// Bytes of response body received.
    pub response_length: u64,
    /// Bytes sent on the wire.
    pub bytes_sent: u64,
    /// Bytes received on the wire.
    pub bytes_received: u64,
}

/// One request and its response.
#[derive(Debug)]
pub struct Record {
    /// The connection it came on.
    pub downstream: Arc<Downstream>,
    /// Its number on that connection, from 1.
    pub serial: u64,
    /// When its header was complete.
    pub started: Moment,
    /// Whether its header could not be read: then what a request line says does not exist.
    pub unread: bool,
    /// The request line and header as received; of HTTP/2 in the form of HTTP/1.1.
    pub method: Method,
    /// The target as received; absolute-form keeps its authority.
    pub uri: Uri,
    /// The client's version.
    pub version: Version,
    /// The header as received.
    pub headers: HeaderMap,
    /// `$host`: of the target, else of the Host header without port, lower case; empty when there is none.
    pub host: Arc<str>,
    /// The client's address, behind trusted proxies too (`$remote_addr`).
    pub client: IpAddr,
    /// The client's port; 0 when a trusted proxy named an address without one (`$remote_port`).
    pub client_port: u16,
    /// Whether the direct peer is a trusted proxy.
    pub trusted: bool,
    /// As the client sees it (`$scheme`).
    pub scheme: Scheme,
    /// 32 hexadecimal digits, or what a trusted proxy sent (`$request_id`).
    pub request_id: RequestId,
    /// The host pattern of the route that matched (`$server_name`); `None`, which is said `_`, for one of any host or no route.
    pub server_name: Option<Arc<str>>,
    /// The group it was balanced in.
    pub group: Option<Arc<GroupView>>,
    /// Every attempt, in order.
    pub attempts: SmallVec<[Attempt; 1]>,
    /// Bytes of request body received from the client.
    pub request_body_bytes: u64,
    /// The last server's response header, kept only when the log template asks for it.
    pub upstream_headers: Option<HeaderMap>,
    /// The header sent to the client, kept only when the log template asks for it.
    pub sent_headers: Option<HeaderMap>,
    /// The status sent to the client; 499 when it left before one was sent, 503 when the end of a drain cut it before.
    pub status: u16,
    /// Bytes of body handed to the client's connection; of HTTP/1, if the response is not complete, not more than it took.
    pub body_bytes_sent: u64,
    /// The size of the response header as serialised, estimated.
    pub header_bytes_sent: u64,
    /// Whether the response was handed over completely; of HTTP/1, to the system.
    pub complete: bool,
    /// When it was over; the start until then.
    pub finished: Moment,
}

/// `$request_id`, made only if somebody looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// 128 random bits, printed as 32 hexadecimal digits.
    Random(u128),
    /// What a trusted proxy sent.
    Given(Arc<str>),
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Random(bits) => write!(f, "{bits:032x}"),
            Self::Given(text) => f.write_str(text),
        }
    }
}

impl Record {
    /// `$server_name`.
    pub fn server_name(&self) -> &str {
        self.server_name.as_deref().unwrap_or("_")
    }

    /// Begins an attempt, and counts that the one before it was followed by another.
    pub fn begin_attempt(&mut self, attempt: Attempt) {
        stats::attempt_begins(self, &attempt);
        self.attempts.push(attempt);
    }

    /// The last attempt has a connection after `time`, an idle one if `reused`.
    pub fn connected(&mut self, reused: bool, time: Duration) {
        if let Some(attempt) = self.attempts.last_mut() {
            (attempt.reused, attempt.connect) = (reused, Some(time));
        }
    }

    /// So many bytes were sent and received for the last attempt.
    pub fn moved(&mut self, (sent, received): (u64, u64)) {
        if let Some(attempt) = self.attempts.last_mut() {
            (attempt.bytes_sent, attempt.bytes_received) = (sent, received);
        }
    }

    /// The header of the last attempt's response was complete at `at`.
    pub fn header_arrived(&mut self, status: u16, at: Moment) {
        if let Some(attempt) = self.attempts.last_mut() {
            (attempt.status, attempt.header) = (Some(status), Some(at.since(attempt.started)));
        }
    }

    /// The last attempt failed, which stands for this status.
    pub fn stands_for(&mut self, status: u16) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.status = Some(status);
        }
    }

    /// Bytes of the last attempt's response body go to the client.
    pub fn relayed(&mut self, bytes: u64) {
        self.body_bytes_sent += bytes;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.response_length += bytes;
        }
    }

    /// Ends the last attempt at `at`, and counts it. `disabled`: the failure reached `max_fails`, the server is out for
    /// `fail_timeout`.
    pub fn end_attempt(&mut self, end: AttemptEnd, disabled: bool, at: Moment) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.end = end;
            attempt.response = Some(at.since(attempt.started));
            stats::attempt_ends(attempt, disabled, at);
        }
    }
}

impl AttemptEnd {
    /// The value of `proxy_next_upstream` that allows another attempt after it.
    pub fn condition(self) -> Option<Condition> {
        match self {
            Self::Failed(reason) | Self::Excused(reason) => reason.condition(),
            Self::Next(status) => Condition::of_status(status),
            Self::Running | Self::Relayed | Self::CutOff | Self::Abandoned | Self::NoLivePeers => None,
        }
    }
}

impl Attempt {
    /// An attempt at `server` that begins now.
    pub fn begin(server: Arc<ServerView>, started: Moment) -> Self {
        Self { server: Some(server), ..Self::nowhere(started) }
    }

    fn nowhere(started: Moment) -> Self {
        Self {
            server: None,
            started,
            reused: false,
            connect: None,
            header: None,
            response: None,
            status: None,
            end: AttemptEnd::Running,
            response_length: 0,
            bytes_sent: 0,
            bytes_received: 0,
        }
    }

    /// The entry nginx logs when no server was eligible: the group's name, 502, 0.000.
    pub fn no_live_peers(at: Moment) -> Self {
        Self { response: Some(Duration::ZERO), status: Some(502), end: AttemptEnd::NoLivePeers, ..Self::nowhere(at) }
    }
}
