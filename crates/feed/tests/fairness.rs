//! What a subscriber costs: its own entries and its own steps. Nobody waits for anybody, and no value is encoded twice.

mod support;

use config::{Config, Millis};
use feed::frames::ServerFrame;
use feed::{Change, Published, Scope, Subscriber, Versions};
use support::{NOW, client, converse, group, hello, published, route, subscriber};

/// Introduces a subscriber and takes every line it is due; how many steps that took.
fn synchronise(subscriber: &mut Subscriber, published: &Published) -> usize {
    subscriber.receive(&hello([]), NOW).unwrap();
    drain(subscriber, published)
}

fn drain(subscriber: &mut Subscriber, published: &Published) -> usize {
    std::iter::from_fn(|| subscriber.poll(published, NOW)).count()
}

fn fleet(size: usize, published: &Published) -> Vec<Subscriber> {
    let mut fleet: Vec<_> = (0..size).map(|_| subscriber()).collect();
    for subscriber in &mut fleet {
        synchronise(subscriber, published);
    }
    fleet
}

#[test]
fn a_subscriber_that_does_not_read_delays_nobody() {
    let mut published = published((0..200).map(|n| group(&format!("g{n}"), 2)));
    let mut silent = subscriber();
    silent.receive(&hello([]), NOW).unwrap();
    let mut fleet = fleet(50, &published);
    for round in 1..=40 {
        let changes = (0..5).map(|n| Change::Put(group(&format!("g{n}"), round + 2)));
        assert_eq!(published.publish(changes).changed, 5);
        for subscriber in &mut fleet {
            assert_eq!(drain(subscriber, &published), 6, "five puts and a commit, whoever else is connected");
        }
    }
    // It comes back to the present in as many steps as a newcomer, not to 40 rounds of the past.
    assert_eq!(drain(&mut silent, &published), synchronise(&mut subscriber(), &published));
}

#[test]
fn one_encoding_serves_all() {
    let mut published = published([group("app", 3)]);
    let mut fleet = fleet(20, &published);
    published.publish([Change::Put(group("app", 4))]);
    let encoded = published.resource(&group("app", 4).key()).unwrap().line(Versions::OURS.newest()).as_ptr();
    for subscriber in &mut fleet {
        assert_eq!(subscriber.poll(&published, NOW).unwrap().as_ptr(), encoded);
    }
}

#[test]
fn a_subscriber_costs_its_resources_and_no_history() {
    let mut published = published((0..100).map(|n| group(&format!("g{n}"), 1)));
    let mut reading = subscriber();
    synchronise(&mut reading, &published);
    let mut silent = subscriber();
    silent.receive(&hello([]), NOW).unwrap();
    for round in 0..500 {
        // Names come and go, so that a history would grow.
        published.publish([
            Change::Put(group(&format!("n{round}"), 1)),
            Change::Delete(group(&format!("n{}", round as isize - 1), 1).key()),
        ]);
        // It reads one line in each round, and is due two.
        reading.poll(&published, NOW);
        silent.receive(b"", NOW).unwrap();
        assert!(reading.entries() <= 3 * 101, "{} entries", reading.entries());
        assert!(silent.entries() <= 3 * 101);
        assert!(published.logged() <= 1024);
    }
}

#[test]
fn who_reads_slower_than_things_change_still_gets_on() {
    let mut published = published((0..20).map(|n| group(&format!("g{n}"), 1)));
    let mut slow = subscriber();
    synchronise(&mut slow, &published);
    let (mut since_commit, mut commits) = (0, 0);
    for round in 0..2000 {
        published.publish((0..20).map(|n| Change::Put(group(&format!("g{n}"), 2 + round % 2))));
        let line = slow.poll(&published, NOW).expect("there is always something due");
        since_commit += 1;
        if line.starts_with(b"{\"commit\"") {
            commits += 1;
            since_commit = 0;
        }
        assert!(since_commit <= 4 * 20 + 64);
    }
    assert!(commits >= 15, "{commits} commits");
}

#[test]
fn a_newcomer_is_synchronised_while_everything_changes() {
    let mut published = published((0..20).map(|n| group(&format!("g{n}"), 1)));
    let mut slow = subscriber();
    slow.receive(&hello([]), NOW).unwrap();
    let lines = (0..200).map(|round| {
        published.publish((0..20).map(|n| Change::Put(group(&format!("g{n}"), 2 + round % 2))));
        slow.poll(&published, NOW).expect("there is always something due")
    });
    let lines: Vec<_> = lines.collect();
    let synced = lines.iter().position(|line| line.starts_with(b"{\"synced\"")).expect("it says so");
    assert!(lines[synced - 1].starts_with(b"{\"commit\""));
    assert!(synced <= 2 * 20 + 64 + 20 + 3, "after {synced} lines");
}

#[test]
fn every_prefix_of_a_batch_is_sound() {
    // A route moves to a new group while the old one goes, and the stream may be closed at any line.
    let mut published = published([group("old", 1), route("a.example", "old")]);
    let mut subscriber = subscriber();
    synchronise(&mut subscriber, &published);
    published.replace(&[group("new", 1), route("a.example", "new")].into_iter().collect());
    let lines: Vec<_> = std::iter::from_fn(|| subscriber.poll(&published, NOW)).collect();
    let kinds: Vec<String> =
        lines.iter().map(|line| String::from_utf8_lossy(&line[..25.min(line.len())]).into_owned()).collect();
    assert_eq!(
        kinds,
        [
            r#"{"put":{"key":"group/shop"#,
            r#"{"put":{"key":"route/a.ex"#,
            r#"{"del":{"key":"group/shop"#,
            "{\"commit\":{\"seq\":2}}\n",
        ]
    );
}

#[test]
fn a_reconnect_costs_the_difference() {
    let mut published = published((0..300).map(|n| group(&format!("g{n}"), 2)));
    let mut proxy = client("proxy-1", Scope::All);
    proxy.connect(NOW);
    converse(&mut proxy, &mut subscriber(), &published);
    published.publish([Change::Put(group("g7", 3)), Change::Delete(group("g8", 1).key())]);
    // Another replica with the same content: a version is the content's, not the replica's.
    let config: Config = published.resources().map(|(_, encoded)| encoded.resource().clone()).collect();
    let mut other = Published::default();
    other.replace(&config);
    proxy.connect(NOW);
    let (_, lines) = converse(&mut proxy, &mut subscriber(), &other);
    let of = |kind: &str| lines.iter().filter(|line| line.starts_with(&format!("< {{\"{kind}\""))).count();
    assert_eq!((of("put"), of("del"), of("commit"), of("synced")), (1, 1, 1, 1));
    assert_eq!(proxy.config(), config);
}

#[test]
fn signs_of_life_come_in_time_and_tell_the_leader_at_once() {
    let mut published = published([]);
    let mut subscriber = subscriber();
    synchronise(&mut subscriber, &published);
    assert_eq!(subscriber.deadline(), Some(Millis(NOW.0 + 10_000)));
    assert_eq!(subscriber.poll(&published, Millis(NOW.0 + 9_999)), None);
    assert!(subscriber.poll(&published, Millis(NOW.0 + 10_000)).unwrap().starts_with(b"{\"beat\""));
    let leader = feed::frames::Leader { identity: "controller-1_x".into(), address: Some("10.0.0.9:9902".into()) };
    published.lead(Some(leader.clone()));
    let line = subscriber.poll(&published, Millis(NOW.0 + 10_001)).unwrap();
    let ServerFrame::Beat(beat) = ServerFrame::from_line(&line).unwrap() else { panic!("not a beat") };
    assert_eq!(beat.leader, Some(leader));
    assert_eq!(subscriber.poll(&published, Millis(NOW.0 + 10_002)), None);
}

#[test]
fn nothing_is_said_before_the_cluster_is_known() {
    let published = Published::default();
    let mut subscriber = subscriber();
    subscriber.receive(&hello([("group/shop/app".into(), config::Revision::of(b"x"))]), NOW).unwrap();
    let lines: Vec<_> = std::iter::from_fn(|| subscriber.poll(&published, NOW)).collect();
    assert_eq!(lines.len(), 2, "welcome and beat, but no del of what it has");
}
