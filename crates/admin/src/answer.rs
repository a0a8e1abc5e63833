//! What an answer looks like: text for people, JSON for programs, the exposition format for Prometheus. None of them is to be
//! stored: each tells of one moment.

use std::fmt::Display;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

/// The answer to one request.
pub type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Text format 0.0.4.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Lines for people.
pub fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    respond(status, TEXT, body.into())
}

/// A value as JSON, indented: it is read by people too. 500 with the reason if it cannot be written as JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string_pretty(value) {
        Ok(body) => respond(status, JSON, body + "\n"),
        Err(error) => failed(&error),
    }
}

/// What Prometheus scrapes, in its text format 0.0.4. 500 with the reason if it could not be encoded.
pub fn exposition(encoded: Result<String, impl Display>) -> Answer {
    match encoded {
        Ok(body) => respond(StatusCode::OK, EXPOSITION, body),
        Err(error) => failed(&error),
    }
}

fn failed(error: &impl Display) -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
