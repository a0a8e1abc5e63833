//! Values for unit tests: a request and a group as they are in the middle of the day.

mod fixed;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use balance::Plan;
use config::{Address, Group, GroupId, Server};
use http::{HeaderMap, HeaderValue, Method, Version, header};

use crate::apply;
use crate::clock::Moment;
use crate::record::{Attempt, Downstream, Record, RequestId, Scheme, Transport};
use crate::snapshot::{GroupView, ServerView};
use crate::spec::group_spec;

pub(crate) use fixed::Fixed;

/// 2026-11-22 10:00:00.250 UTC.
pub(crate) const START: u64 = 1_795_341_600_250_000;

/// A group of servers at these addresses, named `a`, `b`, ...; state and counters fresh.
pub(crate) fn group(id: &str, addresses: &[&str]) -> Arc<GroupView> {
    let servers: Vec<_> = ('a'..).zip(addresses).map(|(name, address)| server(&name.to_string(), address)).collect();
    view(&id.parse().unwrap(), Group::with_defaults(servers))
}

/// A server with nginx's defaults.
pub(crate) fn server(name: &str, address: &str) -> Server {
    Server::new(name, address.parse::<Address>().unwrap())
}

/// A group in force.
pub(crate) fn view(id: &GroupId, group: Group) -> Arc<GroupView> {
    let plan = Plan::build(&group_spec(&group)).unwrap();
    let group = Arc::new(group);
    apply::bind(id, (&group, group.clone()), None, None, plan, Moment::from(START))
}

/// `GET /cart?id=7` from 192.0.2.7, in the group `shop/app` of 127.0.0.1:1 and :2; no attempt yet.
pub(crate) fn record() -> Record {
    let started = Moment::from(START);
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("shop.example:8080"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("curl/8.5.0"));
    Record {
        downstream: Arc::new(Downstream {
            serial: 42,
            peer: "10.0.0.1:50000".parse().unwrap(),
            local: "10.0.0.2:8080".parse().unwrap(),
            requests: AtomicU64::new(3),
            transport: Transport::Plain,
        }),
        serial: 3,
        started,
        unread: false,
        method: Method::GET,
        uri: "/cart?id=7".parse().unwrap(),
        version: Version::HTTP_11,
        headers,
        host: "shop.example".into(),
        client: "192.0.2.7".parse().unwrap(),
        client_port: 0,
        trusted: true,
        scheme: Scheme::Http,
        request_id: RequestId::Random(0xfeed),
        server_name: Some("shop.example".into()),
        group: Some(group("shop/app", &["127.0.0.1:1", "127.0.0.1:2"])),
        attempts: smallvec::SmallVec::new(),
        request_body_bytes: 0,
        upstream_headers: None,
        sent_headers: None,
        status: 200,
        body_bytes_sent: 512,
        header_bytes_sent: 100,
        complete: true,
        finished: Moment::from(START + 12_345),
    }
}

/// An attempt at the server at `position` of [`record`]'s group.
pub(crate) fn attempt(position: usize) -> Attempt {
    let record = record();
    Attempt::begin(server_of(&record, position), record.started)
}

/// The server at `position` of a request's group.
pub(crate) fn server_of(record: &Record, position: usize) -> Arc<ServerView> {
    record.group.as_ref().expect("the requests of these tests have a group").servers[position].clone()
}
