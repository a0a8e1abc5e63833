//! Both sides of every CEL rule, through the engine that kube brings, after the CRD's own defaults: the way the API server
//! sees an object.

// Literals of json! read best where they stand.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

fn group(spec: Value) -> Value {
    json!({"apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup", "metadata": {"name": "app"}, "spec": spec})
}

/// A group with one good server whose other fields are `spec`'s.
fn with(spec: Value) -> Value {
    let mut object = group(spec);
    object["spec"]
        .as_object_mut()
        .unwrap()
        .entry("servers")
        .or_insert(json!([{"name": "a", "address": "10.0.0.1:80"}]));
    object
}

/// A group with one good server with `fields` added.
fn server(fields: Value) -> Value {
    let mut server = json!({"name": "a", "address": "10.0.0.1:80"});
    server.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    with(json!({"servers": [server]}))
}

/// A group with a primary server and one with `fields` added, and `method`.
fn second(method: Value, fields: Value) -> Value {
    let mut server = json!({"name": "b", "address": "10.0.0.2:80"});
    server.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    with(json!({"method": method, "servers": [{"name": "a", "address": "10.0.0.1:80"}, server]}))
}

#[track_caller]
fn accepted(object: &Value) {
    assert_eq!(api::violations(&api::apply_defaults(object)), []);
}

#[track_caller]
fn refused(object: &Value, field: &str, message: &str) {
    let violations = api::violations(&api::apply_defaults(object));
    let said: Vec<_> = violations.iter().map(|v| (v.field.as_str(), v.message.as_str())).collect();
    assert_eq!(said, [(field, message)]);
}

#[test]
fn a_group_needs_a_primary_server() {
    let message = "servers must contain at least one server that is not a backup";
    refused(&server(json!({"backup": true})), "spec", message);
    accepted(&second(json!({"type": "RoundRobin"}), json!({"backup": true})));
    accepted(&server(json!({"down": true})));
}

#[test]
fn backups_go_with_methods_that_pick_by_load() {
    let message = "the methods IPHash, Hash and Random do not support backup servers";
    for method in
        [json!({"type": "IPHash"}), json!({"type": "Hash", "hash": {"key": "$uri"}}), json!({"type": "Random"})]
    {
        refused(&second(method.clone(), json!({"backup": true})), "spec", message);
        accepted(&second(method, json!({})));
    }
    for method in [json!({"type": "LeastConn"}), json!({"type": "LeastTime", "leastTime": {"measure": "Header"}})] {
        accepted(&second(method, json!({"backup": true})));
    }
}

#[test]
fn slow_start_goes_with_methods_that_pick_by_load() {
    let message = "the methods IPHash, Hash and Random do not support slowStart";
    for method in
        [json!({"type": "IPHash"}), json!({"type": "Hash", "hash": {"key": "$uri"}}), json!({"type": "Random"})]
    {
        refused(&second(method.clone(), json!({"slowStart": "30s"})), "spec", message);
        refused(&second(method.clone(), json!({"slowStart": "1h2m3s4ms"})), "spec", message);
        accepted(&second(method.clone(), json!({"slowStart": "0s"})));
        accepted(&second(method, json!({"slowStart": "0ms"})));
    }
    accepted(&second(json!({"type": "LeastConn"}), json!({"slowStart": "30s"})));
}

#[test]
fn tls_goes_with_protocols_over_tls() {
    let message = "tls may only be set when protocol is HTTPS or H2";
    refused(&with(json!({"tls": {}})), "spec", message);
    refused(&with(json!({"protocol": "H2C", "tls": {}})), "spec", message);
    accepted(&with(json!({"protocol": "HTTPS", "tls": {}})));
    accepted(&with(json!({"protocol": "H2", "tls": {}})));
    accepted(&with(json!({"protocol": "HTTPS"})));
}

#[test]
fn tls_is_verified_or_it_is_not() {
    let tls = |insecure| json!({"insecureSkipVerify": insecure, "caCertificateRef": {"name": "ca"}});
    let message = "insecureSkipVerify and caCertificateRef exclude each other";
    refused(&with(json!({"protocol": "HTTPS", "tls": tls(true)})), "spec.tls", message);
    accepted(&with(json!({"protocol": "HTTPS", "tls": tls(false)})));
    accepted(&with(json!({"protocol": "HTTPS", "tls": {"insecureSkipVerify": true}})));
}

#[test]
fn method_members_go_with_their_type() {
    let hash = "hash must be set when type is Hash, and only then";
    refused(&with(json!({"method": {"type": "Hash"}})), "spec.method", hash);
    refused(&with(json!({"method": {"hash": {"key": "$uri"}}})), "spec.method", hash);
    accepted(&with(json!({"method": {"type": "Hash", "hash": {"key": "$uri", "consistent": true}}})));

    let least_time = "leastTime must be set when type is LeastTime, and only then";
    refused(&with(json!({"method": {"type": "LeastTime"}})), "spec.method", least_time);
    refused(&with(json!({"method": {"leastTime": {"measure": "Header"}}})), "spec.method", least_time);
    accepted(&with(json!({"method": {"type": "LeastTime", "leastTime": {"measure": "LastByte"}}})));

    let random = "random may only be set when type is Random";
    refused(&with(json!({"method": {"random": {}}})), "spec.method", random);
    accepted(&with(json!({"method": {"type": "Random", "random": {"choices": "Two"}}})));
    accepted(&with(json!({"method": {"type": "Random"}})));
    accepted(&with(json!({})));
}

#[test]
fn a_server_leads_to_one_place() {
    let message = "exactly one of service, address or dns must be set";
    let service = json!({"name": "app", "port": "http"});
    let dns = json!({"name": "app.example.com", "port": 80});
    let one = |fields: Value| with(json!({"servers": [fields]}));
    refused(&one(json!({"name": "a"})), "spec.servers[0]", message);
    refused(&server(json!({"service": service})), "spec.servers[0]", message);
    refused(&server(json!({"dns": dns})), "spec.servers[0]", message);
    accepted(&one(json!({"name": "a", "service": service})));
    accepted(&one(json!({"name": "a", "dns": dns})));
    accepted(&server(json!({})));
}

#[test]
fn an_address_in_brackets_is_ipv6() {
    let message = "the text in brackets must be an IPv6 address";
    let address = |text: &str| server(json!({"address": text}));
    refused(&address("[::zz]:80"), "spec.servers[0].address", message);
    refused(&address("[1:2]:80"), "spec.servers[0].address", message);
    for good in ["[::1]:80", "[2001:db8::7]:8080", "10.0.0.1:80", "unix:/run/app.sock"] {
        accepted(&address(good));
    }
}

#[test]
fn a_server_is_down_or_draining() {
    refused(&server(json!({"down": true, "drain": true})), "spec.servers[0]", "down and drain exclude each other");
    accepted(&server(json!({"down": true})));
    accepted(&server(json!({"drain": true})));
}

#[test]
fn only_the_endpoints_of_a_service_share_a_weight() {
    let message = "weightMode Shared may only be set together with service";
    refused(&server(json!({"weightMode": "Shared"})), "spec.servers[0]", message);
    accepted(&server(json!({"weightMode": "PerEndpoint"})));
    accepted(&with(json!({"servers": [
        {"name": "a", "service": {"name": "app", "port": 80}, "weightMode": "Shared", "weight": 90}
    ]})));
}

#[test]
fn off_stands_alone() {
    let message = "the condition Off excludes every other condition";
    let conditions = |list: Value| with(json!({"nextUpstream": {"conditions": list}}));
    refused(&conditions(json!(["Error", "Off"])), "spec.nextUpstream", message);
    accepted(&conditions(json!(["Off"])));
    accepted(&conditions(json!(["Error", "Timeout", "Http503"])));
}

#[test]
fn a_session_is_tied_in_one_way() {
    let message = "exactly one of cookie, route or learn must be set";
    let (cookie, route) = (json!({"name": "route"}), json!({"keys": ["$cookie_route"]}));
    refused(&with(json!({"sticky": {}})), "spec.sticky", message);
    refused(&with(json!({"sticky": {"cookie": cookie, "route": route}})), "spec.sticky", message);
    accepted(&with(json!({"sticky": {"cookie": cookie}})));
    accepted(&with(json!({"sticky": {"route": route}})));
    accepted(&with(json!({"sticky": {"learn": {"create": ["$upstream_cookie_sid"], "lookup": ["$cookie_sid"]}}})));
}

#[test]
fn a_header_is_set_or_removed() {
    let message = "a header may be in set or in remove, not in both";
    let headers =
        |remove: &str| with(json!({"requestHeaders": {"set": [{"name": "X-Team", "value": "a"}], "remove": [remove]}}));
    refused(&headers("x-team"), "spec.requestHeaders", message);
    accepted(&headers("X-Internal"));
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
