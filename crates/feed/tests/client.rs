//! A data plane's end, moment by moment.

mod support;

use config::{Config, Millis, Resource, Revision};
use feed::frames::{Commit, Leader, ServerFrame, Synced, Welcome};
use feed::{Change, Client, ClientOptions, Event, LastGood, Receipt, Remembered, Scope, Versions, Violation};
use support::{NOW, client, converse, group, published, route, subscriber};

fn at(millis: u64) -> Millis {
    Millis(millis)
}

fn welcome() -> Vec<u8> {
    welcome_to(1)
}

fn welcome_to(protocol: u32) -> Vec<u8> {
    ServerFrame::Welcome(Welcome { protocol, server: "controller-0".into() }).to_line().to_vec()
}

fn commit(seq: u64) -> Vec<u8> {
    ServerFrame::Commit(Commit { seq }).to_line().to_vec()
}

fn synced() -> Vec<u8> {
    ServerFrame::Synced(Synced {}).to_line().to_vec()
}

fn put(resource: &Resource) -> Vec<u8> {
    published([resource.clone()]).resource(&resource.key()).unwrap().line(Versions::OURS.newest()).to_vec()
}

/// Everything it has to say now.
fn said(client: &mut Client) -> Vec<String> {
    std::iter::from_fn(|| client.poll()).map(|line| String::from_utf8_lossy(&line).trim_end().to_owned()).collect()
}

/// The configurations and receipts among events.
fn commits(events: &[Event]) -> Vec<(Config, Receipt)> {
    let commit = |event: &Event| match event {
        Event::Commit(update) => Some((Config::clone(&update.config), update.receipt)),
        Event::Welcomed { .. } | Event::Synced | Event::Leads(_) | Event::Bye { .. } | Event::Violated(_) => None,
    };
    events.iter().filter_map(commit).collect()
}

fn holding(resources: &[Resource]) -> Client {
    let mut proxy = client("proxy-1", Scope::All);
    proxy.connect(NOW);
    converse(&mut proxy, &mut subscriber(), &published(resources.to_vec()));
    assert!(proxy.is_synced());
    proxy
}

#[test]
fn a_batch_is_in_force_at_its_commit_and_acknowledged_when_applied() {
    let mut proxy = client("proxy-1", Scope::All);
    proxy.connect(NOW);
    assert_eq!(said(&mut proxy), [r#"{"hello":{"protocol":[1,2],"instance":"proxy-1","scope":"all","have":{}}}"#]);
    let batch = [welcome(), put(&group("app", 1)), put(&route("a.example", "app"))].concat();
    assert_eq!(commits(&proxy.receive(&batch, NOW)), []);
    assert_eq!(proxy.config(), Config::default());
    let events = proxy.receive(&commit(1), NOW);
    let expected: Config = [group("app", 1), route("a.example", "app")].into_iter().collect();
    let [(config, receipt)] = &commits(&events)[..] else { panic!("{events:?}") };
    assert_eq!((config, proxy.revision()), (&expected, expected.revision()));
    assert_eq!(said(&mut proxy), [""; 0], "it is not in force yet");
    proxy.applied(*receipt);
    assert_eq!(said(&mut proxy), [r#"{"ack":{"commit":1}}"#]);
    // A commit that changes nothing needs nobody to apply it.
    let events = proxy.receive(&[synced(), put(&group("app", 1)), commit(2)].concat(), NOW);
    assert_eq!(commits(&events), []);
    assert_eq!(said(&mut proxy), [r#"{"ack":{"commit":2}}"#]);
}

#[test]
fn a_refused_resource_leaves_what_was_there_and_is_not_advertised() {
    let mut proxy = holding(&[group("app", 1), group("other", 1)]);
    let before = proxy.config();
    let line = String::from_utf8(put(&group("app", 2))).unwrap();
    let version: Revision = line.split('"').nth(9).unwrap().parse().unwrap();
    let novel = line.replace(r#"{"servers""#, r#"{"method":"Quantum","servers""#);
    let events = proxy.receive(&[novel.into_bytes(), commit(2)].concat(), NOW);
    assert_eq!(commits(&events), []);
    let answers = said(&mut proxy);
    assert!(answers[0].starts_with(&format!(r#"{{"nack":{{"key":"group/shop/app","version":"{version}","problem":"#)));
    assert!(answers[0].contains("unknown variant `Quantum`"), "{}", answers[0]);
    assert_eq!(answers[1], r#"{"ack":{"commit":2}}"#);
    assert_eq!(proxy.config(), before);
    assert_eq!(proxy.rejected()["group/shop/app"].version, version);
    proxy.connect(NOW);
    let hello = proxy.poll().unwrap();
    assert!(!String::from_utf8_lossy(&hello).contains(&version.to_string()));
    assert!(String::from_utf8_lossy(&hello).contains(&group("app", 1).revision().to_string()));
}

#[test]
fn the_check_refuses_before_anything_is_in_force() {
    let check = |resource: &Resource| match resource {
        Resource::Group(id, _) if id.name() == "bad" => Err("no plan\u{1b} for it".to_owned()),
        Resource::Group(..) | Resource::Route(_) | Resource::Certificate(..) => Ok(()),
    };
    let options = ClientOptions {
        instance: "proxy-1".into(),
        scope: Scope::All,
        protocol: Versions::OURS,
        silence: at(35_000),
        check,
    };
    let mut proxy = Client::new(options.clone());
    proxy.connect(NOW);
    let mut served = subscriber();
    let published = published([group("bad", 1), group("good", 1)]);
    converse(&mut proxy, &mut served, &published);
    assert_eq!(proxy.config(), [group("good", 1)].into_iter().collect());
    let version = group("bad", 1).revision();
    let key = group("bad", 1).key();
    assert_eq!(served.standing(&key), feed::Standing::Refused { version });
    assert_eq!(served.problem(&key, version), Some("no plan  for it"));
    // Nor does it come from a disk.
    let remembered = |resource: Resource| Remembered { version: None, resource };
    let mut again = Client::new(options);
    again.remember(vec![remembered(group("bad", 1)), remembered(group("good", 1))]);
    let update = again.restore(at(0), NOW);
    assert_eq!(*update.config, proxy.config());
}

#[test]
fn the_ack_of_one_stream_is_not_said_on_the_next() {
    let mut proxy = client("proxy-1", Scope::All);
    proxy.connect(NOW);
    let events = proxy.receive(&[welcome(), put(&group("app", 1)), commit(1)].concat(), NOW);
    let receipt = commits(&events)[0].1;
    proxy.connect(NOW);
    proxy.applied(receipt);
    assert_eq!(said(&mut proxy).len(), 1, "the hello alone");
    proxy.disconnect();
    proxy.applied(receipt);
    assert_eq!(said(&mut proxy), [""; 0]);
}

#[test]
fn a_stream_that_ends_within_a_batch_leaves_nothing_of_it() {
    let mut proxy = holding(&[group("app", 1)]);
    let before = proxy.config();
    proxy.receive(&[put(&group("app", 2)), put(&group("new", 1))].concat(), NOW);
    proxy.connect(NOW);
    proxy.receive(&[welcome(), commit(1)].concat(), NOW);
    assert_eq!(proxy.config(), before);
}

#[test]
fn a_controller_that_talks_nonsense_is_left_with_what_it_committed() {
    for (nonsense, of) in [
        (b"HTTP/1.1 400 Bad Request\n".to_vec(), "not a frame"),
        (vec![b'x'; feed::limits::SERVER_LINE + 1], "a line is longer"),
    ] {
        let mut proxy = client("proxy-1", Scope::All);
        proxy.connect(NOW);
        let bytes = [welcome(), put(&group("app", 1)), commit(1), nonsense].concat();
        let events = proxy.receive(&bytes, NOW);
        assert_eq!(commits(&events).len(), 1);
        let Some(Event::Violated(violation)) = events.last() else { panic!("{of}") };
        assert!(violation.to_string().starts_with(of), "{violation}");
        assert_eq!((proxy.deadline(), proxy.poll()), (None, None));
        assert_eq!(proxy.config(), [group("app", 1)].into_iter().collect());
        assert_eq!(proxy.receive(&commit(2), NOW), []);
    }
}

#[test]
fn a_controller_begins_with_a_welcome_that_was_offered() {
    for bytes in [commit(1), put(&group("app", 1)), welcome_to(3)] {
        let mut proxy = client("proxy-1", Scope::All);
        proxy.connect(NOW);
        let events = proxy.receive(&bytes, NOW);
        assert!(matches!(&events[..], [Event::Violated(Violation::OutOfPlace { .. })]), "{events:?}");
    }
}

#[test]
fn age_runs_from_the_last_word_of_a_controller() {
    let mut proxy = client("proxy-1", Scope::All);
    assert_eq!(proxy.age(at(0)), None);
    proxy.connect(at(100));
    assert_eq!(proxy.deadline(), Some(at(35_100)));
    proxy.receive(&[welcome(), commit(1)].concat(), at(200));
    assert_eq!(proxy.age(at(200)), None, "not a whole one yet");
    proxy.receive(&synced(), at(300));
    assert_eq!((proxy.age(at(5000)), proxy.deadline()), (Some(at(0)), Some(at(35_300))));
    proxy.disconnect();
    assert_eq!(proxy.age(at(5300)), Some(at(5000)));
    proxy.connect(at(6000));
    proxy.receive(&welcome(), at(6000));
    assert_eq!(proxy.age(at(6300)), Some(at(6000)), "connected is not current");
    proxy.receive(&[commit(1), synced()].concat(), at(6400));
    assert_eq!(proxy.age(at(6500)), Some(at(0)));
}

#[test]
fn what_was_on_disk_is_in_force_until_a_controller_says_otherwise() {
    let first = holding(&[group("app", 1), group("gone", 1), group("lossy", 1)]);
    let file = LastGood::encode(first.resources(), at(1_795_341_600_000));
    let mut last = LastGood::decode(&file).unwrap();
    // One that an older release wrote, of which this one understands more than was written.
    last.resources[2].version = None;
    let mut proxy = client("proxy-1", Scope::All);
    proxy.remember(last.resources);
    let update = proxy.restore(at(7000), NOW);
    assert_eq!(*update.config, first.config());
    proxy.applied(update.receipt);
    assert_eq!(proxy.age(at(NOW.0 + 1)), Some(at(7001)));
    proxy.connect(NOW);
    let (events, lines) = converse(&mut proxy, &mut subscriber(), &published([group("app", 1), group("lossy", 1)]));
    let of = |kind: &str| lines.iter().filter(|line| line.contains(&format!("{{\"{kind}\":"))).count();
    assert_eq!((of("put"), of("del")), (1, 1), "the lossy one is sent again: {lines:?}");
    assert_eq!(commits(&events).last().unwrap().0, [group("app", 1), group("lossy", 1)].into_iter().collect());
}

/// Whether a controller answers in time or not, and whether or not this release understands all that was written.
#[test]
fn of_what_was_on_disk_a_controller_sends_takes_or_leaves_each() {
    let content =
        |resource: Resource, known: bool| Remembered { version: known.then(|| resource.revision()), resource };
    for (known, in_time) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut proxy = client("proxy-1", Scope::All);
        let disk = [group("changed", 1), group("gone", 1), group("held", 1), group("same", 1)];
        proxy.remember(disk.into_iter().map(|resource| content(resource, known)).collect());
        assert_eq!((proxy.config().groups.len(), proxy.age(NOW)), (4, None));
        if !in_time {
            proxy.restore(at(0), NOW);
        }
        proxy.connect(NOW);
        let mut published = published([group("changed", 2), group("same", 1)]);
        published.publish([Change::Hold(group("held", 1).key())]);
        let (events, lines) = converse(&mut proxy, &mut subscriber(), &published);
        let puts = lines.iter().filter(|line| line.contains("{\"put\":")).count();
        assert_eq!(puts, if known { 1 } else { 2 }, "{lines:?}");
        let expected: Config = [group("changed", 2), group("held", 1), group("same", 1)].into_iter().collect();
        let in_force: Vec<_> = commits(&events).into_iter().map(|(config, _)| config).collect();
        assert_eq!(in_force, [expected], "at once, and nothing of it before");
        assert_eq!(events.last(), Some(&Event::Synced));
    }
}

/// Nothing changed meanwhile, so nothing is sent; it is to be put in force all the same.
#[test]
fn what_is_remembered_is_in_force_with_the_first_commit() {
    let mut proxy = client("proxy-1", Scope::All);
    proxy.remember(vec![Remembered { version: Some(group("app", 1).revision()), resource: group("app", 1) }]);
    proxy.connect(NOW);
    let (events, _) = converse(&mut proxy, &mut subscriber(), &published([group("app", 1)]));
    assert_eq!(commits(&events).len(), 1, "{events:?}");
}

#[test]
fn it_hears_who_leads_and_when_to_come_again() {
    let mut published = published([]);
    let leader = Leader { identity: "controller-1_x".into(), address: None };
    published.lead(Some(leader.clone()));
    let mut proxy = client("proxy-1", Scope::All);
    proxy.connect(NOW);
    let mut served = subscriber();
    let (events, _) = converse(&mut proxy, &mut served, &published);
    assert!(events.contains(&Event::Leads(Some(leader))));
    served.leave("restarting", at(4000));
    let (events, _) = converse(&mut proxy, &mut served, &published);
    assert_eq!(events, [Event::Bye { within: at(4000), reason: "restarting".into() }]);
    assert!(served.is_gone());
}
