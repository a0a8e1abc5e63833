//! Whenever a controller stops in the middle, what it said so far is sound: no route leads to a group that the data plane
//! does not have, and no group shows its servers a certificate that it does not have. The cluster changes between any two lines, and few names come, go and come again, so that every order of
//! events is met.

mod support;

use std::collections::BTreeMap;

use std::sync::Arc;

use config::{Certificate, CertificateId, Config, Group, PrivateKey, Protocol, Resource, ServerTls, Trust};
use feed::frames::ServerFrame;
use feed::{Change, Grant, PrivateKeys, Published, Subscriber};
use proptest::prelude::*;
use support::{NOW, anyone, group, hello, options, route};

const GROUPS: [&str; 4] = ["a", "b", "c", "d"];
const HOSTS: [&str; 4] = ["1.example", "2.example", "3.example", "4.example"];

/// One state of the cluster: the size of each group, if it is there, and where each host leads, if it is there.
type State = ([Option<usize>; 4], [Option<usize>; 4]);

fn state() -> impl Strategy<Value = State> {
    let groups = prop::array::uniform4(prop::option::weighted(0.6, 1..3usize));
    let hosts = prop::array::uniform4(prop::option::weighted(0.6, 0..4usize));
    (groups, hosts)
}

/// A sound configuration: a host whose group is not there is not there either.
fn config((groups, hosts): &State) -> Config {
    let made = GROUPS.iter().zip(groups).filter_map(|(name, servers)| Some(secured(group(name, (*servers)?))));
    let made: Vec<_> = made.collect();
    let shown = made.iter().any(|one| one.references().next().is_some()).then(certificate);
    let led = |(host, to): (&&str, &Option<usize>)| {
        let to = to.filter(|to| groups[*to].is_some())?;
        Some(route(host, GROUPS[to]))
    };
    shown.into_iter().chain(made).chain(HOSTS.iter().zip(hosts).filter_map(led)).collect()
}

/// A group of two servers shows them the certificate.
fn secured(resource: Resource) -> Resource {
    let Resource::Group(id, group) = resource else { unreachable!("a group") };
    if group.servers.len() < 2 {
        return Resource::Group(id, group);
    }
    let tls = ServerTls { server_name: None, trust: Trust::System, client_certificate: Some(shown()) };
    Resource::Group(id, Arc::new(Group { protocol: Protocol::Https(tls), ..Group::clone(&group) }))
}

fn shown() -> CertificateId {
    CertificateId::new("default", "shown")
}

fn certificate() -> Resource {
    let certificate = Certificate { chain: "chain".into(), key: PrivateKey::new("key"), hosts: Vec::new() };
    Resource::Certificate(shown(), Arc::new(certificate))
}

/// What a data plane without commits would have.
#[derive(Default)]
struct Shadow {
    held: BTreeMap<String, Resource>,
    in_batch: usize,
}

impl Shadow {
    fn take(&mut self, line: &[u8]) {
        match ServerFrame::from_line(line).unwrap() {
            ServerFrame::Put(put) => {
                let key = put.key.parse().unwrap();
                self.held.insert(put.key, Resource::from_json(&key, put.value.get()).unwrap());
                self.in_batch += 1;
            }
            ServerFrame::Del(del) => {
                assert!(self.held.remove(&del.key).is_some(), "{} was not there", del.key);
                self.in_batch += 1;
            }
            ServerFrame::Commit(_) => self.in_batch = 0,
            ServerFrame::Welcome(_)
            | ServerFrame::Synced(_)
            | ServerFrame::Beat(_)
            | ServerFrame::Bye(_)
            | ServerFrame::Unknown => {}
        }
        let references = self.held.values().flat_map(Resource::references);
        references.for_each(|key| assert!(self.held.contains_key(&key.to_string()), "{key} is needed"));
    }

    fn config(&self) -> Config {
        self.held.values().cloned().collect()
    }
}

/// One that may see everything.
fn subscriber() -> Subscriber {
    Subscriber::new(options(), Grant { private_keys: PrivateKeys::Allowed, ..anyone() }, NOW)
}

fn take_one(subscriber: &mut Subscriber, published: &Published, shadow: &mut Shadow) -> bool {
    let line = subscriber.poll(published, NOW);
    if let Some(line) = &line {
        shadow.take(line);
    }
    // Nine names: a batch is closed when it has twice the holdings and 64, after a round of at most all names.
    assert!(shadow.in_batch <= 2 * 9 + 64 + 2 * 9);
    assert!(subscriber.entries() <= 3 * 9, "{} entries", subscriber.entries());
    line.is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_prefix_is_sound(steps in prop::collection::vec((state(), 0..5usize), 1..30)) {
        let mut published = Published::default();
        let mut subscriber = subscriber();
        let mut shadow = Shadow::default();
        subscriber.receive(&hello([]), NOW).unwrap();
        for (state, lines) in &steps {
            published.replace(&config(state));
            for _ in 0..*lines {
                take_one(&mut subscriber, &published, &mut shadow);
            }
        }
        while take_one(&mut subscriber, &published, &mut shadow) {}
        prop_assert_eq!(shadow.config(), config(&steps.last().unwrap().0));
        prop_assert_eq!(shadow.in_batch, 0);
    }
}

#[test]
fn a_group_that_came_again_while_the_log_was_overrun_is_not_broken() {
    let mut published = Published::default();
    let mut subscriber = subscriber();
    let mut shadow = Shadow::default();
    let first: Config = [group("a", 1), group("d", 1), route("1.example", "d")].into_iter().collect();
    published.replace(&first);
    subscriber.receive(&hello([]), NOW).unwrap();
    while take_one(&mut subscriber, &published, &mut shadow) {}
    // A round begins in which "d" is to go; then it is there again, and more changes than the log holds.
    published.replace(&[group("a", 2)].into_iter().collect());
    take_one(&mut subscriber, &published, &mut shadow);
    published.replace(&first);
    for servers in 0..1100 {
        published.publish([Change::Put(group("b", servers % 2 + 1))]);
    }
    while take_one(&mut subscriber, &published, &mut shadow) {}
    assert_eq!(shadow.config(), first.resources().chain([group("b", 2)]).collect());
}
