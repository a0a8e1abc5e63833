//! The rules for EndpointSlices, one test each, through the whole translation. Numbers are those of the list in
//! `docs/endpoints.md`. (Watching, coalescing and holding the last list are the source's part, not a pure function's.)

mod common;

use std::fmt::Write as _;

use common::{NOW, addresses, files, group, objects, said};
use config::Availability;
use translate::{LocalAddresses, Options, translate};

const SERVICE: &str = "
kind: Service
metadata: {name: app}
spec: {ports: [{name: http, port: 80, targetPort: web}, {name: admin, port: 9000}]}
";

const GROUP: &str = "
kind: UpstreamGroup
metadata: {name: g}
spec: {servers: [{name: app, service: {name: app, port: http}}]}
";

const STICKY: &str = "
kind: UpstreamGroup
metadata: {name: g}
spec: {servers: [{name: app, service: {name: app, port: 80}}], sticky: {cookie: {name: route}}}
";

fn slice(name: &str, rest: &str) -> String {
    format!(
        "kind: EndpointSlice\nmetadata: {{name: {name}, labels: {{kubernetes.io/service-name: app}}}}\naddressType: IPv4\n\
         ports: [{{name: http, port: 8080}}]\n{rest}"
    )
}

fn with(group: &str, slices: &[String]) -> String {
    format!("{SERVICE}\n---\n{group}\n---\n{}", slices.join("\n---\n"))
}

#[test]
fn rule_1_every_slice_of_a_service_is_merged_whoever_manages_it() {
    let translation = files(&with(
        GROUP,
        &[
            slice("b", "endpoints: [{addresses: [10.0.0.2]}]"),
            slice("a", "endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.3]}]"),
            slice("other", "endpoints: [{addresses: [10.0.9.9]}]").replace("name: app}", "name: other}"),
        ],
    ));
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"]);
}

#[test]
fn rule_1_a_slice_without_a_service_is_said() {
    let lost = "kind: EndpointSlice\nmetadata: {name: lost}\naddressType: IPv4\nendpoints: []\n";
    assert_eq!(said(&files(lost)), ["FB4005 note EndpointSlice default/lost metadata.labels"]);
}

#[test]
fn rule_2_an_address_in_two_slices_is_one_server_and_the_ready_copy_holds() {
    let stale = slice(
        "stale",
        "endpoints: [{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}]",
    );
    let fresh = slice("fresh", "endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]");
    for slices in [[stale.clone(), fresh.clone()], [fresh, stale]] {
        assert_eq!(addresses(&files(&with(STICKY, &slices)).config, "default/g"), ["10.0.0.1:8080"]);
    }
}

#[test]
fn rule_3_absent_conditions_mean_ready() {
    let translation = files(&with(
        GROUP,
        &[slice(
            "a",
            "endpoints:
- {addresses: [10.0.0.1]}
- {addresses: [10.0.0.2], conditions: {}}
- {addresses: [10.0.0.3], conditions: {serving: true}}
- {addresses: [10.0.0.4], conditions: {ready: false}}",
        )],
    ));
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"]);
}

const MIXED: &str = "endpoints:
- {addresses: [10.0.0.1], conditions: {ready: true}}
- {addresses: [10.0.0.2], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.3], conditions: {ready: false, serving: false, terminating: true}}
- {addresses: [10.0.0.4], conditions: {ready: false, serving: true, terminating: false}}";

#[test]
fn rule_4_ready_endpoints_serve_alone() {
    assert_eq!(addresses(&files(&with(GROUP, &[slice("a", MIXED)])).config, "default/g"), ["10.0.0.1:8080"]);
}

#[test]
fn rule_4_without_ready_ones_those_serving_while_terminating_serve() {
    let none_ready = MIXED.replace("ready: true", "ready: false");
    for kind in [GROUP, STICKY] {
        let translation = files(&with(kind, &[slice("a", &none_ready)]));
        assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.2:8080"]);
    }
}

#[test]
fn rule_4_a_sticky_group_keeps_draining_endpoints_for_their_sessions() {
    let translation = files(&with(STICKY, &[slice("a", MIXED)]));
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.1:8080", "10.0.0.2:8080!"]);
}

#[test]
fn rule_4_a_service_that_publishes_unready_addresses_is_believed() {
    let published = slice(
        "a",
        "endpoints: [{addresses: [10.0.0.1], conditions: {ready: true, serving: false, terminating: true}}]",
    );
    assert_eq!(addresses(&files(&with(GROUP, &[published])).config, "default/g"), ["10.0.0.1:8080"]);
}

#[test]
fn rule_5_fqdn_slices_are_ignored_and_said() {
    let fqdn = slice("f", "endpoints: [{addresses: [app.example]}]").replace("IPv4", "FQDN");
    let translation = files(&with(GROUP, &[fqdn, slice("a", "endpoints: [{addresses: [10.0.0.1]}]")]));
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.1:8080"]);
    assert_eq!(said(&translation), ["FB4005 warning EndpointSlice default/f addressType"]);
}

#[test]
fn rule_5_an_address_of_another_family_is_left_out_alone() {
    let translation =
        files(&with(GROUP, &[slice("a", "endpoints: [{addresses: ['::1:2']}, {addresses: [10.0.0.1]}]")]));
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.1:8080"]);
    assert_eq!(said(&translation), ["FB4006 warning EndpointSlice default/a endpoints[0].addresses[0]"]);
}

#[test]
fn rule_6_only_the_first_address_means_anything() {
    let translation = files(&with(GROUP, &[slice("a", "endpoints: [{addresses: [10.0.0.2, 10.0.0.1]}]")]));
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.2:8080"]);
}

#[test]
fn rule_7_ports_match_by_name_over_tcp() {
    let ports = "endpoints: [{addresses: [10.0.0.1]}]";
    let many = slice("a", ports).replace(
        "[{name: http, port: 8080}]",
        "[{name: admin, port: 9000}, {name: http, port: 53, protocol: UDP}, {name: http, port: 8081, protocol: TCP}]",
    );
    assert_eq!(addresses(&files(&with(GROUP, &[many])).config, "default/g"), ["10.0.0.1:8081"]);
}

/// The Service and its slices arrive by different ways, each with the new name before the other.
#[test]
fn rule_7_a_port_keeps_its_servers_while_it_is_renamed() {
    let slice = |name: &str| slice("a", "endpoints: [{addresses: [10.0.0.1]}]").replace("http", name);
    let both = |name| slice(name).replace("ports: [", "ports: [{name: admin, port: 9000}, ");
    let by_number = GROUP.replace("port: http", "port: 80");
    for (group, slices, servers) in [
        (&by_number, both("before"), 1),
        (&GROUP.to_owned(), both("after"), 1),
        // Which of two it is nobody knows.
        (&by_number, slice("before"), 0),
        (&by_number, both("before").replace("ports: [", "ports: [{name: more, port: 1}, "), 0),
    ] {
        let translation = files(&with(group, std::slice::from_ref(&slices)));
        assert_eq!(addresses(&translation.config, "default/g").len(), servers, "{slices}");
    }
}

/// Kubernetes' own controller writes such slices for pods without the container port that the `targetPort` names, and
/// kube-proxy sends those nothing.
#[test]
fn rule_7_a_slice_without_the_port_serves_nothing_however_it_was_asked_for() {
    let whole = slice("a", "endpoints: [{addresses: [10.0.0.1]}]");
    let with_ports = |ports: &str| whole.replace("ports: [{name: http, port: 8080}]\n", ports).replace(".1]", ".2]");
    let implicit =
        "kind: Ingress\nmetadata: {name: web}\nspec: {defaultBackend: {service: {name: app, port: {number: 80}}}}";
    for ports in [
        "",
        "ports: []\n",
        "ports: null\n",
        "ports: [{name: http, port: 53, protocol: UDP}]\n",
        "ports: [{name: http}]\n",
        "ports: [{name: admin, port: 9000}]\n",
    ] {
        let slices = [whole.clone(), with_ports(ports).replace("name: a,", "name: b,")];
        let group = |yaml: &str, id| addresses(&files(&with(yaml, &slices)).config, id);
        assert_eq!(group(GROUP, "default/g"), ["10.0.0.1:8080"], "{ports}");
        assert_eq!(group(&GROUP.replace("port: http", "port: 80"), "default/g"), ["10.0.0.1:8080"], "{ports}");
        assert_eq!(group(implicit, "default/app:80"), ["10.0.0.1:8080"], "{ports}");
    }
}

#[test]
fn rule_7_an_app_protocol_is_judged_where_the_port_is_used() {
    let whole = slice("a", "endpoints: [{addresses: [10.0.0.1]}]");
    let https = GROUP.replace("spec: {", "spec: {protocol: HTTPS, ");
    let ingress =
        "kind: Ingress\nmetadata: {name: web}\nspec: {defaultBackend: {service: {name: app, port: {name: http}}}}";
    let in_group = ["FB4009 warning UpstreamGroup default/g spec.servers[0].service.port"].as_slice();
    let in_ingress = ["FB4009 warning Ingress default/web spec.defaultBackend.service.name"].as_slice();
    for (app_protocol, user, expected) in [
        ("kubernetes.io/ws", GROUP, [].as_slice()),
        ("http", GROUP, &[]),
        ("https", GROUP, in_group),
        ("https", ingress, in_ingress),
        ("https", &https, &[]),
        ("kubernetes.io/wss", GROUP, in_group),
        ("kubernetes.io/wss", &https, &[]),
        ("kubernetes.io/h2c", GROUP, in_group),
        ("grpc", ingress, in_ingress),
        ("grpc", &https, in_group),
    ] {
        let slice = whole.replace("port: 8080", &format!("port: 8080, appProtocol: {app_protocol}"));
        let other = whole
            .replace("name: a,", "name: b,")
            .replace("http", "admin")
            .replace("port: 8080", "port: 1, appProtocol: grpc");
        let translation = files(&with(user, &[slice, other]));
        assert_eq!(said(&translation), expected, "{app_protocol} {user}");
        if app_protocol == "https" && user == GROUP {
            assert_eq!(translation.diagnostics[0].hint.as_deref(), Some("set spec.protocol: HTTPS"));
        }
    }
}

#[test]
fn rule_8_each_pod_may_serve_a_named_target_port_under_its_own_number() {
    let translation = files(&with(
        &GROUP.replace("port: http", "port: 80"),
        &[
            slice("a", "endpoints: [{addresses: [10.0.0.1]}]"),
            slice("b", "endpoints: [{addresses: [10.0.0.2]}]").replace("8080", "8090"),
        ],
    ));
    assert_eq!(addresses(&translation.config, "default/g"), ["10.0.0.1:8080", "10.0.0.2:8090"]);
}

#[test]
fn rule_8_a_headless_service_may_declare_no_port() {
    let headless = "kind: Service\nmetadata: {name: app}\nspec: {clusterIP: None}\n---\n";
    let whole = slice("a", "endpoints: [{addresses: [10.0.0.1]}]");
    for (ports, expected) in [
        ("", vec!["10.0.0.1:5000"]),
        ("ports: []\n", vec!["10.0.0.1:5000"]),
        ("ports: [{port: 5000}, {name: more, port: 1}]\n", vec!["10.0.0.1:5000"]),
        ("ports: [{port: 5000, protocol: UDP}]\n", vec![]),
    ] {
        let slice = whole.replace("ports: [{name: http, port: 8080}]\n", ports);
        let yaml = format!("{headless}{}\n---\n{slice}", GROUP.replace("port: http", "port: 5000"));
        assert_eq!(addresses(&files(&yaml).config, "default/g"), expected, "{ports}");
    }
}

const HINTED: &str = "endpoints:
- {addresses: [10.0.0.1], hints: {forZones: [{name: a}]}}
- {addresses: [10.0.0.2], hints: {forZones: [{name: b}]}}
- {addresses: [10.0.0.3], hints: {forZones: [{name: b}, {name: a}]}}";

fn in_zone(zone: Option<&str>, endpoints: &str) -> Vec<String> {
    let config = files(&with(GROUP, &[slice("a", endpoints)])).config;
    let part = config.groups[&"default/g".parse().unwrap()].for_zone(zone);
    part.servers.iter().map(|server| server.address.to_string().replace(":8080", "")).collect()
}

#[test]
fn rule_9_hints_keep_traffic_in_the_zone_and_fail_open() {
    assert_eq!(in_zone(Some("a"), HINTED), ["10.0.0.1", "10.0.0.3"]);
    assert_eq!(in_zone(None, HINTED).len(), 3, "the zone is not known");
    assert_eq!(in_zone(Some("c"), HINTED).len(), 3, "nothing is for this zone");
    let one_without = format!("{HINTED}\n- {{addresses: [10.0.0.4]}}");
    assert_eq!(in_zone(Some("a"), &one_without).len(), 4, "one endpoint has no hint");
    let unready_without = format!("{HINTED}\n- {{addresses: [10.0.0.4], conditions: {{ready: false}}}}");
    assert_eq!(in_zone(Some("a"), &unready_without).len(), 2, "only usable endpoints count");
}

#[test]
fn rule_9_every_data_plane_is_told_the_same_and_what_it_needs_to_choose() {
    let translation = files(&with(GROUP, &[slice("a", HINTED)]));
    let servers = &group(&translation.config, "default/g").servers;
    let zones: Vec<_> = servers.iter().map(|server| server.for_zones.join(" ")).collect();
    assert_eq!(zones, ["a", "b", "b a"]);
    assert!(servers.iter().all(|server| server.line_weight.is_none()), "nobody shares a weight");
    let shared = GROUP.replace("port: http}", "port: http}, weight: 60, weightMode: Shared");
    let lines = |endpoints: &str| {
        let translation = files(&with(&shared, &[slice("a", endpoints)]));
        group(&translation.config, "default/g").servers.iter().filter_map(|server| server.line_weight).count()
    };
    assert_eq!((lines(HINTED), lines("endpoints: [{addresses: [10.0.0.1]}]")), (3, 0));
}

#[test]
fn rule_9_sessions_in_other_zones_are_kept() {
    let config = files(&with(STICKY, &[slice("a", HINTED)])).config;
    let part = config.groups[&"default/g".parse().unwrap()].for_zone(Some("b"));
    let roles: Vec<_> = part.servers.iter().map(|server| server.availability).collect();
    assert_eq!(roles, [Availability::Drain, Availability::Up, Availability::Up]);
}

#[test]
fn rule_10_a_dual_stack_pod_is_one_server() {
    let pods = "endpoints: [{addresses: [IP1], targetRef: {kind: Pod, name: p, uid: u1}}, {addresses: [IP2]}]";
    let v4 = slice("v4", &pods.replace("IP1", "10.0.0.1").replace("IP2", "10.0.0.2"));
    let v6 = slice("v6", &pods.replace("IP1", "'fd00::1'").replace("IP2", "'fd00::2'")).replace("IPv4", "IPv6");
    let yaml = with(GROUP, &[v6, v4]);
    assert_eq!(
        addresses(&files(&yaml).config, "default/g"),
        ["10.0.0.1:8080", "10.0.0.2:8080", "[fd00::2]:8080"],
        "what carries no UID cannot be told to be one"
    );
    let v6_first = yaml.replace("spec: {ports:", "spec: {ipFamilies: [IPv6, IPv4], ports:");
    assert_eq!(addresses(&files(&v6_first).config, "default/g"), ["10.0.0.2:8080", "[fd00::1]:8080", "[fd00::2]:8080"]);
}

#[test]
fn rule_11_five_thousand_pods_in_fifty_slices() {
    let slices: Vec<_> = (0..50)
        .map(|index| {
            let mut endpoints = "endpoints:".to_owned();
            for pod in 0..100 {
                write!(endpoints, "\n- {{addresses: [10.1.{index}.{pod}]}}").expect("a String takes everything");
            }
            slice(&format!("s{index}"), &endpoints)
        })
        .collect();
    assert_eq!(addresses(&files(&with(GROUP, &slices)).config, "default/g").len(), 5000);
}

#[test]
fn rule_12_the_pod_and_its_zone_are_carried() {
    let endpoint = "endpoints: [{addresses: [10.0.0.1], zone: z1, targetRef: {kind: Pod, name: app-1, namespace: default, uid: u1}}]";
    let translation = files(&with(GROUP, &[slice("a", endpoint)]));
    let pod = group(&translation.config, "default/g").servers[0].pod.clone().expect("a pod");
    assert_eq!((&*pod.name, pod.uid.as_deref(), pod.zone.as_deref()), ("app-1", Some("u1"), Some("z1")));
}

#[test]
fn loopback_endpoints_are_for_files_only() {
    let endpoints = "endpoints: [{addresses: [127.0.0.1]}, {addresses: [169.254.169.254]}, {addresses: [10.0.0.1]}]";
    let objects = objects(&with(GROUP, &[slice("a", endpoints)]));
    let options = Options { local_addresses: LocalAddresses::Refuse, ..Options::for_files(NOW) };
    let cluster = translate(&objects, &options);
    assert_eq!(addresses(&cluster.config, "default/g"), ["10.0.0.1:8080"]);
    assert_eq!(
        said(&cluster),
        [
            "FB4006 warning EndpointSlice default/a endpoints[0].addresses[0]",
            "FB4006 warning EndpointSlice default/a endpoints[1].addresses[0]"
        ]
    );
    assert_eq!(addresses(&translate(&objects, &Options::for_files(NOW)).config, "default/g").len(), 3);
}

#[test]
fn a_service_without_endpoints_is_a_group_without_servers() {
    let translation = files(&with(GROUP, &[]));
    assert!(addresses(&translation.config, "default/g").is_empty());
    assert_eq!(said(&translation), ["FB4010 note UpstreamGroup default/g spec.servers[0].service.name"]);
}
