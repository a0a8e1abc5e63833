//! The sequences and check values that the reference gives for weights, addresses and ids, all seen from a real nginx.

mod support;

use std::{collections::HashMap, net::IpAddr};

use balance::{Availability, GroupSpec, Inputs, Method, Outcome, Plan, Request, ServerSpec, SpecError, Tier};
use support::{lab::Lab, lab::letter, server, weighted};

/// `ngx_http_upstream_round_robin.c`, `ngx_http_upstream_get_peer`; and `least_conn` of an idle group is the same.
#[test]
fn smooth_weighting_gives_nginx_sequences() {
    let table: [(&[u32], &str); 12] = [
        (&[1, 1, 1], "abc"),
        (&[5, 1, 1], "aabacaa"),
        (&[3, 2, 1], "abacba"),
        (&[2, 1], "aba"),
        (&[1, 2], "bab"),
        (&[3, 1], "aaba"),
        (&[1, 3], "babb"),
        (&[2, 2, 1], "abcab"),
        (&[1, 1, 5], "ccacbcc"),
        (&[4, 3, 2, 1], "abcabdacba"),
        (&[1, 2, 7], "cbccaccbcc"),
        (&[10, 1], "aaaaabaaaaa"),
    ];
    for method in [Method::RoundRobin, Method::LeastConn] {
        for (weights, sequence) in table {
            let mut lab = Lab::new(&weighted(method, weights));
            for _ in 0..3 {
                assert_eq!(lab.letters(sequence.len()), sequence, "{weights:?}");
            }
        }
    }
}

#[test]
fn the_current_weights_of_5_1_1() {
    let mut lab = Lab::new(&weighted(Method::RoundRobin, &[5, 1, 1]));
    let trace: [(char, [i64; 3]); 7] = [
        ('a', [-2, 1, 1]),
        ('a', [-4, 2, 2]),
        ('b', [1, -4, 3]),
        ('a', [-1, -3, 4]),
        ('c', [4, -2, -2]),
        ('a', [2, -1, -1]),
        ('a', [0, 0, 0]),
    ];
    for (picked, weights) in trace {
        assert_eq!(lab.ok().map(letter), Some(picked));
        assert_eq!(lab.current(), weights);
    }
}

/// Vector `rr-weight-penalty`: 10/3/1, `max_fails=2`, one refused connect at the second request, which is retried.
#[test]
fn a_failure_lowers_the_effective_weight_and_rounds_restore_it() {
    let mut spec = weighted(Method::RoundRobin, &[10, 3, 1]);
    spec.servers.iter_mut().for_each(|server| server.max_fails = 2);
    let mut lab = Lab::new(&spec);
    let mut sequence = String::new();
    for number in 0..17 {
        if number == 1 {
            let mut request = lab.request();
            let failed = lab.select(&mut request).expect("a peer");
            lab.release(failed, Outcome::Failed);
            let next = lab.select(&mut request).expect("another peer");
            lab.release(next, Outcome::Done(None));
            sequence.extend([letter(failed.position), '>', letter(next.position)]);
        } else {
            sequence.extend(lab.ok().map(letter));
        }
    }
    assert_eq!(sequence, "aa>bbcabaaabaaabaac");
}

/// `ngx_http_upstream_ip_hash_module.c`: the index among three equal peers, and where a rehash leads.
#[test]
fn addresses_hash_to_nginx_peers() {
    let table = [
        ("127.0.0.1", 2, 2),
        ("10.0.0.1", 0, 1),
        ("10.0.1.9", 1, 2),
        ("192.168.1.77", 1, 2),
        ("203.0.113.200", 0, 2),
        ("::1", 2, 0),
        ("2001:db8::1", 2, 2),
        ("::ffff:10.0.0.1", 1, 1),
    ];
    let spec = weighted(Method::IpHash, &[1, 1, 1]);
    for (client, first, second) in table {
        let client: Option<IpAddr> = client.parse().ok();
        let inputs = Inputs { client, ..Inputs::default() };
        assert_eq!(Lab::new(&spec).with(&inputs, Outcome::Done(None)), Some(first), "{client:?}");
        if first != second {
            let mut down = spec.clone();
            down.servers[first].availability = Availability::Down;
            assert_eq!(Lab::new(&down).with(&inputs, Outcome::Done(None)), Some(second), "{client:?} rehashed");
        }
    }
}

/// `sticky`: the id of a server is its route, else the MD5 of its printable address.
#[test]
fn server_ids() {
    let mut spec = GroupSpec { servers: vec![server("127.0.0.1:18101"), server("b")], ..GroupSpec::default() };
    spec.servers[1].route = Some("rb".into());
    let lab = Lab::new(&spec);
    assert_eq!(lab.plan.sid(0), "a44db3549e461fcd8a5ae22f73f91140");
    assert_eq!(lab.plan.sid(1), "rb");
}

/// Points of one value: the server configured earlier keeps it, whatever the order of the rest (ledger `ring-ties`).
#[test]
fn equal_points_belong_to_the_earlier_server() {
    let twice = |texts: [&str; 2]| {
        let servers = texts.iter().enumerate().map(|(nth, text)| {
            let mut server = server(text);
            server.key.nth = u16::try_from(nth).expect("few");
            server
        });
        Lab::new(&GroupSpec { method: Method::ConsistentHash, servers: servers.collect(), sticky: false })
    };
    // "unix:X" and "X" have the same host and no port: every point of one is a point of the other.
    for (texts, key) in [(["unix:app", "app"], "/a"), (["app", "unix:app"], "/b")] {
        let mut lab = twice(texts);
        let inputs = Inputs { hash_key: key.as_bytes(), ..Inputs::default() };
        for _ in 0..4 {
            assert_eq!(lab.with(&inputs, Outcome::Done(None)), Some(0), "{texts:?}");
        }
    }
}

/// A repeated text shares its points: its peers take turns (`ngx_http_upstream_get_chash_peer`).
#[test]
fn peers_of_one_server_text_take_turns_on_the_ring() {
    let peer = |address: &str| ServerSpec { server: "app.example:80".into(), ..server(address) };
    let servers = vec![peer("10.0.0.1:80"), peer("10.0.0.2:80"), peer("10.0.0.3:80")];
    let mut lab = Lab::new(&GroupSpec { method: Method::ConsistentHash, servers, sticky: false });
    let inputs = Inputs { hash_key: b"/same", ..Inputs::default() };
    let turns: Vec<_> = (0..6).filter_map(|_| lab.with(&inputs, Outcome::Done(None))).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
}

/// Ledger `ring-size`.
#[test]
fn a_ring_has_a_bound_that_says_how_to_mend_it() {
    let error = Plan::build(&weighted(Method::ConsistentHash, &[26_214, 1])).expect_err("one too many");
    assert_eq!(error, SpecError::RingTooLarge { total_weight: 26_215, limit: 26_214 });
    assert!(error.to_string().contains("lower the weights"));
    assert!(Plan::build(&weighted(Method::Hash, &[26_214, 1])).is_ok());
}

#[test]
fn a_contradictory_group_is_refused() {
    assert!(matches!(Plan::build(&weighted(Method::RoundRobin, &[1, 0])), Err(SpecError::ZeroWeight(_))));
    let twice = GroupSpec { servers: vec![server("a"), server("a")], ..GroupSpec::default() };
    assert!(matches!(Plan::build(&twice), Err(SpecError::DuplicateKey(_))));
}

/// The greatest weights there are, 10,000 of them, do not overflow.
#[test]
fn the_greatest_weights_are_computed_exactly() {
    for method in [Method::RoundRobin, Method::LeastConn] {
        let mut lab = Lab::new(&weighted(method, &vec![u32::MAX; 10_000]));
        for expected in (0..10_000).chain(0..3) {
            assert_eq!(
                lab.group
                    .select(&lab.plan, &mut Request::new(&lab.plan, &Inputs::default()), lab.now(), &mut lab.rng)
                    .map(|peer| {
                        lab.group.release(&lab.plan, peer, Outcome::Done(None), lab.now());
                        peer.position
                    }),
                Ok(expected)
            );
        }
    }
}

/// `ngx_http_upstream_hash_module.c`: a list of one, an empty key or more than 20 misses is round robin's.
#[test]
fn hash_methods_fall_back_to_round_robin() {
    for method in [Method::Hash, Method::ConsistentHash] {
        let mut lab = Lab::new(&weighted(method, &[2, 1, 1]));
        assert_eq!(lab.letters(4), "abca", "an empty key");
    }
    for method in [Method::IpHash, Method::Hash, Method::ConsistentHash, Method::Random, Method::RandomTwo] {
        let mut spec = weighted(method, &[1, 1, 1]);
        spec.servers[0].availability = Availability::Down;
        spec.servers[1].tier = Tier::Backup;
        spec.servers[2].tier = Tier::Backup;
        let inputs = Inputs { hash_key: b"/", ..Inputs::default() };
        let mut lab = Lab::new(&spec);
        let picks: Vec<_> = (0..4).filter_map(|_| lab.with(&inputs, Outcome::Done(None))).collect();
        assert_eq!(picks, [1, 2, 1, 2], "{method:?}: the backups behind a hash are round robin's");
    }
}

/// Ledger `only-backups`.
#[test]
fn a_group_of_backups_alone_is_served_by_them() {
    for method in Method::ALL {
        let mut spec = weighted(method, &[1, 1]);
        spec.servers.iter_mut().for_each(|server| server.tier = Tier::Backup);
        let mut lab = Lab::new(&spec);
        let picks: Vec<_> = (0..4).map(|_| lab.ok()).collect();
        assert!(picks.iter().all(Option::is_some) && !lab.plan.is_single(), "{method:?}: {picks:?}");
    }
}

/// Ledger `random-backups`: a retry among the backups is drawn from them, not from the one primary, which is always the first
/// in nginx.
#[test]
fn a_retry_among_backups_is_drawn_by_their_weights() {
    let mut spec = weighted(Method::Random, &[1, 1, 1, 8]);
    spec.servers[0].availability = Availability::Down;
    spec.servers.iter_mut().for_each(|server| server.max_fails = 0);
    spec.servers[1..].iter_mut().for_each(|server| server.tier = Tier::Backup);
    let mut lab = Lab::new(&spec);
    let mut pairs: HashMap<(usize, usize), u32> = HashMap::new();
    for _ in 0..1000 {
        let mut request = lab.request();
        let [first, second] = [(); 2].map(|()| {
            let peer = lab.select(&mut request).expect("a backup");
            lab.release(peer, Outcome::Failed);
            peer.position
        });
        *pairs.entry((first, second)).or_default() += 1;
    }
    // Of those whose first was 1, eight in nine go to 3.
    let (two, three) = (pairs[&(1, 2)], pairs[&(1, 3)]);
    assert!(two > 0 && three > 5 * two, "{pairs:?}");
    assert!(pairs[&(3, 1)] > 0 && pairs[&(3, 2)] > 0, "{pairs:?}");
}

/// Ledger `ring-without-primaries`.
#[test]
fn a_consistent_group_without_primaries_uses_its_backups() {
    let mut spec = weighted(Method::ConsistentHash, &[1, 1]);
    spec.servers.iter_mut().for_each(|server| server.tier = Tier::Backup);
    let mut lab = Lab::new(&spec);
    let inputs = Inputs { hash_key: b"/", ..Inputs::default() };
    assert_eq!(lab.with(&inputs, Outcome::Done(None)), Some(0));
}

/// A source that draws one number, and remembers of how many.
struct Drawn(u64, Option<u64>);

impl balance::Rng for Drawn {
    fn below(&mut self, bound: u64) -> u64 {
        assert_eq!(self.1.replace(bound), None, "a second draw");
        self.0
    }
}

/// As many numbers as the weights add up to, and as many of them a server's as it weighs: if each number is as likely as
/// any other, the shares are exact (ledger `random-source`).
#[test]
fn a_draw_is_one_number_below_the_total_weight() {
    for (weights, owners) in [(&[5, 3, 2][..], "aaaaabbbcc"), (&[1, 1], "ab"), (&[1, 4, 1, 1], "abbbbcd")] {
        for (number, owner) in (0..).zip(owners.chars()) {
            let mut lab = Lab::new(&weighted(Method::Random, weights));
            let mut drawn = Drawn(number, None);
            let peer = lab.group.select(&lab.plan, &mut lab.request(), lab.now(), &mut drawn).expect("a peer");
            assert_eq!((letter(peer.position), drawn.1), (owner, Some(owners.len() as u64)), "{weights:?}: {number}");
        }
    }
}

/// A source that always draws the first server, and counts.
struct First(u32);

impl balance::Rng for First {
    fn below(&mut self, _: u64) -> u64 {
        self.0 += 1;
        0
    }
}

/// `tries > 20`: the 21st miss of a request ends the drawing, and its retries draw no more.
#[test]
fn a_request_gives_up_after_the_21st_miss() {
    for method in [Method::Random, Method::RandomTwo] {
        let mut spec = weighted(method, &[1, 1, 1]);
        spec.servers[0].availability = Availability::Down;
        let mut lab = Lab::new(&spec);
        let mut request = lab.request();
        let mut first = First(0);
        for expected in [1, 2] {
            let peer = lab.group.select(&lab.plan, &mut request, lab.now(), &mut first).expect("round robin's peer");
            assert_eq!((peer.position, first.0), (expected, 21), "{method:?}");
        }
    }
}

/// The walk along the ring, retries included, against the rule written down a second time.
#[test]
fn retries_walk_on_along_the_ring() {
    let mut spec = weighted(Method::ConsistentHash, &[30, 1, 1, 1, 1]);
    spec.servers[0].availability = Availability::Down;
    let mut ring: Vec<(u32, usize)> = Vec::new();
    for (position, server) in spec.servers.iter().enumerate() {
        let (host, port) = server.server.split_once(':').expect("host and port");
        let mut last = [0; 4];
        for _ in 0..160 * server.weight {
            let point = crc32fast::hash(&[host.as_bytes(), &[0], port.as_bytes(), &last].concat());
            ring.push((point, position));
            last = point.to_le_bytes();
        }
    }
    ring.sort_by_key(|&(point, _)| point);
    ring.dedup_by_key(|&mut (point, _)| point);
    let mut fell_back = 0;
    for number in 0..150 {
        let key = format!("/{number}");
        let mut lab = Lab::new(&spec);
        let mut request = Request::new(&lab.plan, &Inputs { hash_key: key.as_bytes(), ..Inputs::default() });
        let mut at = ring.partition_point(|&(point, _)| point < crc32fast::hash(key.as_bytes()));
        let (mut misses, mut tried) = (0, vec![0]);
        for _ in 0..3 {
            while misses <= 20 && tried.contains(&ring[at % ring.len()].1) {
                at += 1;
                misses += 1;
            }
            let peer = lab.select(&mut request).expect("a peer");
            if misses > 20 {
                fell_back += 1;
                break;
            }
            assert_eq!(peer.position, ring[at % ring.len()].1, "{key}");
            tried.push(peer.position);
        }
    }
    assert!((30..450).contains(&fell_back), "both ways are walked: {fell_back}");
}
