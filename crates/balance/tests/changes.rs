//! What a change of configuration does to the state of the peers, and what it must not do.

mod support;

use balance::{Availability, GroupSpec, Measure, Method, Now, Outcome, Plan, Request, Tier};
use support::{lab::Lab, server, weighted};

fn three(method: Method) -> GroupSpec {
    weighted(method, &[1, 1, 1])
}

#[test]
fn editing_a_server_does_not_absolve_it() {
    let mut spec = three(Method::RoundRobin);
    let mut lab = Lab::new(&spec);
    assert_eq!(lab.fail(), Some(0));
    let slot = lab.plan.slot(0);
    spec.servers[0].weight = 5;
    spec.servers[0].tier = Tier::Backup;
    lab.change(&spec);
    assert_eq!((lab.plan.slot(0), lab.fails()[0]), (slot, 1));
    assert_eq!(lab.letters(4), "bcbc");
    spec.servers[0].tier = Tier::Primary;
    spec.servers[0].availability = Availability::Down;
    lab.change(&spec);
    spec.servers[0].availability = Availability::Up;
    lab.change(&spec);
    assert_eq!(lab.letters(4), "bcbc");
}

/// A whole effective weight stays whole; a lowered one is not raised by a greater weight.
#[test]
fn a_new_weight_clamps_the_effective_one() {
    let mut spec = weighted(Method::RoundRobin, &[10, 1]);
    spec.servers[0].max_fails = 2;
    let mut lab = Lab::new(&spec);
    lab.fail();
    assert_eq!(lab.view()[0].effective_weight, 5);
    for (weight, effective) in [(20, 5), (3, 3), (8, 8)] {
        spec.servers[0].weight = weight;
        lab.change(&spec);
        assert_eq!(lab.view()[0].effective_weight, effective, "weight {weight}");
    }
}

/// Shared weights are divided anew as endpoints come and go: the ratio stays, the scale does not. Nobody is then owed a
/// thousand turns of the old scale.
#[test]
fn turns_are_kept_when_every_weight_is_scaled() {
    for picks in 0..30 {
        let mut spec = weighted(Method::RoundRobin, &[27_000, 27_000, 6_000]);
        let mut lab = Lab::new(&spec);
        let before = lab.letters(picks);
        for (server, weight) in spec.servers.iter_mut().zip([9, 9, 2]) {
            server.weight = weight;
        }
        lab.change(&spec);
        let all = before + &lab.letters(40 - picks);
        for (letter, share) in [('a', 18), ('b', 18), ('c', 4)] {
            assert_eq!(all.matches(letter).count(), share, "{letter} after {picks} picks");
        }
    }
}

#[test]
fn a_new_pod_at_an_old_address_has_a_clean_record_and_the_old_slot() {
    let mut spec = three(Method::RoundRobin);
    spec.servers[0].key.incarnation = Some("pod-1".into());
    let mut lab = Lab::new(&spec);
    let old_plan = lab.plan;
    let mut request = Request::new(&old_plan, &balance::Inputs::default());
    let now = Now::from_millis(lab.now);
    let held = lab.group.select(&old_plan, &mut request, now, &mut lab.rng).expect("a peer");
    assert_eq!(held.position, 0);
    spec.servers[0].key.incarnation = Some("pod-2".into());
    lab.plan = lab.group.reconcile(Plan::build(&spec).expect("a plan"), now);
    assert_eq!(lab.plan.slot(0), held.slot);
    assert_eq!(lab.view()[0].conns, 1, "the attempt on the old pod is still in progress");
    lab.group.release(&old_plan, held, Outcome::Failed, now);
    assert_eq!((lab.view()[0].conns, lab.fails()[0]), (0, 0), "and its failure is not the new pod's");
    // Losing sight of the pod's identity is no new pod.
    lab.group.check_invariants(&lab.plan);
    while lab.fail() != Some(0) {}
    spec.servers[0].key.incarnation = None;
    lab.change(&spec);
    assert_eq!(lab.fails()[0], 1);
}

#[test]
fn a_flap_within_the_grace_period_is_no_amnesty() {
    // The grace is the greater of 60 s and twice `fail_timeout`.
    for (fail_timeout, absent, fails) in [(10, 59, 1), (10, 60, 0), (10, 7200, 0), (100, 199, 1), (100, 200, 0)] {
        let mut spec = three(Method::RoundRobin);
        spec.servers[0].fail_timeout = fail_timeout;
        let without = GroupSpec { servers: spec.servers[1..].to_vec(), ..spec.clone() };
        let mut lab = Lab::new(&spec);
        assert_eq!(lab.fail(), Some(0));
        lab.change(&without);
        assert_eq!(lab.letters(4).matches('-').count(), 0);
        lab.at(absent);
        lab.change(&spec);
        assert_eq!(lab.fails()[0], fails, "absent for {absent} s of {fail_timeout}");
    }
}

/// Who returns past the grace is new in everything, and starts as slowly as any newcomer; an attempt from before is only
/// waited for.
#[test]
fn a_server_that_returns_past_the_grace_is_a_newcomer() {
    for busy in [false, true] {
        let mut spec = weighted(Method::RoundRobin, &[4, 1]);
        (spec.servers[0].max_fails, spec.servers[0].slow_start) = (2, 10_000);
        let without = GroupSpec { servers: spec.servers[1..].to_vec(), ..spec.clone() };
        let mut lab = Lab::new(&spec);
        let held = busy.then(|| lab.open());
        assert_eq!(lab.fail(), Some(0));
        assert_eq!(lab.view()[0].effective_weight, 2);
        let before = std::mem::replace(&mut lab.plan, {
            let plan = Plan::build(&without).expect("a plan");
            lab.group.reconcile(plan, Now::from_millis(lab.now))
        });
        lab.at(7200);
        lab.change(&spec);
        let view = &lab.view()[0];
        assert_eq!((view.fails, view.effective_weight, view.conns), (0, 4, u32::from(busy)));
        assert_eq!(lab.letters(5), "bbbbb", "its ramp has just begun");
        if let Some(held) = held {
            lab.group.release(&before, held, Outcome::Failed, lab.now());
            assert_eq!((lab.view()[0].fails, lab.view()[0].conns), (0, 0), "nor is what it did before held against it");
        }
    }
}

#[test]
fn a_retired_peer_is_never_picked_and_still_released() {
    let spec = three(Method::RoundRobin);
    let without = GroupSpec { servers: spec.servers[1..].to_vec(), ..spec.clone() };
    let mut lab = Lab::new(&spec);
    let held = lab.open();
    assert_eq!(held.position, 0);
    let old = std::mem::replace(&mut lab.plan, {
        let plan = Plan::build(&without).expect("a plan");
        lab.group.reconcile(plan, Now::from_millis(lab.now))
    });
    assert!(!lab.group.is_newest(&old) && lab.group.is_newest(&lab.plan));
    // A request that still follows the old plan is served by those the new one kept.
    for _ in 0..6 {
        let mut request = Request::new(&old, &balance::Inputs::default());
        let peer = lab.group.select(&old, &mut request, lab.now(), &mut lab.rng).expect("a peer that stayed");
        assert_ne!(peer.position, 0);
        lab.group.release(&old, peer, Outcome::Done(None), lab.now());
    }
    // Past the grace its slot is kept for the attempt in progress, and recycled only after it.
    lab.at(1000);
    lab.change(&without);
    lab.group.release(&old, held, Outcome::Failed, lab.now());
    lab.change(&without);
    let mut other = without.clone();
    other.servers.push(server("10.9.9.9:80"));
    lab.change(&other);
    assert_ne!(lab.plan.slot(2), held.slot, "a recycled place is another slot");
    assert_eq!(lab.view()[2].conns, 0);
}

/// An old and a new plan over one state: neither sees a weight that is not its own, while servers fail and recover.
#[test]
fn two_plans_share_a_state_without_corrupting_it() {
    let mut specs = [weighted(Method::RoundRobin, &[20, 1]), weighted(Method::RoundRobin, &[2, 1])];
    for server in specs.iter_mut().flat_map(|spec| &mut spec.servers) {
        (server.max_fails, server.fail_timeout) = (2, 1);
    }
    let mut lab = Lab::new(&specs[0]);
    let old = lab.group.reconcile(Plan::build(&specs[0]).expect("a plan"), Now::from_millis(lab.now));
    lab.change(&specs[1]);
    let (mut picks, mut lowered) = ([0; 2], 0);
    for step in 0..600 {
        lab.now += 300;
        let now = lab.now();
        let plan = if step % 2 == 0 { &old } else { &lab.plan };
        let mut request = Request::new(plan, &balance::Inputs::default());
        let Ok(peer) = lab.group.select(plan, &mut request, now, &mut lab.rng) else { continue };
        picks[step % 2] += 1;
        let outcome = if step % 7 == 0 { Outcome::Failed } else { Outcome::Done(None) };
        lab.group.release(plan, peer, outcome, now);
        for plan in [&old, &lab.plan] {
            let view = lab.group.view(plan, now);
            assert!(view.iter().all(|peer| (0..=peer.weight).contains(&peer.effective_weight)), "{step}: {view:?}");
            lowered += view.iter().filter(|peer| peer.effective_weight < peer.weight).count();
        }
        lab.group.check_invariants(&lab.plan);
    }
    assert!(picks.iter().all(|picks| *picks > 200) && lowered > 100, "{picks:?}, {lowered}: they lived");
}

#[test]
fn the_weights_of_another_method_mean_nothing() {
    let mut lab = Lab::new(&three(Method::RoundRobin));
    lab.ok();
    assert_eq!(lab.current(), [-2, 1, 1]);
    lab.change(&three(Method::LeastConn));
    assert_eq!(lab.current(), [0, 0, 0]);
    lab.ok();
    lab.change(&three(Method::LeastConn));
    assert_eq!(lab.current(), [-2, 1, 1]);
}

#[test]
fn a_group_may_be_empty_and_fill_up() {
    let empty = GroupSpec::default();
    let mut lab = Lab::new(&empty);
    assert!(lab.plan.is_empty() && !lab.plan.is_single() && lab.plan.tries() == 0);
    assert_eq!(lab.ok(), None);
    lab.change(&three(Method::RoundRobin));
    assert_eq!(lab.letters(3), "abc");
    lab.change(&empty);
    assert_eq!(lab.ok(), None);
}

/// A group of one that grows: what happened while it was single was not held against it.
#[test]
fn growing_out_of_a_single_peer() {
    let mut lab = Lab::new(&weighted(Method::RoundRobin, &[1]));
    lab.fail();
    lab.change(&weighted(Method::RoundRobin, &[1, 1]));
    assert_eq!(lab.letters(2), "ab");
    assert_eq!(lab.fail(), Some(0));
    lab.change(&weighted(Method::RoundRobin, &[1]));
    assert_eq!(lab.ok(), Some(0), "alone again, its failures do not count");
}

/// A connection from when it was alone ends: that is no reason to take a server back that is out.
#[test]
fn who_was_alone_is_judged_by_the_company_it_is_in() {
    let mut lab = Lab::new(&weighted(Method::RoundRobin, &[1]));
    let tunnel = lab.open();
    let mut pair = weighted(Method::RoundRobin, &[1, 1]);
    let alone = std::mem::replace(&mut lab.plan, {
        let plan = Plan::build(&pair).expect("a plan");
        lab.group.reconcile(plan, Now::from_millis(lab.now))
    });
    assert_eq!(lab.fail(), Some(0));
    lab.group.release(&alone, tunnel, Outcome::Done(None), lab.now());
    assert_eq!((lab.fails(), lab.letters(4)), (vec![1, 0], "bbbb".to_owned()));
    // Nor is one absolved that is gone while another is alone.
    let other = lab.open();
    pair.servers.remove(0);
    let both = std::mem::replace(&mut lab.plan, {
        let plan = Plan::build(&pair).expect("a plan");
        lab.group.reconcile(plan, Now::from_millis(lab.now))
    });
    lab.group.release(&both, other, Outcome::Failed, lab.now());
    assert_eq!(lab.fails(), [0], "alone, a failure does not count");
    lab.change(&weighted(Method::RoundRobin, &[1, 1]));
    assert_eq!(lab.fails(), [1, 0]);
}

/// An attempt from before its server was alone is no longer waited for once it has ended
/// (`ngx_http_upstream_free_least_time_peer` counts it off in any case).
#[test]
fn what_ended_while_a_server_was_alone_does_not_grow_old() {
    for measure in [Measure::Header, Measure::LastByte] {
        for outcome in [Outcome::Done(None), Outcome::Failed, Outcome::Next, Outcome::Abandoned, Outcome::Unjudged] {
            let pair = weighted(Method::LeastTime { measure, inflight: true }, &[1, 1]);
            let alone = GroupSpec { servers: pair.servers[..1].to_vec(), ..pair.clone() };
            let mut lab = Lab::new(&pair);
            let held = lab.open();
            assert_eq!(held.position, 0);
            let before = std::mem::replace(&mut lab.plan, {
                let plan = Plan::build(&alone).expect("a plan");
                lab.group.reconcile(plan, Now::from_millis(lab.now))
            });
            lab.group.release(&before, held, outcome, lab.now());
            lab.change(&pair);
            lab.at(3600);
            assert_eq!(lab.letters(8).matches('a').count(), 4, "{measure:?}, {outcome:?}");
        }
    }
}

#[test]
fn repeated_lines_are_peers_of_their_own() {
    let mut twice = GroupSpec { servers: vec![server("a:80"), server("a:80")], ..GroupSpec::default() };
    twice.servers[1].key.nth = 1;
    let mut lab = Lab::new(&twice);
    assert_eq!(lab.fail(), Some(0));
    assert_eq!(lab.letters(2), "bb");
    assert_eq!(lab.plan.sid(0), lab.plan.sid(1));
}
