//! What a request is answered with: lines of the feed, or a sentence that a person with curl can act on.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use config::Millis;
use feed::frames::Leader;
use feed::{Forbidden, Violation};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::lines::Lines;
use crate::identity::Denied;

/// The body of a response.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// All of it; `None` once it is said.
    Text(Option<Bytes>),
    Lines(Lines),
}

/// Why a request is not served.
#[derive(Debug)]
pub(super) enum Refusal {
    NoSuchPath,
    Method {
        allow: &'static str,
    },
    ContentType {
        wanted: &'static str,
    },
    Denied(Denied),
    Forbidden(Forbidden),
    /// More at once than one holder, or all of them, may have.
    TooMany(&'static str),
    /// A report that is none, or longer than one is.
    Report(Violation),
    /// It ended or broke in the middle.
    Incomplete,
    TooSlow,
    /// A report that the leader has no room for, or not for all of it.
    NoRoom,
    /// Another replica takes reports, or none at this moment.
    NotLeader(Option<Leader>),
}

impl Outgoing {
    pub fn empty() -> Self {
        Self::Text(None)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Lines(lines) => lines.poll(cx).map(|line| line.map(|line| Ok(Frame::data(line)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Lines(lines) => lines.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Lines(_) => SizeHint::default(),
        }
    }
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Denied(denied) => match denied {
                Denied::Missing { .. } | Denied::Token(_) | Denied::Rejected(_) | Denied::Certificate(_) => {
                    StatusCode::UNAUTHORIZED
                }
                Denied::Account(_) => StatusCode::FORBIDDEN,
                Denied::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
                Denied::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::Forbidden(_) | Self::Report(Violation::Forbidden(_)) => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Report(Violation::LineTooLong { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Report(_) | Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotLeader(_) => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    /// When it makes sense to come again.
    fn after(&self) -> Option<Millis> {
        match self {
            Self::Denied(Denied::Throttled { after } | Denied::Unavailable { after, .. }) => Some(*after),
            Self::TooMany(_) | Self::NoRoom => Some(Millis::from_secs(10)),
            _ => None,
        }
    }

    pub fn into_response(self) -> Response<Outgoing> {
        let mut response = Response::new(Outgoing::Text(Some(self.to_string().into())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let kind = match self {
            Self::NotLeader(_) => "application/json",
            _ => "text/plain; charset=utf-8",
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Self::Method { allow } = self {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.0.div_ceil(1000)));
        }
        response
    }
}

impl fmt::Display for Refusal {
    /// The body: one line, with its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchPath => f.write_str("there is nothing here; a controller serves /feed/v1 and /report/v1"),
            Self::Method { allow } => write!(f, "this path takes {allow}"),
            Self::ContentType { wanted } => write!(f, "send Content-Type: {wanted}"),
            Self::Denied(denied) => denied.fmt(f),
            Self::Forbidden(forbidden) => forbidden.fmt(f),
            Self::TooMany(what) => write!(f, "too many {what} at once; close some and come again"),
            Self::Report(violation) => violation.fmt(f),
            Self::Incomplete => f.write_str("the request ended before its body did"),
            Self::TooSlow => f.write_str("the body took too long"),
            Self::NoRoom => f.write_str(
                "the leader has no room for more data planes, or for more of their servers: statuses lack some of this report",
            ),
            Self::NotLeader(leader) => f.write_str(&serde_json::json!({ "leader": leader }).to_string()),
        }?;
        f.write_str("\n")
    }
}
