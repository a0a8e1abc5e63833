//! Who asks: the requests as the data plane would see them, and what a browser would remember between two of them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU64;

use balance::Now;
use balance::learn::Sessions;
use config::{CookieLifetime, Group, Method, Sticky};
use http::{HeaderName, HeaderValue, Uri, header};
use proxy::Evaluated;
use proxy::clock::Moment;
use proxy::record::{Downstream, Record, RequestId, Transport};
use proxy::spec::learn_table;

use super::{ExplainArgs, ExplainError};

/// Where nothing listens (RFC 5737): the addresses of a connection that does not exist.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 0)), 80);

/// The clients of a run.
#[derive(Debug)]
pub struct Clients {
    addresses: Vec<IpAddr>,
    uris: Vec<String>,
    method: http::Method,
    host: String,
    headers: Vec<(HeaderName, String)>,
    cookies: Vec<(String, String)>,
    /// The sticky cookie of each client, as its browser holds it, and when it forgets it.
    jars: HashMap<IpAddr, (String, u64)>,
    /// The table of `sticky learn`.
    sessions: Sessions,
}

/// One request on its way.
#[derive(Debug)]
pub struct Visit {
    /// Where it comes from.
    pub client: IpAddr,
    /// What it asks for.
    pub uri: String,
    /// What it brings to the balancer.
    pub inputs: Evaluated,
}

impl Clients {
    /// From the command line.
    pub fn new(args: &ExplainArgs, group: &Group) -> Result<Self, ExplainError> {
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
        if HeaderValue::from_str(&args.host).is_err() {
            return Err(ExplainError::Host(args.host.clone()));
        }
        let (capacity, timeout) = learn_table(group).unwrap_or_default();
        Ok(Self {
            addresses: args.client.clone(),
            uris: args.uri.clone(),
            method: args.method.clone(),
            host: args.host.clone(),
            headers: headers.collect::<Result<_, _>>()?,
            cookies: args.cookie.iter().map(cookie).collect::<Result<_, _>>()?,
            jars: HashMap::new(),
            sessions: Sessions::new(capacity, timeout),
        })
    }

    /// Whether the method is one that is not sent twice (`proxy_next_upstream non_idempotent`).
    pub fn is_non_idempotent(&self) -> bool {
        proxy::is_non_idempotent(&self.method)
    }

    /// The request number `n`, from 1, arriving at `millis`.
    pub fn visit(&mut self, n: u32, millis: u64, group: &Group) -> Visit {
        let turn = n as usize - 1;
        let client = self.addresses[turn % self.addresses.len()];
        let uri = number(&self.uris[turn % self.uris.len()], n);
        let record = self.record(n, millis, client, &uri, group);
        let inputs = Evaluated::of(&record, group, |named| self.sessions.lookup(named, Now::from_millis(millis)));
        Visit { client, uri, inputs }
    }

    /// Tells the client which server answered, as a response would, at `millis`.
    pub fn answered(&mut self, visit: &Visit, sid: &str, millis: u64, group: &Group) {
        match &group.sticky {
            Some(Sticky::Cookie(cookie)) => {
                let until = match cookie.expires {
                    Some(CookieLifetime::After(lifetime)) => millis.saturating_add(lifetime.0),
                    Some(CookieLifetime::Max) | None => u64::MAX,
                };
                self.jars.insert(visit.client, (sid.to_owned(), until));
            }
            // The server is taken to create the session that the client named.
            Some(Sticky::Learn(_)) => {
                if let Some(session) = &visit.inputs.session {
                    self.sessions.insert(session, &sid.into(), Now::from_millis(millis));
                }
            }
            Some(Sticky::Route(_)) | None => {}
        }
    }

    fn record(&self, n: u32, millis: u64, client: IpAddr, uri: &str, group: &Group) -> Record {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        let mut add = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                parts.headers.append(name, value);
            }
        };
        add(header::HOST, &self.host);
        for (name, value) in &self.headers {
            add(name.clone(), &number(value, n));
        }
        for (name, value) in &self.cookies {
            add(header::COOKIE, &format!("{name}={}", number(value, n)));
        }
        if let (Some(Sticky::Cookie(cookie)), Some((sid, until))) = (&group.sticky, self.jars.get(&client))
            && millis < *until
        {
            add(header::COOKIE, &format!("{}={sid}", cookie.name));
        }
        parts.method = self.method.clone();
        parts.uri = uri.parse().unwrap_or_default();
        let downstream = Downstream {
            serial: n.into(),
            peer: SocketAddr::new(client, 0),
            local: NOBODY,
            requests: AtomicU64::new(0),
            transport: Transport::Plain,
        };
        let begun = Record::begin(parts, downstream.into(), Moment::from(millis * 1000), &[]);
        // A run is the same each time.
        Record { request_id: RequestId::Random(n.into()), ..begun }
    }
}

impl Visit {
    /// The value of the group's hash key, if the method has one.
    pub fn hash_key(&self, group: &Group) -> Option<String> {
        let is_keyed = matches!(group.method, Method::Hash { .. });
        is_keyed.then(|| String::from_utf8_lossy(&self.inputs.hash_key).into_owned())
    }
}

/// The text with the number of the request in place of `{i}`.
fn number(text: &str, n: u32) -> String {
    text.replace("{i}", &n.to_string())
}
