//! A configuration that uses everything protocol 1 can say.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{
    Availability, Certificate, CertificateId, Condition, Config, CookieLifetime, Group, GroupId, HostRoutes, Keepalive,
    LeastTimeMeasure, LineWeight, Method, Millis, NextUpstream, PathMatch, PathRoute, Phase, Pod, PrivateKey,
    RequestHeaders, Revision, Routes, SameSite, Server, SetHeader, Sticky, StickyCookie, StickyLearn, StickyRoute,
    Target, Template, Tier, Timeouts, WeightMode,
};
use feed::Scope;
use feed::report::{Counters, Extent, GroupReport, LastFailure, Report, ServerReport, ServerState};

/// What the reader of protocol 1 understands by the controller's side of the golden exchange.
pub const AS_FROZEN_V1_UNDERSTANDS: &str = "\
welcome 1 by controller-0
reports go to controller-0_7f at 10.0.0.9:9902
commit 1
cert/shop/tls: chain of 11 bytes, key of 9 bytes
group/shop/app: Hash, 3 servers: stable 10.1.2.3:8080 w3; vm [fd00::7]:3000 w1; local unix:/run/app.sock w1
group/shop/conn: LeastConn, 0 servers
group/shop/ip: IpHash, 0 servers
group/shop/random: Random, 0 servers
group/shop/time: LeastTime, 0 servers
group/shop/two: RandomTwo, 0 servers
group/shop/web:http: RoundRobin, 1 servers: web 10.1.2.4:80 w1
route/shop.example: = /exact to shop/app, ^ /api to shop/web:http, ^ /gone to nowhere, else shop/app
route/*.example: else nothing
route/*: else shop/web:http
synced
commit 2
cert/shop/tls: chain of 11 bytes, key of 9 bytes
group/shop/app: Hash, 3 servers: stable 10.1.2.3:8080 w5; vm [fd00::7]:3000 w1; local unix:/run/app.sock w1
group/shop/conn: LeastConn, 0 servers
group/shop/ip: IpHash, 0 servers
group/shop/random: Random, 0 servers
group/shop/time: LeastTime, 0 servers
group/shop/two: RandomTwo, 0 servers
group/shop/web:http: RoundRobin, 1 servers: web 10.1.2.4:80 w1
route/shop.example: = /exact to shop/app, ^ /api to shop/web:http, ^ /gone to nowhere, else shop/app
route/*: else shop/web:http
bye within 4000 ms: the controller restarts
";

/// Who knows nothing of zones is told of every server.
pub const ZONES_AS_FROZEN_V1_UNDERSTANDS: &str = "\
welcome 1 by controller-0
reports go to controller-0_7f at 10.0.0.9:9902
commit 1
group/shop/app: RoundRobin, 2 servers: app 10.1.2.3:80 w5; app 10.1.2.4:80 w5
synced
commit 2
group/shop/app: RoundRobin, 2 servers: app 10.1.2.3:80 w5; app 10.1.2.4:80 w5
bye within 4000 ms: the controller restarts
";

fn template(text: &str) -> Template {
    Template::parse(text, Phase::Log).unwrap()
}

fn app(weight: u32) -> Group {
    let stable = Server {
        weight,
        max_fails: 3,
        fail_timeout: 30,
        max_conns: 100,
        slow_start: Millis(5000),
        pod: Some(Pod { name: "app-6f".into(), uid: Some("u-1".into()), zone: Some("z1".into()) }),
        ..Server::new("stable", "10.1.2.3:8080".parse().unwrap())
    };
    let vm = Server {
        tier: Tier::Backup,
        availability: Availability::Down,
        route: Some("b".into()),
        ..Server::new("vm", "[fd00::7]:3000".parse().unwrap())
    };
    let local =
        Server { availability: Availability::Drain, ..Server::new("local", "unix:/run/app.sock".parse().unwrap()) };
    Group {
        method: Method::Hash { key: template("$request_uri"), consistent: true },
        keepalive: Keepalive { connections: 16, ..Keepalive::default() },
        next_upstream: NextUpstream {
            conditions: vec![
                Condition::Error,
                Condition::Timeout,
                Condition::InvalidHeader,
                Condition::Http500,
                Condition::Http502,
                Condition::Http503,
                Condition::Http504,
                Condition::Http403,
                Condition::Http404,
                Condition::Http429,
            ],
            non_idempotent: true,
            tries: 3,
            timeout: Millis(15_000),
        },
        timeouts: Timeouts { tunnel: Millis(3_600_000), ..Timeouts::default() },
        replay_max_bytes: 4096,
        sticky: Some(Sticky::Cookie(StickyCookie {
            name: "route".into(),
            expires: Some(CookieLifetime::After(Millis(3_600_000))),
            domain: Some(".example".into()),
            path: Some("/".into()),
            http_only: true,
            secure: true,
            same_site: Some(SameSite::Lax),
        })),
        request_headers: RequestHeaders {
            set: vec![SetHeader { name: "x-team".parse().unwrap(), value: template("a$http_x_team") }],
            remove: vec!["x-internal".parse().unwrap()],
        },
        ..Group::with_defaults(vec![stable, vm, local])
    }
}

fn group(method: Method, sticky: Option<Sticky>) -> Group {
    Group { method, sticky, ..Group::with_defaults(Vec::new()) }
}

fn routes() -> Vec<Arc<HostRoutes>> {
    let app = || Target::Group(GroupId::new("shop", "app"));
    let web = || Target::Group(GroupId::for_service("shop", "web", "http"));
    let path = |path, target| PathRoute { path, target, origin: "ingress shop/web".into() };
    let gone = Target::Unavailable { reason: "service \"gone\" not found".into() };
    let paths = vec![
        path(PathMatch::Exact("/exact".into()), app()),
        path(PathMatch::Prefix("/api".into()), web()),
        path(PathMatch::Prefix("/gone".into()), gone),
    ];
    let host = |host: &str, paths, default| HostRoutes { host: host.parse().unwrap(), paths, default }.into();
    vec![
        host("shop.example", paths, Some(app())),
        host("*.example", Vec::new(), None),
        host("*", Vec::new(), Some(web())),
    ]
}

pub fn config() -> Config {
    let learn = Sticky::Learn(StickyLearn {
        create: vec![template("$upstream_cookie_sid")],
        lookup: vec![template("$cookie_sid")],
        timeout: Millis(600_000),
        on_header: true,
        max_sessions: 1000,
    });
    let by_route = Sticky::Route(StickyRoute { keys: vec![template("$cookie_route"), template("$arg_route")] });
    let time = Method::LeastTime { measure: LeastTimeMeasure::Header, inflight: true };
    let web = Group::with_defaults(vec![Server::new("web", "10.1.2.4:80".parse().unwrap())]);
    let groups = [
        ("app", app(3)),
        ("conn", group(Method::LeastConn, Some(learn))),
        ("ip", group(Method::IpHash, None)),
        ("random", group(Method::Random, Some(by_route))),
        ("time", group(time, None)),
        ("two", group(Method::RandomTwo, None)),
        ("web:http", web),
    ];
    let certificate = Certificate {
        chain: "PEM of chain".get(..11).unwrap().into(),
        key: PrivateKey::new("PEM of ke"),
        hosts: vec![],
    };
    Config {
        groups: groups.map(|(name, group)| (GroupId::new("shop", name), Arc::new(group))).into(),
        routes: Arc::new(Routes { hosts: routes() }),
        certificates: [(CertificateId::new("shop", "tls"), Arc::new(certificate))].into(),
    }
}

/// The same with one weight changed and one host gone.
pub fn next() -> Config {
    let mut next = config();
    next.groups.insert(GroupId::new("shop", "app"), Arc::new(app(5)));
    Arc::make_mut(&mut next.routes).hosts.remove(1);
    next
}

/// A line that shares its weight, whose first server is hinted for a zone and whose second is for z1 and z3.
pub fn zones(first: &str) -> Config {
    let line_weight = Some(LineWeight { weight: 10, mode: WeightMode::Shared });
    let server = |address: &str, zones: &[&str]| Server {
        weight: 5,
        line_weight,
        for_zones: zones.iter().map(|zone| (*zone).into()).collect(),
        ..Server::new("app", address.parse().unwrap())
    };
    let servers = vec![server("10.1.2.3:80", &[first]), server("10.1.2.4:80", &["z1", "z3"])];
    let app = Group::with_defaults(servers);
    Config { groups: [(GroupId::new("shop", "app"), Arc::new(app))].into(), ..Config::default() }
}

/// Of a data plane that knows its zone.
pub fn zones_report() -> Report {
    Report { zone: Some("z1".into()), groups: [].into(), ..report() }
}

pub fn report() -> Report {
    let server = |name: &str, address: &str, state| ServerReport {
        name: name.into(),
        address: address.parse().unwrap(),
        state,
        effective_weight: 2,
        active: 4,
        counters: Counters {
            requests: 3_400_000,
            failures: [("connect".into(), 2), ("read_timeout".into(), 1)].into(),
            retried: 3,
            ejections: 1,
            bytes_received: 5_000_000,
            bytes_sent: 600_000,
            response_micros: 7_000_000,
            responses: 3_399_997,
        },
        last_failure: Some(LastFailure { reason: "read_timeout".into(), at: 1_795_341_600_000 }),
    };
    let states = [
        ServerState::Up,
        ServerState::Recovering,
        ServerState::Busy,
        ServerState::Draining,
        ServerState::Down,
        ServerState::Ejected,
    ];
    let servers = states.into_iter().enumerate().map(|(n, state)| server("stable", &format!("10.1.2.{n}:80"), state));
    let group =
        GroupReport { version: Some(Revision::of(b"app")), active_tier: Tier::Primary, servers: servers.collect() };
    Report {
        instance: "proxy-1".into(),
        epoch: 1_795_341_000_000,
        seq: 6,
        extent: Extent::Full,
        revision: Revision::of(b"all"),
        age: Millis(0),
        scope: Scope::All,
        zone: None,
        rejected: BTreeMap::new(),
        groups: [(GroupId::new("shop", "app"), group.into())].into(),
    }
}
