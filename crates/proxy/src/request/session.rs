//! `sticky learn`: which session an answer ties to the server that gave it.
//!
//! nginx ties the session that the response creates, else anew the one that the request was found to belong to: after a retry
//! it stays with the server that answered (`ngx_http_upstream_sticky_module.c`).

use config::{Sticky, StickyLearn};
use http::HeaderMap;

use crate::clock::Moment;
use crate::record::Record;
use crate::request::inputs::first;
use crate::snapshot::GroupView;
use crate::variables::View;

/// The session of one response; none for groups that do not learn.
#[derive(Debug, Default)]
pub(crate) struct Session(Option<Vec<u8>>);

impl Session {
    /// The session of a response with this header, to a request that was found to belong to `found`.
    pub(crate) fn of(group: &GroupView, record: &Record, found: Option<Vec<u8>>, response: &HeaderMap) -> Self {
        let view = View { record, upstream_headers: Some(response), sent_headers: None };
        Self(learn(group).and_then(|learn| first(&learn.create, &view)).or(found))
    }

    /// Whether it is tied as soon as the header was read, rather than at the end of the response.
    pub(crate) fn begins_with_header(group: &GroupView) -> bool {
        learn(group).is_some_and(|learn| learn.on_header)
    }

    /// Ties it to the server at `position`; once.
    pub(crate) fn tie(&mut self, group: &GroupView, position: usize, now: Moment) {
        if let Some(session) = self.0.take() {
            group.cell.sessions.lock().insert(&session, &group.servers[position].sid, now.now());
        }
    }
}

fn learn(group: &GroupView) -> Option<&StickyLearn> {
    match &group.config.sticky {
        Some(Sticky::Learn(learn)) => Some(learn),
        Some(Sticky::Cookie(_) | Sticky::Route(_)) | None => None,
    }
}
