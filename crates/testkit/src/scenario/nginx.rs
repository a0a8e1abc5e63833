//! A scenario as nginx configuration.

use std::path::Path;

use balance::{
    Availability, Method, Tier,
    retry::{Condition, Policy},
};

use super::{Scenario, Server, Sticky};
use crate::{Address, nginx::Release};

/// What a line of the access log says, in nginx's and in Forebay's.
pub const LOG_FORMAT: &str = "$http_x_step|$upstream_addr|$upstream_status|$status";

/// The `upstream {}` and the `server {}` that listens on `NAME.sock`, both in `dir`.
pub fn configuration(scenario: &Scenario, addresses: &[Address], release: Release, dir: &Path) -> String {
    let name = scenario.name();
    let group = &scenario.group;
    let method = match group.method {
        Method::RoundRobin => "",
        Method::LeastConn => "least_conn;",
        Method::IpHash => "ip_hash;",
        Method::Hash => "hash $request_uri;",
        Method::ConsistentHash => "hash $request_uri consistent;",
        Method::Random => "random;",
        Method::RandomTwo => "random two;",
        Method::LeastTime { .. } => panic!("nginx's times are not deterministic"),
    };
    let line = |(server, address)| format!("    server {address} {};\n", parameters(server));
    let servers = group.servers.iter().zip(addresses).map(line).collect::<Vec<_>>().concat();
    let sticky = match group.sticky {
        None => String::new(),
        Some(Sticky::Cookie) => "sticky cookie srv path=/ httponly;".to_owned(),
        Some(Sticky::Route) => "sticky route $cookie_srv $arg_route;".to_owned(),
        Some(Sticky::Learn) => {
            format!("sticky learn create=$upstream_cookie_srv lookup=$cookie_srv zone={name}:64k timeout=10m;")
        }
    };
    // Nothing is kept alive before 1.29.7 unless asked for, and 1.22 refuses the word.
    let keepalive = match (group.keepalive, release) {
        (0, Release::Debian) => String::new(),
        (count, Release::Debian | Release::Baseline) => format!("keepalive {count};"),
    };
    let policy = &group.policy;
    format!(
        "upstream {name} {{\n    {method}\n{servers}    {sticky}\n    {keepalive}\n}}\n\
         server {{\n    listen unix:{dir}/{name}.sock;\n    location / {{\n        proxy_pass http://{name};\n\
         \x20       proxy_http_version 1.1;\n        proxy_set_header Connection \"\";\n\
         \x20       proxy_next_upstream {conditions};\n        proxy_next_upstream_tries {tries};\n\
         \x20       proxy_next_upstream_timeout {timeout}ms;\n        proxy_read_timeout {read}ms;\n    }}\n}}\n",
        dir = dir.display(),
        conditions = conditions(policy).join(" "),
        tries = policy.tries,
        timeout = policy.timeout,
        read = group.read_timeout.as_millis(),
    )
}

/// The parameters of a `server` line.
pub(super) fn parameters(server: &Server) -> String {
    let tier = match server.tier {
        Tier::Primary => "",
        Tier::Backup => " backup",
    };
    let availability = match server.availability {
        Availability::Up => "",
        Availability::Down => " down",
        Availability::Drain => " drain",
    };
    let route = server.route.as_ref().map(|route| format!(" route={route}")).unwrap_or_default();
    let Server { weight, max_fails, fail_timeout, max_conns, .. } = server;
    format!(
        "weight={weight} max_fails={max_fails} fail_timeout={fail_timeout}s max_conns={max_conns}\
         {tier}{availability}{route}"
    )
}

/// The words of `proxy_next_upstream`.
pub(super) fn conditions(policy: &Policy) -> Vec<&'static str> {
    let words = [
        (Condition::Error, "error"),
        (Condition::Timeout, "timeout"),
        (Condition::InvalidHeader, "invalid_header"),
        (Condition::Http500, "http_500"),
        (Condition::Http502, "http_502"),
        (Condition::Http503, "http_503"),
        (Condition::Http504, "http_504"),
        (Condition::Http403, "http_403"),
        (Condition::Http404, "http_404"),
        (Condition::Http429, "http_429"),
    ];
    let mut listed: Vec<_> =
        words.iter().filter(|(condition, _)| policy.conditions.contains(*condition)).map(|(_, word)| *word).collect();
    if policy.non_idempotent {
        listed.push("non_idempotent");
    }
    if listed.is_empty() {
        listed.push("off");
    }
    listed
}
