//! A data plane's reader as it was when protocol 1 was released. Never edited: it stands for the data planes that are out
//! there. It shares nothing with today's types, ignores what it does not know, and prints what it understood.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Group {
    method: Value,
    servers: Vec<Server>,
    keepalive: Keepalive,
    next_upstream: NextUpstream,
    timeouts: Timeouts,
    replay_max_bytes: u64,
    sticky: Option<Value>,
    protocol: String,
    request_headers: RequestHeaders,
}

#[derive(Deserialize)]
struct Server {
    name: String,
    address: String,
    weight: u32,
    max_fails: u32,
    fail_timeout: u32,
    max_conns: u32,
    slow_start: u64,
    tier: String,
    availability: String,
    route: Option<String>,
    pod: Option<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    name: String,
    uid: Option<String>,
    zone: Option<String>,
}

#[derive(Deserialize)]
struct Keepalive {
    connections: u32,
    requests: u32,
    time: u64,
    timeout: u64,
}

#[derive(Deserialize)]
struct NextUpstream {
    conditions: Vec<String>,
    non_idempotent: bool,
    tries: u32,
    timeout: u64,
}

#[derive(Deserialize)]
struct Timeouts {
    connect: u64,
    send: u64,
    read: u64,
    tunnel: u64,
}

#[derive(Deserialize)]
struct RequestHeaders {
    set: Vec<SetHeader>,
    remove: Vec<String>,
}

#[derive(Deserialize)]
struct SetHeader {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Routes {
    host: String,
    paths: Vec<PathRoute>,
    default: Option<Value>,
}

#[derive(Deserialize)]
struct PathRoute {
    path: Value,
    target: Value,
    origin: String,
}

/// What the stream of a controller says, in words.
pub fn understand(stream: &str) -> String {
    let mut text = String::new();
    let mut staged: BTreeMap<(u8, String), Option<String>> = BTreeMap::new();
    let mut held: BTreeMap<(u8, String), String> = BTreeMap::new();
    for line in stream.lines() {
        let frame: Map<String, Value> = serde_json::from_str(line).unwrap();
        assert_eq!(frame.len(), 1, "{line}");
        let (kind, body) = frame.into_iter().next().unwrap();
        match kind.as_str() {
            "welcome" => writeln!(text, "welcome {} by {}", body["protocol"], string(&body["server"])).unwrap(),
            "beat" => match &body["leader"] {
                Value::Null => writeln!(text, "reports go nowhere").unwrap(),
                leader => {
                    let (identity, address) = (string(&leader["identity"]), string(&leader["address"]));
                    writeln!(text, "reports go to {identity} at {address}").unwrap();
                }
            },
            "put" => {
                let key = string(&body["key"]);
                assert_eq!(string(&body["version"]).len(), 32);
                let content = resource(key, body["value"].clone());
                staged.insert(sorted(key), Some(content));
            }
            "del" => drop(staged.insert(sorted(string(&body["key"])), None)),
            "commit" => {
                for (key, content) in std::mem::take(&mut staged) {
                    match content {
                        Some(content) => held.insert(key, content),
                        None => held.remove(&key),
                    };
                }
                writeln!(text, "commit {}", body["seq"]).unwrap();
                for ((_, key), content) in &held {
                    writeln!(text, "{}: {content}", &key[1..]).unwrap();
                }
            }
            "synced" => writeln!(text, "synced").unwrap(),
            "bye" => writeln!(text, "bye within {} ms: {}", body["after_ms"], string(&body["reason"])).unwrap(),
            _ => {}
        }
    }
    text
}

/// Certificates, groups, hosts, wildcards, any host.
fn sorted(key: &str) -> (u8, String) {
    let class = match key.split_once('/').unwrap() {
        ("cert", _) => 0,
        ("group", _) => 1,
        (_, "*") => 4,
        (_, host) if host.starts_with('*') => 3,
        _ => 2,
    };
    (class, format!("/{key}"))
}

fn resource(key: &str, value: Value) -> String {
    match key.split_once('/').unwrap() {
        ("cert", _) => {
            let (chain, key) = (string(&value["chain"]).len(), string(&value["key"]).len());
            format!("chain of {chain} bytes, key of {key} bytes")
        }
        ("group", _) => group(&serde_json::from_value(value).unwrap()),
        ("route", host) => {
            let routes: Routes = serde_json::from_value(value).unwrap();
            assert_eq!(routes.host, host);
            routing(&routes)
        }
        _ => panic!("{key}"),
    }
}

fn group(group: &Group) -> String {
    let method = name(&group.method);
    let known = ["RoundRobin", "LeastConn", "IpHash", "Hash", "Random", "RandomTwo", "LeastTime"];
    assert!(known.contains(&method.as_str()), "{method}");
    assert!(group.protocol == "Http1");
    let Keepalive { connections, requests, time, timeout } = group.keepalive;
    assert!(connections <= 32 && requests == 1000 && time == 3_600_000 && timeout == 60_000);
    let NextUpstream { conditions, non_idempotent, tries, timeout } = &group.next_upstream;
    assert!(
        conditions[0] == "Error" && conditions[1] == "Timeout" && (*tries > 0) == *non_idempotent && *timeout <= 15_000
    );
    let Timeouts { connect, send, read, tunnel } = group.timeouts;
    assert!(connect == 60_000 && send == 60_000 && read == 60_000 && tunnel >= 60_000);
    assert!([4096, 1 << 20].contains(&group.replay_max_bytes));
    if let Some(sticky) = &group.sticky {
        assert!(["Cookie", "Route", "Learn"].contains(&name(sticky).as_str()));
    }
    for header in &group.request_headers.set {
        assert_eq!((header.name.as_str(), header.value.as_str()), ("x-team", "a$http_x_team"));
    }
    assert!(group.request_headers.remove.iter().all(|name| name == "x-internal"));
    let mut text = format!("{method}, {} servers", group.servers.len());
    for (number, server) in group.servers.iter().enumerate() {
        let Server { name, address, weight, .. } = server;
        write!(text, "{} {name} {address} w{weight}", if number == 0 { ":" } else { ";" }).unwrap();
        assert!(["Primary", "Backup"].contains(&server.tier.as_str()));
        assert!(["Up", "Down", "Drain"].contains(&server.availability.as_str()), "{}", server.availability);
        assert!(
            server.max_fails <= 3 && server.fail_timeout <= 30 && server.max_conns <= 100 && server.slow_start <= 5000
        );
        assert!(server.route.as_deref().is_none_or(|route| route == "b"));
        if let Some(Pod { name, uid, zone }) = &server.pod {
            assert_eq!((name.as_str(), uid.as_deref(), zone.as_deref()), ("app-6f", Some("u-1"), Some("z1")));
        }
    }
    text
}

fn routing(routes: &Routes) -> String {
    let mut text = String::new();
    for PathRoute { path, target: to, origin } in &routes.paths {
        assert_eq!(origin, "ingress shop/web");
        let sign = match name(path).as_str() {
            "Exact" => "=",
            "Prefix" => "^",
            other => panic!("{other}"),
        };
        write!(text, "{sign} {} to {}, ", string(&path[name(path)]), target(to)).unwrap();
    }
    let default = routes.default.as_ref().map_or("nothing".to_owned(), target);
    text + "else " + &default
}

fn target(target: &Value) -> String {
    match name(target).as_str() {
        "Group" => string(&target["Group"]).to_owned(),
        "Unavailable" => "nowhere".to_owned(),
        other => panic!("{other}"),
    }
}

/// The variant of an enum: a text, or the one member of an object.
fn name(value: &Value) -> String {
    match value {
        Value::String(name) => name.clone(),
        Value::Object(members) if members.len() == 1 => members.keys().next().unwrap().clone(),
        other => panic!("{other}"),
    }
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap()
}
