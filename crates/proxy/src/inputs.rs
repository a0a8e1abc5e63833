//! What the balancer looks at, evaluated once per request: the hash key, the client's address, the session's server.

use balance::{Inputs, Now, Request};
use config::{Method, Sticky, Template};

use crate::record::Record;
use crate::snapshot::GroupView;
use crate::variables::{self, View};

/// The balancer's state for a request that has tried nobody yet.
pub(crate) fn request(record: &Record, group: &GroupView, now: Now) -> Request {
    let view = View { record, upstream_headers: None, sent_headers: None };
    let mut hash_key = Vec::new();
    if let Method::Hash { key, .. } = &group.config.method {
        variables::render(key, &view, &mut hash_key);
    }
    let sid = group.config.sticky.as_ref().and_then(|sticky| server_id(sticky, group, &view, now));
    Request::new(&group.plan, &Inputs { hash_key: &hash_key, client: Some(record.client), sid: sid.as_deref() })
}

/// The server id that the request asks for, if it does.
fn server_id(sticky: &Sticky, group: &GroupView, view: &View<'_>, now: Now) -> Option<String> {
    match sticky {
        Sticky::Cookie(cookie) => variables::cookie(&view.record.headers, &cookie.name).map(ToOwned::to_owned),
        Sticky::Route(route) => String::from_utf8(first(&route.keys, view)?).ok(),
        Sticky::Learn(learn) => {
            let session = first(&learn.lookup, view)?;
            group.cell.sessions.lock().lookup(&session, now).map(|sid| sid.to_string())
        }
    }
}

/// The first value that is not empty.
fn first(templates: &[Template], view: &View<'_>) -> Option<Vec<u8>> {
    templates.iter().find_map(|template| {
        let mut value = Vec::new();
        variables::render(template, view, &mut value);
        (!value.is_empty()).then_some(value)
    })
}
