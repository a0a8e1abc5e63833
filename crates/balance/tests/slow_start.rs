//! `slow_start`, which open-source nginx does not have (ledger `slow-start`): who starts slowly, how, and who does not care.

mod support;

use balance::{GroupSpec, Inputs, Method, Outcome};
use support::{lab::Lab, server, weighted};

const RAMP: u64 = 64_000;

fn slowly(method: Method, servers: usize) -> GroupSpec {
    let mut spec = weighted(method, &vec![1; servers]);
    spec.servers.iter_mut().for_each(|server| server.slow_start = RAMP);
    spec
}

/// Requests that the server at `position` gets of `count`, each ended at once.
fn share(lab: &mut Lab, position: usize, count: usize) -> usize {
    (0..count).filter(|_| lab.ok() == Some(position)).count()
}

#[test]
fn a_group_that_begins_is_at_full_weight() {
    let mut lab = Lab::new(&slowly(Method::RoundRobin, 3));
    assert_eq!(lab.letters(6), "abcabc");
}

#[test]
fn a_newcomer_grows_linearly_to_its_weight() {
    let mut spec = slowly(Method::RoundRobin, 2);
    let mut lab = Lab::new(&spec);
    spec.servers.push(balance::ServerSpec { slow_start: RAMP, ..server("10.1.0.1:80") });
    lab.change(&spec);
    // At a share r of its weight it gets r / (2 + r) of the requests: 1000 · (1/64)/(2 + 1/64), then with 1/4, 1/2, 1.
    for (second, expected) in [(0, 8), (16, 111), (32, 200), (64, 333)] {
        lab.at(second);
        let got = share(&mut lab, 2, 1000);
        assert!(got.abs_diff(expected) <= 1, "second {second}: {got} of 1000, not {expected}");
    }
    assert_eq!(share(&mut lab, 2, 300), 100);
}

#[test]
fn a_recovered_peer_starts_slowly() {
    let mut spec = slowly(Method::RoundRobin, 2);
    spec.servers[0].fail_timeout = 1;
    let mut lab = Lab::new(&spec);
    assert_eq!(lab.fail(), Some(0));
    lab.at(2);
    while lab.ok() != Some(0) {}
    lab.now += RAMP / 4;
    let got = share(&mut lab, 0, 1000);
    assert!(got.abs_diff(200) <= 1, "{got} of 1000 at a quarter of the weight");
}

/// Who was away for a while may have started again: it keeps its failures, and not its full share.
#[test]
fn a_server_that_returns_starts_slowly() {
    let mut spec = slowly(Method::RoundRobin, 3);
    spec.servers[2].max_fails = 2;
    let without = GroupSpec { servers: spec.servers[..2].to_vec(), ..spec.clone() };
    let mut lab = Lab::new(&spec);
    assert_eq!((lab.letters(2), lab.fail()), ("ab".to_owned(), Some(2)));
    lab.change(&without);
    lab.at(15);
    lab.change(&spec);
    assert_eq!(lab.fails()[2], 1);
    lab.at(31);
    let got = share(&mut lab, 2, 1000);
    assert!(got.abs_diff(111) <= 1, "{got} of 1000 at a quarter of the weight");
    // A change that leaves it where it is begins nothing anew.
    lab.change(&spec);
    lab.at(47);
    let got = share(&mut lab, 2, 1000);
    assert!(got.abs_diff(200) <= 1, "{got} of 1000 at half of the weight");
}

#[test]
fn least_conn_compares_with_the_weight_reached() {
    let mut spec = slowly(Method::LeastConn, 2);
    let mut lab = Lab::new(&spec);
    spec.servers.push(balance::ServerSpec { slow_start: RAMP, ..server("10.1.0.1:80") });
    lab.change(&spec);
    lab.at(16);
    let held: Vec<_> = (0..90).map(|_| lab.open().position).collect();
    let newcomer = held.iter().filter(|&&position| position == 2).count();
    assert!(newcomer.abs_diff(10) <= 1, "{newcomer} of 90 in progress at a quarter of the weight");
}

/// A hash or a draw is made over fixed shares, and a single peer has nobody to share with.
#[test]
fn those_who_do_not_care() {
    for method in [Method::IpHash, Method::Hash, Method::ConsistentHash, Method::Random, Method::RandomTwo] {
        let mut slow = slowly(method, 2);
        let mut fast = weighted(method, &[1, 1]);
        let (mut ramping, mut plain) = (Lab::new(&slow), Lab::new(&fast));
        slow.servers.push(balance::ServerSpec { slow_start: RAMP, ..server("10.1.0.1:80") });
        fast.servers.push(server("10.1.0.1:80"));
        ramping.change(&slow);
        plain.change(&fast);
        for key in 0..50_u32 {
            let key = key.to_string();
            let inputs = Inputs { hash_key: key.as_bytes(), ..Inputs::default() };
            let picks = [&mut ramping, &mut plain].map(|lab| lab.with(&inputs, Outcome::Done(None)));
            assert_eq!(picks[0], picks[1], "{method:?}");
        }
    }
    let mut lab = Lab::new(&GroupSpec::default());
    lab.change(&slowly(Method::RoundRobin, 1));
    assert_eq!(lab.letters(3), "aaa");
}
