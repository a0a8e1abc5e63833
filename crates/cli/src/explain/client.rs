//! Who asks: the requests as the data plane would see them, and what a browser would remember between two of them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use balance::{BoundPlan, Inputs, Request};
use config::{Group, Method, Sticky, Template};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use proxy::clock::Moment;
use proxy::record::{Downstream, Http1, Record, RequestId, Scheme, Transport};
use proxy::variables::{self, View};

use super::{ExplainArgs, ExplainError};

/// Where nothing listens (RFC 5737): the addresses of a connection that does not exist.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 0)), 80);

/// The clients of a run.
#[derive(Debug)]
pub struct Clients {
    addresses: Vec<IpAddr>,
    uris: Vec<String>,
    method: http::Method,
    host: Arc<str>,
    headers: Vec<(HeaderName, String)>,
    cookies: Vec<(String, String)>,
    /// The sticky cookie of each client, as its browser holds it.
    jars: HashMap<IpAddr, String>,
    /// The servers of the sessions that `sticky learn` would know.
    learnt: HashMap<Vec<u8>, String>,
}

/// One request on its way.
#[derive(Debug)]
pub struct Visit {
    /// Where it comes from.
    pub client: IpAddr,
    /// What it asks for.
    pub uri: String,
    /// The evaluated hash key, when the method has one.
    pub hash_key: Option<String>,
    /// The server id its session asks for.
    pub sid: Option<String>,
    /// The session that a learnt server would be remembered by.
    session: Option<Vec<u8>>,
}

impl Clients {
    /// From the command line.
    pub fn new(args: &ExplainArgs) -> Result<Self, ExplainError> {
        let header = |text: &String| {
            let (name, value) = text.split_once(':').ok_or(())?;
            let name: HeaderName = name.trim().parse().map_err(|_| ())?;
            HeaderValue::from_str(value.trim()).map_err(|_| ())?;
            Ok((name, value.trim().to_owned()))
        };
        let headers = args.header.iter().map(|text| header(text).map_err(|()| ExplainError::Header(text.clone())));
        let cookie = |text: &String| match text.split_once('=') {
            Some((name, value)) if HeaderValue::from_str(text).is_ok() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(ExplainError::Cookie(text.clone())),
        };
        for uri in &args.uri {
            if !uri.starts_with('/') || number(uri, 1).parse::<Uri>().is_err() {
                return Err(ExplainError::Uri(uri.clone()));
            }
        }
        Ok(Self {
            addresses: args.client.clone(),
            uris: args.uri.clone(),
            method: args.method.clone(),
            host: args.host.to_ascii_lowercase().into(),
            headers: headers.collect::<Result<_, _>>()?,
            cookies: args.cookie.iter().map(cookie).collect::<Result<_, _>>()?,
            jars: HashMap::new(),
            learnt: HashMap::new(),
        })
    }

    /// Whether the method is one that is not sent twice (`proxy_next_upstream non_idempotent`).
    pub fn is_non_idempotent(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "LOCK" | "PATCH")
    }

    /// The request number `n`, from 1, arriving at `millis`.
    pub fn visit(&self, n: u32, millis: u64, group: &Group) -> Visit {
        let turn = n as usize - 1;
        let client = self.addresses[turn % self.addresses.len()];
        let uri = number(&self.uris[turn % self.uris.len()], n);
        let record = self.record(n, millis, client, &uri, group);
        let view = View { record: &record, upstream_headers: None, sent_headers: None };
        let hash_key = match &group.method {
            Method::Hash { key, .. } => Some(String::from_utf8_lossy(&render(key, &view)).into_owned()),
            Method::RoundRobin
            | Method::LeastConn
            | Method::IpHash
            | Method::Random
            | Method::RandomTwo
            | Method::LeastTime { .. } => None,
        };
        let (sid, session) = match &group.sticky {
            None => (None, None),
            Some(Sticky::Cookie(cookie)) => {
                (variables::cookie(&record.headers, &cookie.name).map(ToOwned::to_owned), None)
            }
            Some(Sticky::Route(route)) => (first(&route.keys, &view).and_then(|key| String::from_utf8(key).ok()), None),
            Some(Sticky::Learn(learn)) => {
                let session = first(&learn.lookup, &view);
                (session.as_ref().and_then(|session| self.learnt.get(session).cloned()), session)
            }
        };
        Visit { client, uri, hash_key, sid, session }
    }

    /// Tells the client which server answered, as a response would.
    pub fn answered(&mut self, visit: &Visit, sid: &str, group: &Group) {
        match &group.sticky {
            Some(Sticky::Cookie(_)) => {
                self.jars.insert(visit.client, sid.to_owned());
            }
            // The server is taken to create the session that the client named.
            Some(Sticky::Learn(_)) => {
                if let Some(session) = &visit.session {
                    self.learnt.insert(session.clone(), sid.to_owned());
                }
            }
            Some(Sticky::Route(_)) | None => {}
        }
    }

    fn record(&self, n: u32, millis: u64, client: IpAddr, uri: &str, group: &Group) -> Record {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(name, value);
            }
        };
        add(header::HOST, &self.host);
        for (name, value) in &self.headers {
            add(name.clone(), &number(value, n));
        }
        for (name, value) in &self.cookies {
            add(header::COOKIE, &format!("{name}={}", number(value, n)));
        }
        if let (Some(Sticky::Cookie(cookie)), Some(sid)) = (&group.sticky, self.jars.get(&client)) {
            add(header::COOKIE, &format!("{}={sid}", cookie.name));
        }
        let started = Moment::from(millis * 1000);
        Record {
            downstream: Arc::new(Downstream {
                serial: n.into(),
                peer: SocketAddr::new(client, 0),
                local: NOBODY,
                requests: AtomicU64::new(1),
                http1: Http1::default(),
                transport: Transport::Plain,
            }),
            serial: 1,
            started,
            unread: false,
            method: self.method.clone(),
            uri: uri.parse().unwrap_or_default(),
            version: Version::HTTP_11,
            headers,
            host: self.host.split(':').next().unwrap_or_default().into(),
            client,
            client_port: 0,
            trusted: false,
            scheme: Scheme::Http,
            request_id: RequestId::Random(n.into()),
            server_name: None,
            group: None,
            attempts: std::iter::empty().collect(),
            request_body_bytes: 0,
            upstream_headers: None,
            sent_headers: None,
            status: 0,
            body_bytes_sent: 0,
            header_bytes_sent: 0,
            complete: false,
            finished: started,
        }
    }
}

impl Visit {
    /// The balancer's state for it.
    pub fn request(&self, plan: &BoundPlan) -> Request {
        let hash_key = self.hash_key.as_deref().unwrap_or_default().as_bytes();
        Request::new(plan, &Inputs { hash_key, client: Some(self.client), sid: self.sid.as_deref() })
    }
}

/// The text with the number of the request in place of `{i}`.
fn number(text: &str, n: u32) -> String {
    text.replace("{i}", &n.to_string())
}

fn render(template: &Template, view: &View<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    variables::render(template, view, &mut value);
    value
}

/// The first value that is not empty.
fn first(templates: &[Template], view: &View<'_>) -> Option<Vec<u8>> {
    templates.iter().map(|template| render(template, view)).find(|value| !value.is_empty())
}
