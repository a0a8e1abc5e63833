//! The run: requests arrive on a virtual clock, servers answer by the script, and the balancer is asked as the data plane
//! asks it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use balance::retry::{Facts, Failure, HeaderVerdict, Policy, Tries, Verdict};
use balance::{BoundPlan, Now, Obstacle, Outcome, Peer, Plan, SpecError, Times};
use config::{Group, GroupId};
use proxy::spec::{group_spec, retry_policy};

use super::ExplainArgs;
use super::client::{Clients, Visit};
use super::script::{Response, Script};
use super::trace::{self, Attempt, Choice, ORIGIN_SECS, Share, Trace, Weights};
use super::why::{Pick, passed_over};

/// As [`ORIGIN_SECS`], milliseconds.
const ORIGIN: u64 = ORIGIN_SECS * 1000;

/// The state of a run.
struct Simulation<'a> {
    group: &'a Group,
    balance: balance::Group,
    plan: BoundPlan,
    policy: Policy,
    script: Script,
    clients: Clients,
    rng: SplitMix,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    visits: Vec<Option<Running>>,
    trace: Trace,
}

/// A request in progress.
struct Running {
    visit: Visit,
    request: balance::Request,
    tries: Tries,
    current: Option<(Peer, Choice)>,
}

/// What happens to the request of a number. Of one moment's events the ends come first: a server is free for who arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ends(u32),
    Arrives(u32),
}

/// Runs the command line's requests.
pub fn run(
    id: &GroupId,
    group: &Group,
    script: Script,
    clients: Clients,
    args: &ExplainArgs,
) -> Result<Trace, SpecError> {
    let plan = Plan::build(&group_spec(group))?;
    let trace = Trace {
        group: id.to_string(),
        method: super::table::method(&group.method),
        servers: group.servers.iter().map(server).collect(),
        requests: Vec::with_capacity(args.requests as usize),
        shares: group.servers.iter().map(|_| Share::default()).collect(),
    };
    let mut balance = balance::Group::new();
    let plan = balance.reconcile(plan, at(0));
    let mut simulation = Simulation {
        group,
        balance,
        plan,
        policy: retry_policy(group),
        script,
        clients,
        rng: SplitMix(args.seed),
        events: BinaryHeap::new(),
        visits: Vec::new(),
        trace,
    };
    for n in 1..=args.requests {
        simulation.schedule(u64::from(n - 1) * args.interval, Event::Arrives(n));
    }
    simulation.play();
    Ok(simulation.trace)
}

impl Simulation<'_> {
    fn schedule(&mut self, millis: u64, event: Event) {
        self.events.push(Reverse((millis, event)));
    }

    fn play(&mut self) {
        while let Some(Reverse((millis, event))) = self.events.pop() {
            match event {
                Event::Arrives(n) => self.arrive(n, millis),
                Event::Ends(n) => self.end(n, millis),
            }
        }
    }

    fn arrive(&mut self, n: u32, millis: u64) {
        let visit = self.clients.visit(n, ORIGIN + millis, self.group);
        self.trace.requests.push(trace::Request {
            number: n,
            at: millis,
            client: visit.client,
            uri: visit.uri.clone(),
            key: visit.hash_key(self.group),
            attempts: Vec::new(),
            status: 0,
        });
        let request = visit.inputs.request(&self.plan);
        let tries = Tries::new(&self.plan, &self.policy, at(millis));
        self.visits.push(Some(Running { visit, request, tries, current: None }));
        self.pick(n, millis);
    }

    fn pick(&mut self, n: u32, millis: u64) {
        let index = n as usize - 1;
        let Some(running) = self.visits.get_mut(index).and_then(Option::as_mut) else { return };
        let before = self.balance.view(&self.plan, at(millis));
        let obstacles: Vec<_> = (0..self.plan.len())
            .map(|position| self.balance.obstacle(&self.plan, &running.request, position, at(millis)))
            .collect();
        let picked = self.balance.select(&self.plan, &mut running.request, at(millis), &mut self.rng);
        let after = self.balance.view(&self.plan, at(millis));
        let position = picked.as_ref().ok().map(|peer| peer.position);
        let weights = before.iter().zip(&after).map(|(before, after)| Weights {
            before: before.current_weight,
            effective: before.effective_weight,
            after: after.current_weight,
            active: before.conns,
        });
        let pick = Pick { plan: &self.plan, before: &before, obstacles: &obstacles, peer: picked.as_ref().ok() };
        let choice = Choice {
            at: millis,
            server: position,
            why: pick.why(&running.visit, &running.request),
            weights: weights.collect(),
            passed_over: passed_over(&obstacles, &before, position),
        };
        let Ok(peer) = picked else {
            let outcome = trace::Outcome::NoLiveUpstreams;
            self.trace.requests[index].attempts.push(Attempt { choice, outcome, out_until: None, recovered: false });
            self.close(n, if self.plan.is_empty() { 503 } else { 502 });
            return;
        };
        running.current = Some((peer, choice));
        self.trace.shares[peer.position].attempts += 1;
        let takes = match self.script.response(peer.position, millis) {
            Response::Status(_) => self.script.millis(peer.position),
            Response::Failure(Failure::Timeout) => self.group.timeouts.connect.0,
            Response::Failure(Failure::Error | Failure::InvalidHeader) => 0,
        };
        if takes == 0 {
            self.end(n, millis);
        } else {
            self.schedule(millis + takes, Event::Ends(n));
        }
    }

    /// The attempt of request `n` is over: what the data plane does then.
    fn end(&mut self, n: u32, millis: u64) {
        let index = n as usize - 1;
        let Some(running) = self.visits.get_mut(index).and_then(Option::as_mut) else { return };
        let Some((peer, choice)) = running.current.take() else { return };
        let (now, started) = (at(millis), choice.at);
        let facts = Facts {
            non_idempotent: self.clients.is_non_idempotent(),
            // Refused and unanswered connections: nothing was sent yet, so that a POST is tried again, too.
            begun: !matches!(
                self.script.response(peer.position, started),
                Response::Failure(Failure::Error | Failure::Timeout)
            ),
            reused: false,
            replayable: true,
        };
        let took = millis - started;
        let (outcome, said, status) = match self.script.response(peer.position, started) {
            Response::Status(status) => match running.tries.after_header(&self.policy, status, facts, now) {
                HeaderVerdict::Relay => {
                    let times = Times { header: took, last_byte: took };
                    (Outcome::Done(Some(times)), trace::Outcome::Answered(status), Some(status))
                }
                HeaderVerdict::RetryFailed => (Outcome::Failed, trace::Outcome::Retried(status.to_string()), None),
                HeaderVerdict::RetryNext => (Outcome::Next, trace::Outcome::Retried(status.to_string()), None),
            },
            Response::Failure(failure) => match running.tries.after_failure(&self.policy, failure, facts, now) {
                Verdict::Retry => (Outcome::Failed, trace::Outcome::Retried(word(failure).to_owned()), None),
                Verdict::Return(status) => {
                    (Outcome::Failed, trace::Outcome::GivenUp(word(failure).to_owned()), Some(status))
                }
            },
        };
        let released = self.balance.release(&self.plan, peer, outcome, now);
        let share = &mut self.trace.shares[peer.position];
        share.failures += u32::from(outcome == Outcome::Failed);
        let out_until = released.disabled.then(|| self.balance.view(&self.plan, now)).and_then(|view| {
            match view.get(peer.position)?.obstacle {
                Some(Obstacle::Ejected { until }) => Some(until.saturating_sub(ORIGIN_SECS)),
                _ => None,
            }
        });
        if matches!(said, trace::Outcome::Answered(_)) {
            self.trace.shares[peer.position].answers += 1;
            let sid = self.plan.sid(peer.position);
            self.clients.answered(&running.visit, sid, ORIGIN + millis, self.group);
        }
        let attempt = Attempt { choice, outcome: said, out_until, recovered: released.recovered };
        self.trace.requests[index].attempts.push(attempt);
        match status {
            Some(status) => self.close(n, status),
            None => self.pick(n, millis),
        }
    }

    fn close(&mut self, n: u32, status: u16) {
        let index = n as usize - 1;
        self.visits[index] = None;
        self.trace.requests[index].status = status;
    }
}

fn server(server: &config::Server) -> trace::Server {
    trace::Server {
        name: server.name.to_string(),
        address: server.address.to_string(),
        weight: server.weight,
        tier: server.tier,
        availability: server.availability,
    }
}

fn at(millis: u64) -> Now {
    Now::from_millis(ORIGIN + millis)
}

fn word(failure: Failure) -> &'static str {
    match failure {
        Failure::Error => "error",
        Failure::Timeout => "timeout",
        Failure::InvalidHeader => "invalid_header",
    }
}

/// A small generator whose seed is its whole state (`SplitMix64`).
struct SplitMix(u64);

impl balance::Rng for SplitMix {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}
