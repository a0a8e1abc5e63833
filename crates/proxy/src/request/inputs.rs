//! What the balancer looks at, evaluated once per request: the hash key, the client's address, the session's server.

use balance::{Inputs, Now, Request};
use config::{Method, Sticky, Template};

use crate::record::Record;
use crate::snapshot::GroupView;
use crate::variables::{self, View};

/// What a request brings to the balancer.
pub(crate) struct Asked {
    /// The balancer's state for a request that has tried nobody yet.
    pub(crate) request: Request,
    /// The session of `sticky learn` that the request says it belongs to, known or not: whoever answers keeps it.
    pub(crate) session: Option<Vec<u8>>,
}

/// Evaluates what `group` balances by.
pub(crate) fn ask(record: &Record, group: &GroupView, now: Now) -> Asked {
    let view = View { record, upstream_headers: None, sent_headers: None };
    let mut hash_key = Vec::new();
    if let Method::Hash { key, .. } = &group.config.method {
        variables::render(key, &view, &mut hash_key);
    }
    let (sid, session) = match &group.config.sticky {
        None => (None, None),
        Some(Sticky::Cookie(cookie)) => (variables::cookie(&record.headers, &cookie.name).map(Into::into), None),
        Some(Sticky::Route(route)) => {
            (first(&route.keys, &view).and_then(|sid| Some(std::str::from_utf8(&sid).ok()?.into())), None)
        }
        Some(Sticky::Learn(learn)) => {
            let session = first(&learn.lookup, &view);
            let known = |session: &Vec<u8>| group.cell.sessions.lock().lookup(session, now);
            (session.as_ref().and_then(known), session)
        }
    };
    let inputs = Inputs { hash_key: &hash_key, client: Some(record.client), sid: sid.as_deref() };
    Asked { request: Request::new(&group.plan, &inputs), session }
}

/// The first value that is not empty.
pub(crate) fn first(templates: &[Template], view: &View<'_>) -> Option<Vec<u8>> {
    templates.iter().find_map(|template| {
        let mut value = Vec::new();
        variables::render(template, view, &mut value);
        (!value.is_empty()).then_some(value)
    })
}
