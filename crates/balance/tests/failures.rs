//! Failure accounting to the second, the single peer, limits, backups and pins
//! (`ngx_http_upstream_round_robin.c`, `ngx_http_upstream_free_round_robin_peer` and `ngx_http_upstream_get_peer`).

mod support;

use balance::{Availability, GroupSpec, Inputs, Method, Obstacle, Outcome, Released, Request, Tier};
use support::{lab::Lab, weighted};

/// Two servers, the first with these limits, the second never ejected.
fn pair(max_fails: u32, fail_timeout: u32) -> GroupSpec {
    let mut spec = weighted(Method::RoundRobin, &[1, 1]);
    (spec.servers[0].max_fails, spec.servers[0].fail_timeout) = (max_fails, fail_timeout);
    spec.servers[1].max_fails = 0;
    spec
}

/// Fails the next pick of the first server.
fn fail_first(lab: &mut Lab) -> Released {
    loop {
        let peer = lab.open();
        if peer.position == 0 {
            return lab.release(peer, Outcome::Failed);
        }
        lab.release(peer, Outcome::Done(None));
    }
}

/// `now - checked <= fail_timeout` keeps it out: 2 s of `fail_timeout`, failure at second 10, back in second 13.
#[test]
fn an_ejection_ends_in_the_second_after_fail_timeout() {
    let mut lab = Lab::new(&pair(1, 2));
    lab.at(10);
    assert!(fail_first(&mut lab).disabled);
    for second in [10, 11, 12] {
        lab.at(second);
        assert_eq!(lab.letters(3), "bbb", "second {second}");
        let until = lab.now().secs() - second + 13;
        assert_eq!(lab.view()[0].obstacle, Some(Obstacle::Ejected { until }));
    }
    lab.at(13);
    assert_eq!(lab.view()[0].obstacle, None);
    assert!(lab.letters(3).contains('a'));
}

/// The pick in the new window marks the probe; nobody else gets through until it has ended or the window is over.
#[test]
fn one_probe_is_let_through_per_window() {
    let mut lab = Lab::new(&pair(1, 2));
    fail_first(&mut lab);
    lab.at(3);
    let probe = std::iter::repeat_with(|| lab.open()).find(|peer| peer.position == 0).expect("a probe");
    assert_eq!(lab.letters(3), "bbb");
    lab.at(5);
    assert_eq!(lab.letters(3), "bbb");
    lab.at(6);
    assert!(lab.letters(3).contains('a'), "a probe that hangs lets the next one through");
    assert_eq!(lab.fails()[0], 0, "and whichever succeeds clears the failures");
    assert!(!lab.release(probe, Outcome::Done(None)).recovered);
}

#[test]
fn one_failed_probe_ejects_again_whatever_max_fails_is() {
    let mut lab = Lab::new(&pair(3, 2));
    for _ in 0..3 {
        fail_first(&mut lab);
    }
    lab.at(3);
    assert!(fail_first(&mut lab).disabled);
    assert_eq!(lab.letters(4), "bbbb");
}

/// Failures add up as long as none is followed by a gap longer than `fail_timeout`: no sliding window.
#[test]
fn failures_add_up_without_a_window() {
    let mut lab = Lab::new(&pair(3, 2));
    for second in [0, 2, 4] {
        lab.at(second);
        fail_first(&mut lab);
    }
    assert_eq!(lab.letters(3), "bbb");
}

/// `accessed < checked`: a success clears the count only after a pick later than `fail_timeout`.
#[test]
fn a_success_clears_only_in_a_newer_window() {
    let mut lab = Lab::new(&pair(3, 2));
    fail_first(&mut lab);
    lab.at(2);
    assert!(lab.letters(4).contains('a'));
    assert_eq!(lab.fails()[0], 1);
    lab.at(3);
    assert!(lab.letters(4).contains('a'));
    assert_eq!(lab.fails()[0], 0);
}

/// State 0 of `peer.free`: a client that goes away during the probe revives the peer, and so does a retried 404.
#[test]
fn an_abandoned_probe_revives() {
    for outcome in [Outcome::Abandoned, Outcome::Next, Outcome::Done(None)] {
        let mut lab = Lab::new(&pair(1, 2));
        fail_first(&mut lab);
        lab.at(3);
        let probe = std::iter::repeat_with(|| lab.open()).find(|peer| peer.position == 0).expect("a probe");
        assert!(lab.release(probe, outcome).recovered, "{outcome:?}");
        assert_eq!(lab.fails()[0], 0);
    }
}

/// A fault of ours, or of the client, is no news of the peer: it is as out as it was, and the next window has its probe.
#[test]
fn a_probe_that_says_nothing_revives_nobody() {
    let mut lab = Lab::new(&pair(1, 2));
    fail_first(&mut lab);
    lab.at(3);
    let probe = std::iter::repeat_with(|| lab.open()).find(|peer| peer.position == 0).expect("a probe");
    assert_eq!(lab.release(probe, Outcome::Unjudged), Released::default());
    assert_eq!((lab.fails()[0], lab.letters(3)), (1, "bbb".to_owned()));
    lab.at(6);
    assert!(lab.letters(3).contains('a'));
}

#[test]
fn zero_max_fails_never_ejects_and_zero_fail_timeout_ejects_for_the_rest_of_the_second() {
    let mut lab = Lab::new(&pair(0, 10));
    for _ in 0..5 {
        assert_eq!(fail_first(&mut lab), Released::default());
    }
    assert_eq!((lab.view()[0].effective_weight, lab.fails()[0]), (1, 5));
    let mut lab = Lab::new(&pair(1, 0));
    fail_first(&mut lab);
    assert_eq!(lab.letters(2), "bb");
    lab.now += 1000;
    assert!(lab.letters(3).contains('a'));
}

/// W=1 `max_fails=1` loses all, W=1 `max_fails=3` nothing, W=10 `max_fails=2` five per failure.
#[test]
fn the_penalty_is_divided_in_whole_weights() {
    for (weight, max_fails, left) in [(1, 1, 0), (1, 3, 1), (10, 2, 5), (10, 3, 7)] {
        let mut spec = pair(max_fails, 10);
        spec.servers[0].weight = weight;
        let mut lab = Lab::new(&spec);
        fail_first(&mut lab);
        assert_eq!(lab.view()[0].effective_weight, left, "{weight}/{max_fails}");
    }
}

/// `peers->single`: one address in the whole group, backups included.
#[test]
fn a_single_peer_is_never_ejected() {
    let mut lab = Lab::new(&weighted(Method::LeastConn, &[1]));
    for _ in 0..3 {
        assert_eq!(lab.fail(), Some(0));
        assert_eq!(lab.fails(), [0]);
    }
    assert!(lab.plan.is_single());

    let mut spec = weighted(Method::RoundRobin, &[1, 1]);
    spec.servers[1].availability = Availability::Down;
    let mut lab = Lab::new(&spec);
    assert!(!lab.plan.is_single());
    assert_eq!((lab.fail(), lab.ok()), (Some(0), None), "with a second server that is down it is ejected");
}

#[test]
fn a_single_peer_still_has_limits() {
    let mut spec = weighted(Method::RoundRobin, &[1]);
    spec.servers[0].max_conns = 1;
    let mut lab = Lab::new(&spec);
    let held = lab.open();
    assert_eq!(lab.ok(), None);
    assert_eq!(lab.view()[0].obstacle, Some(Obstacle::Full));
    lab.release(held, Outcome::Done(None));
    assert_eq!(lab.ok(), Some(0));
    spec.servers[0].availability = Availability::Drain;
    lab.change(&spec);
    assert_eq!(lab.ok(), None);
}

/// Full primaries send their overflow to the backups, in every method.
#[test]
fn backups_take_what_full_primaries_cannot() {
    for method in Method::ALL {
        let mut spec = weighted(method, &[1, 1, 1]);
        spec.servers.iter_mut().for_each(|server| server.max_conns = 1);
        spec.servers[2].tier = Tier::Backup;
        let mut lab = Lab::new(&spec);
        let mut tiers: Vec<_> = (0..3).map(|_| lab.open().position).collect();
        assert_eq!(tiers.pop(), Some(2), "{method:?}");
        let mut request = lab.request();
        assert!(lab.select(&mut request).is_err(), "{method:?}: everybody is full");
    }
}

/// No revival: with every peer out the answer is `no live upstreams` at once, in every method.
#[test]
fn nobody_is_revived_when_all_are_out() {
    for method in Method::ALL {
        let mut lab = Lab::new(&weighted(method, &[1, 1]));
        let mut request = lab.request();
        for _ in 0..2 {
            let peer = lab.select(&mut request).expect("a peer not tried yet");
            lab.release(peer, Outcome::Failed);
        }
        assert!(lab.select(&mut request).is_err(), "{method:?}");
        assert_eq!(lab.ok(), None, "{method:?}");
    }
}

/// Draining takes only pinned requests; `down` not even those; an ejected or full one neither.
#[test]
fn a_pin_is_honoured_while_its_peer_can_take_it() {
    for method in Method::ALL {
        let mut spec = weighted(method, &[1, 1, 1]);
        spec.sticky = true;
        spec.servers[1].availability = Availability::Drain;
        spec.servers[1].route = Some("rb".into());
        let inputs = Inputs { sid: Some("rb"), ..Inputs::default() };
        let mut lab = Lab::new(&spec);
        for _ in 0..8 {
            assert_ne!(lab.ok(), Some(1), "{method:?}: draining");
            assert_eq!(lab.with(&inputs, Outcome::Done(None)), Some(1), "{method:?}: pinned");
        }
        assert_eq!(lab.with(&inputs, Outcome::Failed), Some(1));
        assert_ne!(lab.with(&inputs, Outcome::Done(None)), Some(1), "{method:?}: ejected");
        spec.servers[1].availability = Availability::Down;
        let mut lab = Lab::new(&spec);
        assert_ne!(lab.with(&inputs, Outcome::Done(None)), Some(1), "{method:?}: down");
    }
}

/// Of servers with one id a session is led to the first that stays; to one that drains only where none stays (ledger
/// `shared-route`).
#[test]
fn a_session_is_not_led_to_who_drains_past_who_stays() {
    use Availability::{Down, Drain, Up};
    let table = [
        ([Up, Up, Up], Some(0)),
        ([Drain, Up, Up], Some(1)),
        ([Down, Drain, Up], Some(2)),
        ([Down, Drain, Drain], Some(1)),
        ([Down, Down, Down], None),
    ];
    for method in Method::ALL {
        for (availabilities, led_to) in table {
            let mut spec = weighted(method, &[1, 1, 1, 1]);
            spec.sticky = true;
            for (server, availability) in spec.servers.iter_mut().zip(availabilities) {
                (server.availability, server.route) = (availability, Some("line".into()));
            }
            let mut lab = Lab::new(&spec);
            let mut request = Request::new(&lab.plan, &Inputs { sid: Some("line"), ..Inputs::default() });
            let peer = lab.select(&mut request).expect("a live peer");
            let pinned = peer.pinned.then_some(peer.position);
            assert_eq!(pinned, led_to, "{method:?}, {availabilities:?}");
        }
    }
}

/// Round robin charges a pinned pick to the pinned peer, and stops charging when it is one request behind all others.
#[test]
fn pinned_picks_are_charged_once() {
    let mut spec = weighted(Method::RoundRobin, &[1, 1, 1]);
    spec.sticky = true;
    spec.servers[1].route = Some("rb".into());
    let inputs = Inputs { sid: Some("rb"), ..Inputs::default() };
    let mut lab = Lab::new(&spec);
    lab.with(&inputs, Outcome::Done(None));
    assert_eq!(lab.current(), [1, -2, 1]);
    for _ in 0..3 {
        lab.with(&inputs, Outcome::Done(None));
        assert_eq!(lab.current(), [1, -2, 1]);
    }
    assert_eq!(lab.letters(3), "aca", "b has had its turn of this cycle");
}

/// `ngx_http_upstream_least_time_module.c`: the quicker peer is preferred, per attempt in progress.
#[test]
fn least_time_prefers_the_quicker() {
    use balance::{Measure, Times};
    let spec = weighted(Method::LeastTime { measure: Measure::Header, inflight: false }, &[1, 1]);
    let mut lab = Lab::new(&spec);
    for (at, header) in [(0, 500), (1, 30)] {
        let peer = lab.open();
        assert_eq!(peer.position, at);
        lab.release(peer, Outcome::Done(Some(Times { header, last_byte: header })));
    }
    let held: Vec<_> = (0..13).map(|_| lab.open()).collect();
    // 40 ms for each in progress and one more, against 520 ms: the thirteenth ties and it is its turn.
    assert!(held.iter().all(|peer| peer.position == 1));
    assert_eq!(lab.open().position, 0);
    for peer in held {
        lab.release(peer, Outcome::Done(None));
    }
    // Unused for three windows, its average is an eighth: 520 ms are 62, rounded up to 80.
    lab.at(40);
    let peers: Vec<_> = (0..4).map(|_| lab.open().position).collect();
    assert!(peers.contains(&0), "{peers:?}");
}

/// All peers of the least figure take part in the round, whatever their weights; in nginx those behind a heavier best one are
/// left out, since its `best_eta` stays that of the first (ledger `least-time-ties`).
#[test]
fn ties_of_unequal_weights_are_one_round() {
    use balance::Measure;
    let spec = weighted(Method::LeastTime { measure: Measure::Header, inflight: false }, &[1, 2, 1]);
    let mut lab = Lab::new(&spec);
    assert_eq!(lab.open().position, 1, "the least figure by weight");
    assert_eq!(lab.current(), [0, 0, 0]);
    assert_eq!(lab.open().position, 1, "20/1, 40/2 and 20/1 are equal, and the heaviest is first");
    assert_eq!(lab.current(), [1, -2, 1], "nginx: 1, -1, 0");
}

/// `inflight`: what is still running counts by its age, until its header is there.
#[test]
fn least_time_inflight_avoids_a_peer_that_hangs() {
    use balance::Measure;
    let spec = weighted(Method::LeastTime { measure: Measure::Header, inflight: true }, &[1, 1]);
    let mut lab = Lab::new(&spec);
    let mut hanging = lab.open();
    assert_eq!(hanging.position, 0);
    lab.now += 2_000;
    let other = lab.open();
    assert_eq!(other.position, 1);
    lab.release(other, Outcome::Done(None));
    let held: Vec<_> = (0..10).map(|_| lab.open().position).collect();
    assert!(held.iter().all(|&position| position == 1), "{held:?}");
    lab.group.header_received(&lab.plan, &mut hanging, 2_000);
    lab.release(hanging, Outcome::Done(None));
}
