//! A scenario as an `UpstreamGroup`. It is written as JSON, which is YAML.

use balance::{Availability, Method, Tier, retry::Condition};
use serde_json::{Map, Value, json};

use super::{Scenario, Server, Sticky};
use crate::Address;

/// The document, in namespace `default`, named as the scenario is.
pub fn document(scenario: &Scenario, addresses: &[Address]) -> Value {
    let group = &scenario.group;
    let method = match group.method {
        Method::RoundRobin => json!({"type": "RoundRobin"}),
        Method::LeastConn => json!({"type": "LeastConn"}),
        Method::IpHash => json!({"type": "IPHash"}),
        Method::Hash => json!({"type": "Hash", "hash": {"key": "$request_uri"}}),
        Method::ConsistentHash => json!({"type": "Hash", "hash": {"key": "$request_uri", "consistent": true}}),
        Method::Random => json!({"type": "Random"}),
        Method::RandomTwo => json!({"type": "Random", "random": {"choices": "Two"}}),
        Method::LeastTime { .. } => panic!("nginx's times are not deterministic"),
    };
    let policy = &group.policy;
    let mut spec = json!({
        "method": method,
        "servers": group.servers.iter().zip(addresses).enumerate().map(line).collect::<Vec<_>>(),
        "keepalive": {"connections": group.keepalive},
        "nextUpstream": {
            "conditions": conditions(scenario),
            "nonIdempotent": policy.non_idempotent,
            "tries": policy.tries,
            "timeout": format!("{}ms", policy.timeout),
        },
        "timeouts": {"read": format!("{}ms", group.read_timeout.as_millis())},
    });
    match group.sticky {
        None | Some(Sticky::Learn) => {}
        Some(Sticky::Cookie) => spec["sticky"] = json!({"cookie": {"name": "srv", "path": "/", "httpOnly": true}}),
        Some(Sticky::Route) => spec["sticky"] = json!({"route": {"keys": ["$cookie_srv", "$arg_route"]}}),
    }
    if group.sticky == Some(Sticky::Learn) {
        spec["sticky"] = json!({"learn": {"create": ["$upstream_cookie_srv"], "lookup": ["$cookie_srv"]}});
    }
    json!({
        "apiVersion": "forebay.dev/v1alpha1",
        "kind": "UpstreamGroup",
        "metadata": {"name": scenario.name(), "namespace": "default"},
        "spec": spec,
    })
}

fn line((n, (server, address)): (usize, (&Server, &Address))) -> Value {
    let mut line = Map::new();
    line.insert("name".into(), json!(format!("s{n}")));
    line.insert("address".into(), json!(address.to_string()));
    line.insert("weight".into(), json!(server.weight));
    line.insert("maxFails".into(), json!(server.max_fails));
    line.insert("failTimeout".into(), json!(format!("{}s", server.fail_timeout)));
    line.insert("maxConns".into(), json!(server.max_conns));
    match server.tier {
        Tier::Primary => {}
        Tier::Backup => {
            line.insert("backup".into(), json!(true));
        }
    }
    match server.availability {
        Availability::Up => {}
        Availability::Down => {
            line.insert("down".into(), json!(true));
        }
        Availability::Drain => {
            line.insert("drain".into(), json!(true));
        }
    }
    if let Some(route) = &server.route {
        line.insert("route".into(), json!(route));
    }
    Value::Object(line)
}

fn conditions(scenario: &Scenario) -> Vec<&'static str> {
    let words = [
        (Condition::Error, "Error"),
        (Condition::Timeout, "Timeout"),
        (Condition::InvalidHeader, "InvalidHeader"),
        (Condition::Http500, "Http500"),
        (Condition::Http502, "Http502"),
        (Condition::Http503, "Http503"),
        (Condition::Http504, "Http504"),
        (Condition::Http403, "Http403"),
        (Condition::Http404, "Http404"),
        (Condition::Http429, "Http429"),
    ];
    let listed = |(condition, _): &&(Condition, _)| scenario.group.policy.conditions.contains(*condition);
    let listed: Vec<_> = words.iter().filter(listed).map(|(_, word)| *word).collect();
    if listed.is_empty() { vec!["Off"] } else { listed }
}
