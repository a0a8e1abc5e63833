//! A data plane's reader as it was when protocol 2 was released: the reader of protocol 1, once what a `put` leaves out of a
//! group is filled in. Never edited, and it shares nothing with today's types.

use serde_json::{Map, Value, json};

use super::frozen_v1;

/// What the stream of a controller says, in words.
pub fn understand(stream: &str) -> String {
    let filled: Vec<_> = stream.lines().map(filled).collect();
    frozen_v1::understand(&filled.join("\n"))
}

fn filled(line: &str) -> String {
    let mut frame: Value = serde_json::from_str(line).unwrap();
    let is_group = frame["put"]["key"].as_str().is_some_and(|key| key.starts_with("group/"));
    if is_group {
        let group = frame["put"]["value"].as_object_mut().unwrap();
        fill(
            group,
            &json!({
                "method": "RoundRobin",
                "keepalive": {"connections": 32, "requests": 1000, "time": 3_600_000, "timeout": 60_000},
                "next_upstream": {"conditions": ["Error", "Timeout"], "non_idempotent": false, "tries": 0, "timeout": 0},
                "timeouts": {"connect": 60_000, "send": 60_000, "read": 60_000, "tunnel": 60_000},
                "replay_max_bytes": 1_048_576,
                "sticky": null,
                "protocol": "Http1",
                "request_headers": {"set": [], "remove": []},
            }),
        );
        for server in group["servers"].as_array_mut().unwrap() {
            fill(
                server.as_object_mut().unwrap(),
                &json!({
                    "weight": 1, "max_fails": 1, "fail_timeout": 10, "max_conns": 0, "slow_start": 0,
                    "tier": "Primary", "availability": "Up", "route": null, "pod": null,
                }),
            );
        }
    }
    frame.to_string()
}

fn fill(members: &mut Map<String, Value>, usual: &Value) {
    for (name, value) in usual.as_object().unwrap() {
        members.entry(name).or_insert_with(|| value.clone());
    }
}
