//! What a change of configuration does to the state of the peers, and what it must not do.

mod support;

use balance::{Availability, GroupSpec, Method, Now, Outcome, Plan, Request, Tier};
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
    let spec = three(Method::RoundRobin);
    let without = GroupSpec { servers: spec.servers[1..].to_vec(), ..spec.clone() };
    for (absent, fails) in [(59, 1), (61, 1), (120, 0)] {
        let mut lab = Lab::new(&spec);
        assert_eq!(lab.fail(), Some(0));
        lab.change(&without);
        assert_eq!(lab.letters(4).matches('-').count(), 0);
        lab.at(absent);
        if absent == 120 {
            lab.change(&without); // Forgetting happens when a configuration is taken over.
        }
        lab.change(&spec);
        assert_eq!(lab.fails()[0], fails, "absent for {absent} s");
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

/// An old and a new plan over one state: neither sees a weight that is not its own.
#[test]
fn two_plans_share_a_state_without_corrupting_it() {
    let small = weighted(Method::RoundRobin, &[2, 1]);
    let large = weighted(Method::RoundRobin, &[20, 1]);
    let mut lab = Lab::new(&large);
    let old = lab.group.reconcile(Plan::build(&large).expect("a plan"), Now::from_millis(lab.now));
    lab.change(&small);
    let now = lab.now();
    for step in 0..60 {
        let plan = if step % 2 == 0 { &old } else { &lab.plan };
        let mut request = Request::new(plan, &balance::Inputs::default());
        let peer = lab.group.select(plan, &mut request, now, &mut lab.rng).expect("a peer");
        let outcome = if step % 7 == 0 { Outcome::Failed } else { Outcome::Done(None) };
        lab.group.release(plan, peer, outcome, now);
        let view = lab.group.view(&lab.plan, now);
        assert!(view.iter().all(|peer| peer.effective_weight <= peer.weight && peer.effective_weight >= 0));
        lab.group.check_invariants(&lab.plan);
        if view.iter().any(|peer| peer.obstacle.is_some()) {
            return;
        }
    }
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

#[test]
fn repeated_lines_are_peers_of_their_own() {
    let mut twice = GroupSpec { servers: vec![server("a:80"), server("a:80")], ..GroupSpec::default() };
    twice.servers[1].key.nth = 1;
    let mut lab = Lab::new(&twice);
    assert_eq!(lab.fail(), Some(0));
    assert_eq!(lab.letters(2), "bb");
    assert_eq!(lab.plan.sid(0), lab.plan.sid(1));
}
