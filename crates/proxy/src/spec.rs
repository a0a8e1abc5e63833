//! The balancer's view of a configured group.

use std::collections::HashMap;
use std::sync::Arc;

use balance::{GroupSpec, PeerKey, ServerSpec};
use config::{Group, Method, Sticky};

/// Translates a configured group into what [`balance::Plan::build`] takes. Repeated addresses are numbered, so that each line
/// stays a peer of its own, as in nginx.
pub fn group_spec(group: &Group) -> GroupSpec {
    let mut repetitions: HashMap<Arc<str>, u16> = HashMap::new();
    let servers = group.servers.iter().map(|server| {
        let address: Arc<str> = server.address.to_string().into();
        let seen = repetitions.entry(address.clone()).or_default();
        let nth = *seen;
        *seen += 1;
        ServerSpec {
            key: PeerKey {
                address: address.clone(),
                nth,
                incarnation: server.pod.as_ref().and_then(|pod| pod.uid.clone()),
            },
            server: server.text.clone().unwrap_or(address),
            weight: server.weight,
            max_fails: server.max_fails,
            fail_timeout: server.fail_timeout,
            max_conns: server.max_conns,
            slow_start: server.slow_start.0,
            tier: server.tier,
            availability: server.availability,
            route: server.route.clone(),
        }
    });
    GroupSpec { method: method(&group.method), servers: servers.collect(), sticky: group.sticky.is_some() }
}

/// The retry policy in the balancer's terms.
pub fn retry_policy(group: &Group) -> balance::retry::Policy {
    let next = &group.next_upstream;
    balance::retry::Policy {
        conditions: next.conditions.iter().copied().collect(),
        non_idempotent: next.non_idempotent,
        tries: next.tries,
        timeout: next.timeout.0,
    }
}

/// Size and age, milliseconds, of the table of `sticky learn`.
pub fn learn_table(group: &Group) -> Option<(usize, u64)> {
    match &group.sticky {
        Some(Sticky::Learn(learn)) => Some((learn.max_sessions as usize, learn.timeout.0)),
        Some(Sticky::Cookie(_) | Sticky::Route(_)) | None => None,
    }
}

fn method(method: &Method) -> balance::Method {
    match method {
        Method::RoundRobin => balance::Method::RoundRobin,
        Method::LeastConn => balance::Method::LeastConn,
        Method::IpHash => balance::Method::IpHash,
        Method::Hash { key: _, consistent: false } => balance::Method::Hash,
        Method::Hash { key: _, consistent: true } => balance::Method::ConsistentHash,
        Method::Random => balance::Method::Random,
        Method::RandomTwo => balance::Method::RandomTwo,
        Method::LeastTime { measure, inflight } => {
            balance::Method::LeastTime { measure: *measure, inflight: *inflight }
        }
    }
}

#[cfg(test)]
mod tests {
    use config::Server;

    use super::*;

    #[test]
    fn addresses_of_one_name_are_peers_of_their_own_under_its_text() {
        let address = |text: &str| Server::new("app", text.parse().unwrap());
        let named = |text| Server { text: Some("app.example:80".into()), ..address(text) };
        let servers = vec![named("10.0.0.1:80"), named("10.0.0.2:80"), address("10.0.0.1:80")];
        let spec = group_spec(&Group::with_defaults(servers));
        let peers: Vec<_> = spec.servers.iter().map(|s| (&*s.key.address, s.key.nth, &*s.server)).collect();
        let expected = [
            ("10.0.0.1:80", 0, "app.example:80"),
            ("10.0.0.2:80", 0, "app.example:80"),
            ("10.0.0.1:80", 1, "10.0.0.1:80"),
        ];
        assert_eq!(peers, expected);
    }
}
