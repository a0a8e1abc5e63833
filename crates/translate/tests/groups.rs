//! `UpstreamGroup`s to groups: every field, what is refused, and shared weights through whole documents.

mod common;

use std::sync::Arc;

use common::{NOW, addresses, errors, files, group, objects, said};
use config::{Condition, Method, Millis, Sticky, Tier};
use translate::{Options, Translation, translate};

fn spec(rest: &str) -> String {
    format!(
        "kind: UpstreamGroup\nmetadata: {{name: g}}\nspec:\n  servers: [{{name: a, address: '10.0.0.1:80'}}]\n{rest}"
    )
}

#[test]
fn every_default_is_that_of_nginx() {
    let translation = files(&spec(""));
    assert_eq!(said(&translation), Vec::<String>::new());
    let server = config::Server::new("a", "10.0.0.1:80".parse().unwrap());
    assert_eq!(*group(&translation.config, "default/g"), config::Group::with_defaults(vec![server]));
}

#[test]
fn every_parameter_of_a_line_is_carried() {
    let translation = files(
        "kind: UpstreamGroup
metadata: {name: g}
spec:
  servers:
  - {name: a, address: '10.0.0.1:80', weight: 5, maxFails: 3, failTimeout: 1m30s, maxConns: 7, slowStart: 20s, route: r1}
  - {name: b, address: 'unix:/run/app.sock', backup: true, down: true}
",
    );
    let servers = &group(&translation.config, "default/g").servers;
    assert_eq!((servers[0].weight, servers[0].max_fails, servers[0].fail_timeout, servers[0].max_conns), (5, 3, 90, 7));
    assert_eq!((servers[0].slow_start, servers[0].route.as_deref()), (Millis(20_000), Some("r1")));
    assert_eq!(servers[1].tier, Tier::Backup);
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.1:80", "unix:/run/app.sock-"]);
}

#[test]
fn methods_and_sessions() {
    let method = |text: &str| group(&files(&spec(text)).config, "default/g").method.clone();
    assert_eq!(method("  method: {type: LeastConn}"), Method::LeastConn);
    assert_eq!(method("  method: {type: IPHash}"), Method::IpHash);
    assert_eq!(method("  method: {type: Random}"), Method::Random);
    assert_eq!(method("  method: {type: Random, random: {choices: Two}}"), Method::RandomTwo);
    let hash = method("  method: {type: Hash, hash: {key: '$request_uri', consistent: true}}");
    assert!(matches!(hash, Method::Hash { consistent: true, .. }));
    let learn = spec("  sticky: {learn: {create: ['$upstream_cookie_sid'], lookup: ['$cookie_sid']}}");
    let sticky = group(&files(&learn).config, "default/g").sticky.clone();
    assert!(matches!(sticky, Some(Sticky::Learn(learn)) if learn.timeout == Millis(600_000)));
}

#[test]
fn off_precedes_the_conditions_beside_it() {
    let conditions = |text: &str| {
        let text = format!("  nextUpstream: {{conditions: [{text}]}}");
        group(&files(&spec(&text)).config, "default/g").next_upstream.conditions.clone()
    };
    assert_eq!(conditions("Timeout, Error"), [Condition::Error, Condition::Timeout]);
    assert_eq!(conditions("'Off'"), []);
    assert_eq!(conditions("'Off', Error"), []);
    assert_eq!(conditions("Error, 'Off'"), []);
}

#[test]
fn a_template_is_judged_by_when_it_is_evaluated() {
    let translation = files(&spec(
        "  method: {type: Hash, hash: {key: '$request_urii'}}
  sticky: {learn: {create: ['$status'], lookup: ['$upstream_cookie_sid']}}
  requestHeaders: {set: [{name: X-A, value: '$'}]}
",
    ));
    assert_eq!(
        said(&translation),
        [
            "FB3101 error UpstreamGroup default/g spec.method.hash.key",
            "FB3101 error UpstreamGroup default/g spec.requestHeaders.set[0].value",
            "FB3101 error UpstreamGroup default/g spec.sticky.learn.create[0]",
            "FB3101 error UpstreamGroup default/g spec.sticky.learn.lookup[0]"
        ]
    );
    assert!(translation.config.groups.is_empty());
}

#[test]
fn what_this_release_cannot_do_is_refused() {
    for (rest, said_of) in
        [("  protocol: H2C", "spec.protocol"), ("  protocol: H2\n  tls: {serverName: a.example}", "spec.protocol")]
    {
        assert_eq!(said(&files(&spec(rest))), [format!("FB3102 error UpstreamGroup default/g {said_of}")]);
    }
}

/// A group whose first line is a DNS name, translated with what is known of names.
fn with_names(names: &[(&str, &[&str])], options: Options) -> Translation {
    let yaml = "kind: UpstreamGroup
metadata: {name: g}
spec:
  method: {type: Hash, hash: {key: $uri, consistent: true}}
  servers:
  - {name: a, dns: {name: a.example, port: 8080}, weight: 3}
  - {name: b, address: '10.0.0.9:80'}
";
    let ips = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<_>>();
    let names = names.iter().map(|(name, addresses)| (Arc::from(*name), ips(addresses))).collect();
    translate(&objects(yaml), &Options { names, ..options })
}

#[test]
fn each_address_of_a_name_is_a_server_under_the_name() {
    let answers: &[&str] = &["fd00::1", "10.0.0.2", "10.0.0.1", "10.0.0.2"];
    let translation = with_names(&[("a.example", answers)], Options::for_cluster(NOW));
    assert_eq!(said(&translation), Vec::<String>::new());
    let group = group(&translation.config, "default/g");
    let servers: Vec<_> = (group.servers.iter())
        .map(|server| (server.address.to_string(), server.text.as_deref(), server.weight))
        .collect();
    let text = Some("a.example:8080");
    let expected = [("10.0.0.1:8080", text, 3), ("10.0.0.2:8080", text, 3), ("[fd00::1]:8080", text, 3)];
    assert_eq!(servers[..3], expected.map(|(address, text, weight)| (address.to_owned(), text, weight)));
    assert_eq!(servers[3], ("10.0.0.9:80".to_owned(), None, 1));
}

#[test]
fn a_name_without_addresses_leaves_the_other_lines() {
    let field = "UpstreamGroup default/g spec.servers[0].dns.name";
    for (names, said_of) in [(&[][..], "FB4014 note"), (&[("a.example", &[][..])], "FB4014 warning")] {
        let translation = with_names(names, Options::for_files(NOW));
        assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.9:80"]);
        assert_eq!(said(&translation), [format!("{said_of} {field}")]);
    }
}

#[test]
fn a_name_may_not_lead_a_cluster_to_this_host() {
    let names: &[(&str, &[&str])] = &[("a.example", &["127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"])];
    let translation = with_names(names, Options::for_cluster(NOW));
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.1:8080", "10.0.0.9:80"]);
    let warning = "FB4015 warning UpstreamGroup default/g spec.servers[0].dns.name".to_owned();
    assert_eq!(said(&translation), vec![warning; 3]);
    assert_eq!(addresses(&with_names(names, Options::for_files(NOW)).config, "default/g").len(), 5);
}

#[test]
fn a_cluster_may_not_name_this_host() {
    for address in ["127.0.0.1:80", "169.254.169.254:80", "unix:/run/app.sock", "[::1]:80"] {
        let objects = objects(&spec("").replace("10.0.0.1:80", address));
        let translation = translate(&objects, &Options::for_cluster(NOW));
        assert_eq!(said(&translation), ["FB3104 error UpstreamGroup default/g spec.servers[0].address"], "{address}");
        assert_eq!(errors(&translate(&objects, &Options::for_files(NOW))), 0);
    }
}

#[test]
fn a_line_that_leads_nowhere_leaves_the_others() {
    let translation = files(
        "kind: UpstreamGroup
metadata: {name: g}
spec:
  servers:
  - {name: a, address: '10.0.0.1:80'}
  - {name: b, service: {name: gone, port: 80}}
  - {name: c, service: {name: here, port: https}}
  - {name: d, service: {name: alias, port: 80}}
---
kind: Service
metadata: {name: here}
spec: {ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: internal.example}
",
    );
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.1:80"]);
    assert_eq!(
        said(&translation),
        [
            "FB4001 warning UpstreamGroup default/g spec.servers[1].service.name",
            "FB4002 warning UpstreamGroup default/g spec.servers[2].service.port",
            "FB4003 warning UpstreamGroup default/g spec.servers[3].service.name"
        ]
    );
}

#[test]
fn a_bad_object_harms_nobody_else() {
    let translation =
        files(&format!("{}\n---\n{}", spec("  protocol: H2"), spec("").replace("name: g}", "name: good}")));
    assert_eq!(translation.config.groups.keys().map(ToString::to_string).collect::<Vec<_>>(), ["default/good"]);
}

/// A group on a ring, of a Service with so many pods, 250 a slice.
fn ring(pods: usize, line: &str) -> String {
    let mut documents = vec![format!(
        "kind: UpstreamGroup
metadata: {{name: g}}
spec:
  method: {{type: Hash, hash: {{key: $uri, consistent: true}}}}
  servers: [{{name: app, service: {{name: app, port: 80}}, {line}}}]
---
kind: Service
metadata: {{name: app}}
spec: {{ports: [{{port: 80}}]}}"
    )];
    for slice in 0..pods.div_ceil(250) {
        let pods = 250.min(pods - slice * 250);
        let (high, low) = (slice / 250, slice % 250);
        let endpoints: Vec<_> = (0..pods).map(|pod| format!("{{addresses: [10.{high}.{low}.{pod}]}}")).collect();
        documents.push(format!(
            "kind: EndpointSlice\nmetadata: {{name: app-{slice}, labels: {{kubernetes.io/service-name: app}}}}\n\
             addressType: IPv4\nports: [{{port: 8080}}]\nendpoints: [{}]",
            endpoints.join(", ")
        ));
    }
    documents.join("\n---\n")
}

/// Pods come by themselves: a group that runs is not refused, here or by a data plane, because there is one more.
#[test]
fn a_ring_has_room_for_every_pod() {
    let most = u32::try_from(config::MOST_RING_WEIGHT).unwrap();
    for (pods, line, expected) in [
        (262, "weight: 100", 26_200),
        (263, "weight: 100", most),
        (2_000, "weight: 90, weightMode: Shared", 2_000),
        (300, "weight: 65535", most),
    ] {
        let translation = files(&ring(pods, line));
        assert_eq!(said(&translation), Vec::<String>::new());
        let weights = group(&translation.config, "default/g").servers.iter().map(|server| server.weight);
        assert_eq!(weights.sum::<u32>(), expected, "{pods} pods, {line}");
    }
}

#[test]
fn a_ring_of_more_servers_than_it_has_room_for_is_refused() {
    let translation = files(&ring(26_215, "weight: 1"));
    assert_eq!(said(&translation), ["FB3103 error UpstreamGroup default/g spec.servers"]);
    let message = &translation.diagnostics[0].message;
    assert_eq!(message, "26215 servers; a consistent ring is built for at most 26214");
}

fn weights(pods_of_stable: usize, pods_of_canary: usize) -> Vec<u32> {
    let service = |name: &str, pods: usize, net: u8| {
        let endpoints: Vec<_> = (1..=pods).map(|pod| format!("{{addresses: [10.0.{net}.{pod}]}}")).collect();
        format!(
            "\n---\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n---\nkind: EndpointSlice\n\
             metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\n\
             ports: [{{port: 8080}}]\nendpoints: [{}]",
            endpoints.join(", ")
        )
    };
    let yaml = format!(
        "kind: UpstreamGroup
metadata: {{name: g}}
spec:
  servers:
  - {{name: stable, service: {{name: stable, port: 80}}, weight: 90, weightMode: Shared}}
  - {{name: canary, service: {{name: canary, port: 80}}, weight: 10, weightMode: Shared}}
  - {{name: spare, address: '10.0.9.1:80', weight: 7, backup: true}}{}{}",
        service("stable", pods_of_stable, 1),
        service("canary", pods_of_canary, 2)
    );
    group(&files(&yaml).config, "default/g").servers.iter().map(|server| server.weight).collect()
}

#[test]
fn ninety_ten_stays_ninety_ten_whatever_the_pods() {
    assert_eq!(weights(3, 1), [3, 3, 3, 1, 7]);
    assert_eq!(weights(4, 1), [9, 9, 9, 9, 4, 7]);
    assert_eq!(weights(1, 3), [27, 1, 1, 1, 7], "the backup's tier is weighed on its own");
    assert_eq!(weights(0, 2), [1, 1, 7]);
}

#[test]
fn a_service_without_ready_endpoints_is_noted() {
    let yaml = "kind: UpstreamGroup
metadata: {name: g}
spec: {servers: [{name: a, service: {name: app, port: 80}}]}
---
kind: Ingress
metadata: {name: web}
spec:
  defaultBackend: {service: {name: app, port: {number: 80}}}
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}}]}}]
---
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
";
    let slice = |conditions: &str| {
        format!(
            "---
kind: EndpointSlice
metadata: {{name: app, labels: {{kubernetes.io/service-name: app}}}}
addressType: IPv4
ports: [{{port: 8080}}]
endpoints: [{{addresses: [10.0.0.1], conditions: {conditions}}}]
"
        )
    };
    let notes = [
        "FB4010 note Ingress default/web spec.defaultBackend.service.name",
        "FB4010 note UpstreamGroup default/g spec.servers[0].service.name",
    ];
    let hints = |endpoints: &str| {
        let translation = files(&format!("{yaml}{endpoints}"));
        assert_eq!(said(&translation), notes);
        translation.diagnostics[0].hint.clone().unwrap()
    };
    assert!(hints("").starts_with("no EndpointSlice of it has port 80;"));
    assert_eq!(hints(&slice("{ready: false}")), "it has 1 that is not ready");
    for usable in ["{ready: true}", "{ready: false, serving: true, terminating: true}"] {
        assert_eq!(said(&files(&format!("{yaml}{}", slice(usable)))), Vec::<String>::new(), "{usable}");
    }
}

/// What frames the body follows from it.
#[test]
fn a_header_that_cannot_be_set_is_warned_of() {
    let yaml = "kind: UpstreamGroup
metadata: {name: g}
spec:
  servers: [{name: a, address: '10.0.0.1:80'}]
  requestHeaders: {set: [{name: X-A, value: a}, {name: Content-length, value: '1'}, {name: Transfer-Encoding, value: x}]}
";
    let translation = translate(&objects(yaml), &Options::for_files(NOW));
    let field = |n: usize| format!("FB3105 warning UpstreamGroup default/g spec.requestHeaders.set[{n}].name");
    assert_eq!(said(&translation), [field(1), field(2)]);
}
