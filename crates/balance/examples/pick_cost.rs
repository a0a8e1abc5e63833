//! What one pick costs: `pick_cost METHOD SERVERS SHAPE HELD PICKS`, to be run under callgrind by `bench/pick-cost.sh`.
//!
//! A pick is what the proxy does for a request: `Request::new`, `select`, `release`. METHOD is rr or lc; SHAPE is equal,
//! unequal (weights 1 to 7) or ejected (one of them); HELD is how many attempts are in progress all the while; a METHOD of
//! rr-scan or lc-scan looks at every peer as nginx does.

use std::{collections::VecDeque, hint::black_box, sync::Arc};

use balance::{
    BoundPlan, Group, GroupSpec, Inputs, Method, Now, Outcome, Peer, PeerKey, Plan, Request, Rng, ServerSpec,
};

struct NoDraw;

impl Rng for NoDraw {
    fn below(&mut self, _: u64) -> u64 {
        0
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, method_name, servers, shape, held, picks] = arguments.as_slice() else {
        panic!("usage: pick_cost METHOD SERVERS SHAPE HELD PICKS");
    };
    let number = |text: &String| text.parse::<u32>().expect("a number");
    let (method, mut group) = match method_name.as_str() {
        "rr" => (Method::RoundRobin, Group::new()),
        "lc" => (Method::LeastConn, Group::new()),
        "rr-scan" => (Method::RoundRobin, Group::scanning()),
        "lc-scan" => (Method::LeastConn, Group::scanning()),
        other => panic!("unknown method {other}"),
    };
    let now = Now::from_secs(1_000_000);
    let spec = GroupSpec { method, servers: (0..number(servers)).map(|at| server(at, shape)).collect(), sticky: false };
    let plan = group.reconcile(Plan::build(&spec).expect("a plan"), now);
    let mut in_progress = VecDeque::new();
    for _ in 0..number(held) {
        in_progress.push_back(pick(&mut group, &plan, now));
    }
    if shape == "ejected" {
        let peer = pick(&mut group, &plan, now);
        group.release(&plan, peer, Outcome::Failed, now);
    }
    // Once round, so that every peer has been picked and the ranking exists; scanning needs no such start.
    let warm_up = if method_name.ends_with("-scan") { 10 } else { number(servers).max(1000) };
    measured(&mut group, &plan, now, &mut in_progress, warm_up);
    counted(&mut group, &plan, now, &mut in_progress, number(picks));
}

fn server(at: u32, shape: &str) -> ServerSpec {
    let address: Arc<str> = format!("10.{}.{}.{}:80", at >> 16, (at >> 8) & 255, at & 255).into();
    ServerSpec {
        key: PeerKey { address: Arc::clone(&address), nth: 0, incarnation: None },
        server: address,
        weight: if shape == "unequal" { 1 + at % 7 } else { 1 },
        max_fails: 1,
        fail_timeout: 10,
        max_conns: 0,
        slow_start: 0,
        tier: balance::Tier::Primary,
        availability: balance::Availability::Up,
        route: None,
    }
}

/// The only part that callgrind counts.
#[inline(never)]
fn counted(group: &mut Group, plan: &BoundPlan, now: Now, in_progress: &mut VecDeque<Peer>, picks: u32) {
    measured(group, plan, now, in_progress, picks);
}

fn measured(group: &mut Group, plan: &BoundPlan, now: Now, in_progress: &mut VecDeque<Peer>, picks: u32) {
    for _ in 0..picks {
        in_progress.push_back(pick(group, plan, now));
        if let Some(peer) = in_progress.pop_front() {
            black_box(group.release(plan, peer, Outcome::Done(None), now));
        }
    }
}

fn pick(group: &mut Group, plan: &BoundPlan, now: Now) -> Peer {
    let mut request = Request::new(plan, &Inputs::default());
    group.select(plan, black_box(&mut request), now, &mut NoDraw).expect("a live peer")
}
