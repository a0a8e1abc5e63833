//! Both sides of every CEL rule. The engine of the tests beside this file answers them, and so does a real API server in
//! `tests/cluster`.

// Literals of json! read best where they stand.
#![allow(clippy::needless_pass_by_value, reason = "a table reads better without ampersands")]

use serde_json::{Value, json};

/// An object, and what is said of it.
#[derive(Debug)]
pub struct Case {
    /// The rule it shows.
    pub rule: &'static str,
    pub object: Value,
    /// The field and the message, if it is refused.
    pub refused: Option<(&'static str, &'static str)>,
}

struct Table {
    rule: &'static str,
    cases: Vec<Case>,
}

type Rule = (&'static str, fn(&mut Table));

const RULES: &[Rule] = &[
    ("a_group_needs_a_primary_server", a_group_needs_a_primary_server),
    ("backups_go_with_methods_that_pick_by_load", backups_go_with_methods_that_pick_by_load),
    ("slow_start_goes_with_methods_that_pick_by_load", slow_start_goes_with_methods_that_pick_by_load),
    ("tls_goes_with_protocols_over_tls", tls_goes_with_protocols_over_tls),
    ("tls_is_verified_or_it_is_not", tls_is_verified_or_it_is_not),
    ("method_members_go_with_their_type", method_members_go_with_their_type),
    ("a_server_leads_to_one_place", a_server_leads_to_one_place),
    ("an_address_in_brackets_is_ipv6", an_address_in_brackets_is_ipv6),
    ("a_server_is_down_or_draining", a_server_is_down_or_draining),
    ("only_the_endpoints_of_a_service_share_a_weight", only_the_endpoints_of_a_service_share_a_weight),
    ("off_stands_alone", off_stands_alone),
    ("a_session_is_tied_in_one_way", a_session_is_tied_in_one_way),
    ("a_header_is_set_or_removed", a_header_is_set_or_removed),
];

/// The whole table.
pub fn cases() -> Vec<Case> {
    let mut table = Table { rule: "", cases: Vec::new() };
    for (rule, write) in RULES {
        table.rule = rule;
        write(&mut table);
    }
    table.cases
}

impl Table {
    fn accepted(&mut self, object: Value) {
        self.cases.push(Case { rule: self.rule, object, refused: None });
    }

    fn refused(&mut self, object: Value, field: &'static str, message: &'static str) {
        self.cases.push(Case { rule: self.rule, object, refused: Some((field, message)) });
    }
}

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
pub fn server(fields: Value) -> Value {
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

fn a_group_needs_a_primary_server(table: &mut Table) {
    let message = "servers must contain at least one server that is not a backup";
    table.refused(server(json!({"backup": true})), "spec", message);
    table.accepted(second(json!({"type": "RoundRobin"}), json!({"backup": true})));
    table.accepted(server(json!({"down": true})));
}

fn backups_go_with_methods_that_pick_by_load(table: &mut Table) {
    let message = "the methods IPHash, Hash and Random do not support backup servers";
    for method in
        [json!({"type": "IPHash"}), json!({"type": "Hash", "hash": {"key": "$uri"}}), json!({"type": "Random"})]
    {
        table.refused(second(method.clone(), json!({"backup": true})), "spec", message);
        table.accepted(second(method, json!({})));
    }
    for method in [json!({"type": "LeastConn"}), json!({"type": "LeastTime", "leastTime": {"measure": "Header"}})] {
        table.accepted(second(method, json!({"backup": true})));
    }
}

fn slow_start_goes_with_methods_that_pick_by_load(table: &mut Table) {
    let message = "the methods IPHash, Hash and Random do not support slowStart";
    for method in
        [json!({"type": "IPHash"}), json!({"type": "Hash", "hash": {"key": "$uri"}}), json!({"type": "Random"})]
    {
        table.refused(second(method.clone(), json!({"slowStart": "30s"})), "spec", message);
        table.refused(second(method.clone(), json!({"slowStart": "1h2m3s4ms"})), "spec", message);
        table.accepted(second(method.clone(), json!({"slowStart": "0s"})));
        table.accepted(second(method, json!({"slowStart": "0ms"})));
    }
    table.accepted(second(json!({"type": "LeastConn"}), json!({"slowStart": "30s"})));
}

fn tls_goes_with_protocols_over_tls(table: &mut Table) {
    let message = "tls may only be set when protocol is HTTPS or H2";
    table.refused(with(json!({"tls": {}})), "spec", message);
    table.refused(with(json!({"protocol": "H2C", "tls": {}})), "spec", message);
    table.accepted(with(json!({"protocol": "HTTPS", "tls": {}})));
    table.accepted(with(json!({"protocol": "H2", "tls": {}})));
    table.accepted(with(json!({"protocol": "HTTPS"})));
}

fn tls_is_verified_or_it_is_not(table: &mut Table) {
    let tls = |insecure| json!({"insecureSkipVerify": insecure, "caCertificateRef": {"name": "ca"}});
    let message = "insecureSkipVerify and caCertificateRef exclude each other";
    table.refused(with(json!({"protocol": "HTTPS", "tls": tls(true)})), "spec.tls", message);
    table.accepted(with(json!({"protocol": "HTTPS", "tls": tls(false)})));
    table.accepted(with(json!({"protocol": "HTTPS", "tls": {"insecureSkipVerify": true}})));
}

fn method_members_go_with_their_type(table: &mut Table) {
    let hash = "hash must be set when type is Hash, and only then";
    table.refused(with(json!({"method": {"type": "Hash"}})), "spec.method", hash);
    table.refused(with(json!({"method": {"hash": {"key": "$uri"}}})), "spec.method", hash);
    table.accepted(with(json!({"method": {"type": "Hash", "hash": {"key": "$uri", "consistent": true}}})));

    let least_time = "leastTime must be set when type is LeastTime, and only then";
    table.refused(with(json!({"method": {"type": "LeastTime"}})), "spec.method", least_time);
    table.refused(with(json!({"method": {"leastTime": {"measure": "Header"}}})), "spec.method", least_time);
    table.accepted(with(json!({"method": {"type": "LeastTime", "leastTime": {"measure": "LastByte"}}})));

    let random = "random may only be set when type is Random";
    table.refused(with(json!({"method": {"random": {}}})), "spec.method", random);
    table.accepted(with(json!({"method": {"type": "Random", "random": {"choices": "Two"}}})));
    table.accepted(with(json!({"method": {"type": "Random"}})));
    table.accepted(with(json!({})));
}

fn a_server_leads_to_one_place(table: &mut Table) {
    let message = "exactly one of service, address or dns must be set";
    let service = json!({"name": "app", "port": "http"});
    let dns = json!({"name": "app.example.com", "port": 80});
    let one = |fields: Value| with(json!({"servers": [fields]}));
    table.refused(one(json!({"name": "a"})), "spec.servers[0]", message);
    table.refused(server(json!({"service": service})), "spec.servers[0]", message);
    table.refused(server(json!({"dns": dns})), "spec.servers[0]", message);
    table.accepted(one(json!({"name": "a", "service": service})));
    table.accepted(one(json!({"name": "a", "dns": dns})));
    table.accepted(server(json!({})));
}

fn an_address_in_brackets_is_ipv6(table: &mut Table) {
    let message = "the text in brackets must be an IPv6 address";
    let address = |text: &str| server(json!({"address": text}));
    table.refused(address("[::zz]:80"), "spec.servers[0].address", message);
    table.refused(address("[1:2]:80"), "spec.servers[0].address", message);
    for good in ["[::1]:80", "[2001:db8::7]:8080", "10.0.0.1:80", "unix:/run/app.sock"] {
        table.accepted(address(good));
    }
}

fn a_server_is_down_or_draining(table: &mut Table) {
    table.refused(server(json!({"down": true, "drain": true})), "spec.servers[0]", "down and drain exclude each other");
    table.accepted(server(json!({"down": true})));
    table.accepted(server(json!({"drain": true})));
}

fn only_the_endpoints_of_a_service_share_a_weight(table: &mut Table) {
    let message = "weightMode Shared may only be set together with service";
    table.refused(server(json!({"weightMode": "Shared"})), "spec.servers[0]", message);
    table.accepted(server(json!({"weightMode": "PerEndpoint"})));
    table.accepted(with(json!({"servers": [
        {"name": "a", "service": {"name": "app", "port": 80}, "weightMode": "Shared", "weight": 90}
    ]})));
}

fn off_stands_alone(table: &mut Table) {
    let message = "the condition Off excludes every other condition";
    let conditions = |list: Value| with(json!({"nextUpstream": {"conditions": list}}));
    table.refused(conditions(json!(["Error", "Off"])), "spec.nextUpstream", message);
    table.accepted(conditions(json!(["Off"])));
    table.accepted(conditions(json!(["Error", "Timeout", "Http503"])));
}

fn a_session_is_tied_in_one_way(table: &mut Table) {
    let message = "exactly one of cookie, route or learn must be set";
    let (cookie, route) = (json!({"name": "route"}), json!({"keys": ["$cookie_route"]}));
    table.refused(with(json!({"sticky": {}})), "spec.sticky", message);
    table.refused(with(json!({"sticky": {"cookie": cookie, "route": route}})), "spec.sticky", message);
    table.accepted(with(json!({"sticky": {"cookie": cookie}})));
    table.accepted(with(json!({"sticky": {"route": route}})));
    table.accepted(with(json!({"sticky": {"learn": {"create": ["$upstream_cookie_sid"], "lookup": ["$cookie_sid"]}}})));
}

fn a_header_is_set_or_removed(table: &mut Table) {
    let message = "a header may be in set or in remove, not in both";
    let headers =
        |remove: &str| with(json!({"requestHeaders": {"set": [{"name": "X-Team", "value": "a"}], "remove": [remove]}}));
    table.refused(headers("x-team"), "spec.requestHeaders", message);
    table.accepted(headers("X-Internal"));
}
