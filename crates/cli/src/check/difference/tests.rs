use std::sync::Arc;

use config::{Certificate, Method, PathMatch, PrivateKey, Routes};

use super::*;

fn server(name: &str, address: &str, weight: u32) -> Server {
    Server { weight, ..Server::new(name, address.parse().unwrap()) }
}

fn group(name: &str, servers: Vec<Server>) -> (GroupId, Arc<Group>) {
    (GroupId::new("shop", name), Arc::new(Group::with_defaults(servers)))
}

fn route(path: &str, group: &str) -> PathRoute {
    let target = Target::Group(GroupId::new("shop", group));
    PathRoute { path: PathMatch::Prefix(path.into()), target, origin: "ingress shop/web".into() }
}

fn host(host: &str, paths: Vec<PathRoute>) -> Arc<HostRoutes> {
    Arc::new(HostRoutes { host: host.parse().unwrap(), paths, default: None })
}

fn certificate(name: &str, key: &str, hosts: &[&str]) -> (CertificateId, Arc<Certificate>) {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let certificate = Certificate { chain: "chain".into(), key: PrivateKey::new(key), hosts };
    (CertificateId::new("shop", name), Arc::new(certificate))
}

fn config(groups: Vec<(GroupId, Arc<Group>)>, hosts: Vec<Arc<HostRoutes>>) -> Config {
    Config { groups: groups.into_iter().collect(), routes: Arc::new(Routes { hosts }), ..Config::default() }
}

fn lines(before: &Config, after: &Config) -> Vec<String> {
    let text = Difference::between(before, after).to_string();
    // The versions stand behind two spaces.
    let without_versions = |line: &str| {
        let end = line.trim_start().find("  ").map_or(line.len(), |at| at + line.len() - line.trim_start().len());
        line[..end].to_owned()
    };
    text.lines().map(without_versions).collect()
}

#[test]
fn equal_configurations_do_not_differ() {
    let one = config(vec![group("app", vec![server("a", "10.0.0.1:80", 1)])], vec![host("*", vec![route("/", "app")])]);
    assert!(Difference::between(&one, &one.clone()).is_empty());
    // The order of hosts has no meaning.
    let hosts = |names: [&str; 2]| config(vec![], names.map(|name| host(name, vec![])).into());
    assert!(Difference::between(&hosts(["a.example", "*"]), &hosts(["*", "a.example"])).is_empty());
}

#[test]
fn servers_come_go_and_change() {
    let before = config(
        vec![
            group("app", vec![server("a", "10.0.0.1:80", 1), server("b", "10.0.0.2:80", 1)]),
            group("old", vec![server("a", "10.0.0.9:80", 1)]),
        ],
        vec![],
    );
    let after = config(
        vec![
            group("app", vec![server("a", "10.0.0.1:80", 3), server("c", "10.0.0.3:80", 2)]),
            group("new", vec![server("a", "10.0.0.8:80", 1)]),
        ],
        vec![],
    );
    assert_eq!(
        lines(&before, &after),
        [
            "~ group shop/app",
            "    ~ server a 10.0.0.1:80: weight 1 -> 3",
            "    - server b 10.0.0.2:80",
            "    + server c 10.0.0.3:80 weight=2",
            "+ group shop/new",
            "    + server a 10.0.0.8:80",
            "- group shop/old",
            "    - server a 10.0.0.9:80",
        ]
    );
}

#[test]
fn settings_and_the_order_of_servers_are_differences() {
    let servers = || vec![server("a", "10.0.0.1:80", 1), server("b", "10.0.0.2:80", 1)];
    let before = config(vec![group("app", servers())], vec![]);
    let (id, plain) = group("app", servers());
    let least_conn = Arc::new(Group { method: Method::LeastConn, ..Arc::unwrap_or_clone(plain) });
    let after = config(vec![(id, least_conn)], vec![]);
    assert_eq!(lines(&before, &after), ["~ group shop/app", "    ~ method: \"RoundRobin\" -> \"LeastConn\""]);
    let turned = config(vec![group("app", servers().into_iter().rev().collect())], vec![]);
    assert_eq!(lines(&before, &turned), ["~ group shop/app", "    ~ the order of its servers"]);
}

#[test]
fn two_servers_of_one_name_and_address_are_two() {
    let one = || server("a", "10.0.0.1:80", 1);
    let before = config(vec![group("app", vec![one()])], vec![]);
    let after = config(vec![group("app", vec![one(), one()])], vec![]);
    assert_eq!(lines(&before, &after), ["~ group shop/app", "    + server a 10.0.0.1:80"]);
}

#[test]
fn paths_come_go_and_change() {
    let before = config(vec![], vec![host("a.example", vec![route("/", "app"), route("/old", "app")])]);
    let mut changed = host("a.example", vec![route("/", "new"), route("/new", "app")]);
    Arc::make_mut(&mut changed).default = Some(Target::Unavailable { reason: "no Service".into() });
    let after = config(vec![], vec![changed, host("b.example", vec![])]);
    assert_eq!(
        lines(&before, &after),
        [
            "~ host a.example",
            "    ~ / (Prefix): shop/app by ingress shop/web -> shop/new by ingress shop/web",
            "    + /new (Prefix): shop/app by ingress shop/web",
            "    - /old (Prefix): shop/app by ingress shop/web",
            "    + every other path: 503 (no Service)",
            "+ host b.example",
        ]
    );
}

#[test]
fn certificates_differ_without_their_keys() {
    let with = |certificates: Vec<_>| Config { certificates: certificates.into_iter().collect(), ..Config::default() };
    let before = with(vec![certificate("a", "secret-1", &["a.example"]), certificate("b", "secret-2", &["b.example"])]);
    let after =
        with(vec![certificate("a", "secret-3", &["a.example"]), certificate("b", "secret-2", &["b.example", "*"])]);
    assert_eq!(
        lines(&before, &after),
        ["~ certificate shop/a for a.example: another one", "~ certificate shop/b for b.example -> b.example, *",]
    );
    let json = serde_json::to_string(&Difference::between(&before, &after)).unwrap();
    assert!(!json.contains("secret-") && !json.contains("chain"), "{json}");
}

#[test]
fn json_has_both_versions() {
    let before = config(vec![group("app", vec![server("a", "10.0.0.1:80", 1)])], vec![]);
    let after = config(vec![group("app", vec![server("a", "10.0.0.1:80", 2)])], vec![]);
    let json = serde_json::to_value(Difference::between(&before, &after)).unwrap();
    let told = &json["groups"][0];
    assert_eq!((&told["group"], &told["change"]), (&"shop/app".into(), &"changed".into()));
    assert_ne!(told["before"], told["after"]);
    let server = &told["servers"][0];
    assert_eq!((&server["before"]["weight"], &server["after"]["weight"]), (&1.into(), &2.into()));
}

#[test]
fn the_paper_shows_what_is_printed() {
    let paper = include_str!("../../../../../docs/diagnostics.md");
    let shown = paper.rsplit("```json\n").next().and_then(|rest| rest.split("```").next()).unwrap();
    let mut shown: Value = serde_json::from_str(shown).unwrap();
    let (before, mut after) =
        (group("app", vec![server("a", "10.0.0.1:80", 1)]), group("app", vec![server("a", "10.0.0.1:80", 2)]));
    Arc::make_mut(&mut after.1).method = Method::LeastConn;
    let with = |group, hosts, key| Config {
        certificates: [certificate("web", key, &["shop.example"])].into(),
        ..config(vec![group], hosts)
    };
    let before = with(before, vec![], "secret-1");
    let after = with(after, vec![host("shop.example", vec![route("/", "app")])], "secret-2");
    let mut printed = serde_json::to_value(Difference::between(&before, &after)).unwrap();
    // Versions are whatever they are.
    for version in ["/groups/0/before", "/groups/0/after", "/hosts/0/after"] {
        for page in [&mut shown["difference"], &mut printed] {
            let version = page.pointer_mut(version).unwrap().take();
            assert!(version.as_str().is_some_and(|text| text.len() == 32), "{version}");
        }
    }
    assert_eq!(shown["difference"], printed, "{printed:#}");
}
