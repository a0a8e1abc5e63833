//! The CEL rules through the engine that kube brings, after the CRD's own defaults: the way the API server sees an object.

mod table;

use serde_json::json;

use table::server;

#[test]
fn every_rule_has_its_two_sides() {
    for case in table::cases() {
        let violations = api::violations(&api::apply_defaults(&case.object));
        let said: Vec<_> = violations.iter().map(|v| (v.field.as_str(), v.message.as_str())).collect();
        assert_eq!(said, case.refused.into_iter().collect::<Vec<_>>(), "{}: {}", case.rule, case.object);
    }
}

#[test]
fn defaults_are_nginx_s() {
    let object = api::apply_defaults(&server(json!({})));
    let spec = &object["spec"];
    assert_eq!(spec["method"], json!({"type": "RoundRobin"}));
    assert_eq!(spec["keepalive"], json!({"connections": 32, "requests": 1000, "time": "1h", "timeout": "60s"}));
    assert_eq!(
        spec["nextUpstream"],
        json!({"conditions": ["Error", "Timeout"], "nonIdempotent": false, "tries": 0, "timeout": "0s"})
    );
    assert_eq!(spec["timeouts"], json!({"connect": "60s", "send": "60s", "read": "60s"}));
    assert_eq!(
        spec["servers"][0],
        json!({
            "name": "a", "address": "10.0.0.1:80", "weight": 1, "weightMode": "PerEndpoint", "maxFails": 1,
            "failTimeout": "10s", "maxConns": 0, "slowStart": "0s", "backup": false, "down": false, "drain": false
        })
    );
}

#[test]
fn the_types_and_the_schema_have_the_same_defaults() {
    let bare = server(json!({}));
    let typed: api::UpstreamGroup = serde_json::from_value(bare.clone()).unwrap();
    let defaulted: api::UpstreamGroup = serde_json::from_value(api::apply_defaults(&bare)).unwrap();
    assert_eq!(typed, defaulted);
    assert_eq!(serde_json::to_value(typed.spec).unwrap(), api::apply_defaults(&bare)["spec"]);
}
