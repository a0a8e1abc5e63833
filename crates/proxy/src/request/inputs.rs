//! What the balancer looks at, evaluated once per request: the hash key, the client's address, the session's server.

use std::net::IpAddr;
use std::sync::Arc;

use balance::{BoundPlan, Inputs, Now, Request};
use config::{Group, Method, Sticky, Template};

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

/// What a group balances by, of one request.
#[derive(Debug)]
pub struct Evaluated {
    /// The value of the key of method `Hash`; else empty.
    pub hash_key: Vec<u8>,
    /// Who asks.
    pub client: IpAddr,
    /// The server id that its session names.
    pub sid: Option<Arc<str>>,
    /// The session of `sticky learn` that it names, known or not.
    pub session: Option<Vec<u8>>,
}

impl Evaluated {
    /// Evaluates what `group` balances by. `lookup` knows the server ids of the sessions of `sticky learn`.
    pub fn of(record: &Record, group: &Group, lookup: impl FnOnce(&[u8]) -> Option<Arc<str>>) -> Self {
        let view = View { record, upstream_headers: None, sent_headers: None };
        let mut hash_key = Vec::new();
        if let Method::Hash { key, .. } = &group.method {
            variables::render(key, &view, &mut hash_key);
        }
        let (sid, session) = match &group.sticky {
            None => (None, None),
            Some(Sticky::Cookie(cookie)) => (variables::cookie(&record.headers, &cookie.name).map(Into::into), None),
            Some(Sticky::Route(route)) => {
                (first(&route.keys, &view).and_then(|sid| Some(std::str::from_utf8(&sid).ok()?.into())), None)
            }
            Some(Sticky::Learn(learn)) => {
                let session = first(&learn.lookup, &view);
                (session.as_deref().and_then(lookup), session)
            }
        };
        Self { hash_key, client: record.client, sid, session }
    }

    /// The balancer's state for a request that has tried nobody yet.
    pub fn request(&self, plan: &BoundPlan) -> Request {
        let Self { hash_key, client, sid, session: _ } = self;
        Request::new(plan, &Inputs { hash_key, client: Some(*client), sid: sid.as_deref() })
    }
}

/// Evaluates what the group of `view` balances by.
pub(crate) fn ask(record: &Record, view: &GroupView, now: Now) -> Asked {
    let lookup = |session: &[u8]| view.cell.sessions.lock().lookup(session, now);
    let evaluated = Evaluated::of(record, &view.config, lookup);
    Asked { request: evaluated.request(&view.plan), session: evaluated.session }
}

/// The first value that is not empty.
pub(crate) fn first(templates: &[Template], view: &View<'_>) -> Option<Vec<u8>> {
    templates.iter().find_map(|template| {
        let mut value = Vec::new();
        variables::render(template, view, &mut value);
        (!value.is_empty()).then_some(value)
    })
}
