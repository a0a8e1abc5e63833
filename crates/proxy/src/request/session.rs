//! `sticky learn`: which session an answer ties to the server that gave it.
//!
//! nginx ties the session that the response creates, else anew the one that the request says it belongs to, if it is known: after
//! a retry it stays with the server that answered (`ngx_http_upstream_sticky_learn_peer`).

use config::{Sticky, StickyLearn};
use http::HeaderMap;

use crate::clock::Moment;
use crate::record::Record;
use crate::request::inputs::first;
use crate::snapshot::GroupView;
use crate::variables::View;

/// The session of one response; none for groups that do not learn.
#[derive(Debug, Default)]
pub(crate) struct Session(Option<Learned>);

#[derive(Debug)]
struct Learned {
    id: Vec<u8>,
    /// Whether the response creates it; else it must be known to be kept.
    is_created: bool,
}

impl Session {
    /// The session of a response with this header, to a request that belongs to the session `asked`, known or not.
    pub(crate) fn of(group: &GroupView, record: &Record, asked: Option<Vec<u8>>, response: &HeaderMap) -> Self {
        let view = View { record, upstream_headers: Some(response), sent_headers: None };
        let created = learn(group).and_then(|learn| first(&learn.create, &view));
        let kept = || asked.map(|id| Learned { id, is_created: false });
        Self(created.map(|id| Learned { id, is_created: true }).or_else(kept))
    }

    /// Whether it is tied as soon as the header was read, rather than at the end of the response.
    pub(crate) fn begins_with_header(group: &GroupView) -> bool {
        learn(group).is_some_and(|learn| learn.on_header)
    }

    /// Ties it to the server at `position`; once.
    pub(crate) fn tie(&mut self, group: &GroupView, position: usize, now: Moment) {
        if let Some(Learned { id, is_created }) = self.0.take() {
            let (mut sessions, sid) = (group.cell.sessions.lock(), &group.servers[position].sid);
            if is_created {
                sessions.insert(&id, sid, now.now());
            } else {
                sessions.renew(&id, sid, now.now());
            }
        }
    }
}

fn learn(group: &GroupView) -> Option<&StickyLearn> {
    match &group.config.sticky {
        Some(Sticky::Learn(learn)) => Some(learn),
        Some(Sticky::Cookie(_) | Sticky::Route(_)) | None => None,
    }
}
