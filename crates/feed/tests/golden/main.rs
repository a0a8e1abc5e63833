//! Two releases at a time talk to each other, in either order of upgrade. What protocol 1 wrote lies in `v1/` and is never
//! edited; a reader as it was then lies in `frozen_v1.rs` and is never edited either. So it is with protocol 2, which writes
//! the controller's side in other words: `v2/`, `frozen_v2.rs`.
//!
//! * Today's machines read what was written then, and understand the same by it.
//! * The reader of then reads what is written today, and understands the same by it.
//! * What is written today says everything that was said then: members may be added, none changed, none left out.
//!
//! What was said with a member that was added later lies in files of its own, which from then on are as fixed: `zones.jsonl` and
//! `zones-report.json`, of the release that added zones.

mod frozen_v1;
mod frozen_v2;
mod sample;
#[path = "../support/mod.rs"]
mod support;

use config::Config;
use feed::frames::{Ack, ClientFrame, Leader, Nack};
use feed::report::Report;
use feed::{Event, Grant, LastGood, PrivateKeys, Published, Received, Scope, Subscriber, Versions};
use serde_json::Value;
use support::{NOW, anyone, client, converse, options};

const SERVER: &str = include_str!("v1/server.jsonl");
const SERVER_2: &str = include_str!("v2/server.jsonl");
const CLIENT: &str = include_str!("v1/client.jsonl");
const REPORT: &str = include_str!("v1/report.json");
const LAST_GOOD: &str = include_str!("v1/last-good.jsonl");
const ZONES: &str = include_str!("v1/zones.jsonl");
const ZONES_2: &str = include_str!("v2/zones.jsonl");
const ZONES_REPORT: &str = include_str!("v1/zones-report.json");

fn all() -> Grant {
    Grant { private_keys: PrivateKeys::Allowed, ..anyone() }
}

fn only(protocol: u32) -> Versions {
    Versions::new(protocol, protocol).unwrap()
}

/// What a controller of today writes: the sample, then one change and one deletion, then goodbye.
fn written_by_server(protocol: u32) -> String {
    written(protocol, &sample::config(), &sample::next())
}

/// What a controller of today writes of hints that change.
fn written_of_zones(protocol: u32) -> String {
    written(protocol, &sample::zones("z1"), &sample::zones("z2"))
}

fn written(protocol: u32, first: &Config, next: &Config) -> String {
    let mut published = Published::default();
    published.lead(Some(Leader { identity: "controller-0_7f".into(), address: Some("10.0.0.9:9902".into()) }));
    published.replace(first);
    let mut subscriber = Subscriber::new(options(), all(), NOW);
    subscriber.receive(&support::hello_of(only(protocol), []), NOW).unwrap();
    let mut text = String::new();
    let drain = |subscriber: &mut Subscriber, published: &Published, text: &mut String| {
        while let Some(line) = subscriber.poll(published, NOW) {
            text.push_str(std::str::from_utf8(&line).unwrap());
        }
    };
    drain(&mut subscriber, &published, &mut text);
    published.replace(next);
    drain(&mut subscriber, &published, &mut text);
    subscriber.leave("the controller restarts", config::Millis(4000));
    drain(&mut subscriber, &published, &mut text);
    text
}

/// What a data plane of today writes.
fn written_by_client() -> String {
    let have = sample::config().resources().map(|one| (one.key().to_string(), one.revision())).collect();
    let hello = |scope, have| {
        let hello = feed::frames::Hello { protocol: only(1), instance: "proxy-1".into(), scope, have };
        ClientFrame::Hello(hello)
    };
    let nack = Nack {
        key: "group/shop/app".into(),
        version: config::Revision::of(b"refused"),
        problem: "unknown variant `Quantum`".into(),
    };
    [
        hello(Scope::All, have),
        hello(Scope::Namespaces(["shop".into()].into()), [].into()),
        hello(Scope::Groups(["shop/app".parse().unwrap()].into()), [].into()),
        ClientFrame::Nack(nack),
        ClientFrame::Ack(Ack { commit: 3 }),
    ]
    .iter()
    .map(|frame| String::from_utf8(frame.to_line().to_vec()).unwrap())
    .collect()
}

fn written_as_last_good() -> String {
    let resources: Vec<_> = sample::config().resources().map(|one| (one.key(), one)).collect();
    let file = LastGood::encode(
        resources.iter().map(|(key, one)| (key, one, Some(one.revision()))),
        config::Millis(1_795_341_600_123),
    );
    String::from_utf8(file).unwrap()
}

#[test]
fn today_reads_what_a_controller_wrote_then() {
    for server in [SERVER, SERVER_2] {
        assert_eq!(read(server), [sample::config(), sample::next()]);
    }
    for zones in [ZONES, ZONES_2] {
        assert_eq!(read(zones), [sample::zones("z1"), sample::zones("z2")]);
    }
}

/// What a data plane of today commits.
fn read(stream: &str) -> Vec<Config> {
    let mut proxy = client("proxy-1", Scope::All);
    proxy.connect(NOW);
    let configs = proxy
        .receive(stream.as_bytes(), NOW)
        .into_iter()
        .filter_map(|event| match event {
            Event::Commit(update) => Some(Config::clone(&update.config)),
            Event::Violated(violation) => panic!("{violation}"),
            Event::Welcomed { .. } | Event::Synced | Event::Leads(_) | Event::Bye { .. } => None,
        })
        .collect();
    assert_eq!(proxy.rejected(), &[].into());
    configs
}

#[test]
fn today_reads_what_a_data_plane_wrote_then() {
    let mut published = Published::default();
    published.replace(&sample::config());
    let lines: Vec<&str> = CLIENT.lines().collect();
    for hello in &lines[..3] {
        let mut subscriber = Subscriber::new(options(), all(), NOW);
        let line = format!("{hello}\n");
        assert_eq!(subscriber.receive(line.as_bytes(), NOW), Ok(vec![Received::Introduced]), "{hello}");
    }
    let frames: Vec<_> = lines[3..].iter().map(|line| ClientFrame::from_line(line.as_bytes()).unwrap()).collect();
    assert!(matches!(&frames[..], [ClientFrame::Nack(nack), ClientFrame::Ack(ack)]
        if nack.key == "group/shop/app" && ack.commit == 3));
}

#[test]
fn today_reads_reports_and_files_written_then() {
    assert_eq!(Report::from_json(REPORT.as_bytes(), &all()).unwrap(), sample::report());
    assert_eq!(Report::from_json(ZONES_REPORT.as_bytes(), &all()).unwrap(), sample::zones_report());
    let last = LastGood::decode(LAST_GOOD.as_bytes()).unwrap();
    let config: Config = last.resources.into_iter().map(|one| one.resource).collect();
    assert_eq!(config, Config { certificates: [].into(), ..sample::config() });
}

#[test]
fn then_reads_what_a_controller_writes_today() {
    assert_eq!(frozen_v1::understand(&written_by_server(1)), sample::AS_FROZEN_V1_UNDERSTANDS);
    assert_eq!(frozen_v1::understand(&written_of_zones(1)), sample::ZONES_AS_FROZEN_V1_UNDERSTANDS);
    for (understood, server, then) in [
        (sample::AS_FROZEN_V1_UNDERSTANDS, written_by_server(2), SERVER_2),
        (sample::ZONES_AS_FROZEN_V1_UNDERSTANDS, written_of_zones(2), ZONES_2),
    ] {
        let the_same = understood.replacen("welcome 1", "welcome 2", 1);
        assert_eq!(frozen_v2::understand(&server), the_same);
        assert_eq!(frozen_v2::understand(then), the_same);
    }
}

#[test]
fn today_says_everything_that_was_said_then() {
    let line = |report: Report| String::from_utf8(report.to_json()).unwrap() + "\n";
    for (name, then, today) in [
        ("v1/server.jsonl", SERVER, written_by_server(1)),
        ("v2/server.jsonl", SERVER_2, written_by_server(2)),
        ("v1/client.jsonl", CLIENT, written_by_client()),
        ("v1/last-good.jsonl", LAST_GOOD, written_as_last_good()),
        ("v1/report.json", REPORT, line(sample::report())),
        ("v1/zones.jsonl", ZONES, written_of_zones(1)),
        ("v2/zones.jsonl", ZONES_2, written_of_zones(2)),
        ("v1/zones-report.json", ZONES_REPORT, line(sample::zones_report())),
    ] {
        if std::env::var_os("FEED_NEW_PROTOCOL").is_some() {
            std::fs::write(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR")), &today).unwrap();
            continue;
        }
        assert_eq!(then.lines().count(), today.lines().count(), "{name}");
        for (then, today) in then.lines().zip(today.lines()) {
            let (then, today) = (serde_json::from_str(then).unwrap(), serde_json::from_str(today).unwrap());
            contains(&today, &then, name);
        }
    }
}

/// Every member of `then` is in `today` with the same value; versions change when members are added.
fn contains(today: &Value, then: &Value, at: &str) {
    match (today, then) {
        (Value::Object(today), Value::Object(then)) => {
            for (name, value) in then {
                let at = format!("{at}.{name}");
                assert!(today.contains_key(name), "{at} is not said any more");
                contains(&today[name], value, &at);
            }
        }
        (Value::Array(today), Value::Array(then)) => {
            assert_eq!(today.len(), then.len(), "{at}");
            today.iter().zip(then).for_each(|(today, then)| contains(today, then, at));
        }
        (Value::String(today), Value::String(then)) if is_version(then) => assert!(is_version(today), "{at}"),
        (today, then) => assert_eq!(today, then, "{at}"),
    }
}

fn is_version(text: &str) -> bool {
    text.parse::<config::Revision>().is_ok()
}

/// The exchange in the protocol's chapter is this one. `FEED_SHOW=1 cargo test -p forebay-feed --test golden -- --nocapture`
/// prints it.
#[test]
fn an_exchange_to_look_at() {
    let mut published = Published::default();
    published.lead(Some(Leader { identity: "controller-0_7f".into(), address: Some("10.0.0.9:9902".into()) }));
    published.replace(&[support::group("app", 1), support::route("shop.example", "app")].into_iter().collect());
    let mut proxy = client("proxy-1", Scope::All);
    let mut subscriber = Subscriber::new(options(), all(), NOW);
    proxy.connect(NOW);
    let (_, mut lines) = converse(&mut proxy, &mut subscriber, &published);
    published.replace(&[support::group("app", 2), support::route("shop.example", "app")].into_iter().collect());
    lines.extend(converse(&mut proxy, &mut subscriber, &published).1);
    published.replace(&[support::group("new", 1), support::route("shop.example", "new")].into_iter().collect());
    lines.extend(converse(&mut proxy, &mut subscriber, &published).1);
    if std::env::var_os("FEED_SHOW").is_some() {
        println!("{}", lines.join("\n"));
    }
    let kinds: Vec<_> = lines.iter().map(|line| line[..9].to_owned()).collect();
    assert_eq!(
        kinds.concat(),
        [
            "> {\"hello\"",
            "< {\"welco",
            "< {\"beat\":",
            "< {\"put\":{",
            "< {\"put\":{",
            "< {\"commi",
            "> {\"ack\":{",
            "< {\"synce",
            "< {\"put\":{",
            "< {\"commi",
            "> {\"ack\":{",
            "< {\"put\":{",
            "< {\"put\":{",
            "< {\"del\":{",
            "< {\"commi",
            "> {\"ack\":{",
        ]
        .map(|line| line[..9].to_owned())
        .concat()
    );
}
