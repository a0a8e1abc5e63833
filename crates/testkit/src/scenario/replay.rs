//! A scenario answered by the pure core on a virtual clock.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use balance::{
    BoundPlan, Group, GroupSpec, Inputs, Now, Outcome, Peer, PeerKey, Plan, ServerSpec,
    learn::Sessions,
    retry::{Facts, Failure, HeaderVerdict, Tries, Verdict},
};

use super::{Answer, Request, Scenario, SplitMix, Step, Sticky};
use crate::{Address, Mode};

/// How an attempt on a server in some mode ends.
enum Ending {
    /// A complete response header.
    Header(u16),
    /// None, and whether the request had been sent.
    Failure { failure: Failure, begun: bool },
}

/// What the core answers, by step.
///
/// # Panics
/// When the core refuses the group.
pub fn replay(scenario: &Scenario, addresses: &[Address]) -> BTreeMap<usize, Answer> {
    let plan = Plan::build(&spec(scenario, addresses)).expect("a generated group is valid");
    let mut group = Group::new();
    let now = Now::from_secs(1_000_000);
    let plan = group.reconcile(plan, now);
    let modes = vec![Mode::Ok; scenario.group.servers.len()];
    let (rng, held, idle) = (SplitMix(scenario.seed), BTreeMap::new(), Vec::new());
    let sessions = Sessions::new(1000, 600_000);
    let mut replay = Replay { scenario, plan, group, now, modes, rng, held, sessions, idle };
    let mut answers = BTreeMap::new();
    for (n, step) in scenario.steps.iter().enumerate() {
        match step {
            Step::At(t) => replay.now = Now::from_secs(1_000_000 + t),
            Step::Set(server, mode) => replay.modes[*server] = mode.clone(),
            Step::Request(request) => {
                answers.insert(n, replay.request(n, request));
            }
            Step::Release(step) => replay.release(*step),
        }
    }
    answers
}

fn spec(scenario: &Scenario, addresses: &[Address]) -> GroupSpec {
    let server = |(server, address): (&super::Server, &Address)| {
        let address: Arc<str> = address.to_string().into();
        ServerSpec {
            key: PeerKey { address: address.clone(), nth: 0, incarnation: None },
            server: address,
            weight: server.weight,
            max_fails: server.max_fails,
            fail_timeout: server.fail_timeout,
            max_conns: server.max_conns,
            slow_start: 0,
            tier: server.tier,
            availability: server.availability,
            route: server.route.as_deref().map(Into::into),
        }
    };
    GroupSpec {
        method: scenario.group.method,
        servers: scenario.group.servers.iter().zip(addresses).map(server).collect(),
        sticky: scenario.group.sticky.is_some(),
    }
}

struct Replay<'a> {
    scenario: &'a Scenario,
    plan: BoundPlan,
    group: Group,
    now: Now,
    modes: Vec<Mode>,
    rng: SplitMix,
    /// Requests in progress, with the session each ties to its server.
    held: BTreeMap<usize, (Peer, Option<Learned>)>,
    sessions: Sessions,
    /// Idle connections by server, the one stored longest ago first.
    idle: Vec<usize>,
}

/// The session of an answer, and whether the answer began it.
struct Learned {
    id: String,
    is_created: bool,
}

impl Replay<'_> {
    fn request(&mut self, step: usize, request: &Request) -> Answer {
        let policy = &self.scenario.group.policy;
        let sticky = self.scenario.group.sticky;
        let cookie = request.cookie.as_deref();
        let sid: Option<Arc<str>> = match sticky {
            None => None,
            Some(Sticky::Cookie | Sticky::Route) => cookie.map(Into::into),
            Some(Sticky::Learn) => cookie.and_then(|session| self.sessions.lookup(session.as_bytes(), self.now)),
        };
        let asked = request.cookie.as_deref();
        let inputs = Inputs {
            hash_key: request.uri.as_bytes(),
            client: request.client.parse::<IpAddr>().ok(),
            sid: sid.as_deref(),
        };
        let mut state = balance::Request::new(&self.plan, &inputs);
        let mut tries = Tries::new(&self.plan, policy, self.now);
        let mut answer = Answer::default();
        loop {
            let Ok(peer) = self.group.select(&self.plan, &mut state, self.now, &mut self.rng) else {
                answer.tried.push("@".into());
                answer.upstream_status.push("502".into());
                answer.status = 502;
                break;
            };
            answer.tried.push(format!("s{}", peer.position));
            if sticky == Some(Sticky::Cookie) {
                answer.cookie = Some(format!("srv={}; httponly; path=/", self.plan.sid(peer.position)));
            }
            let non_idempotent = matches!(request.method, "POST" | "LOCK" | "PATCH");
            let reused = self.take_idle(peer.position);
            match self.attempt(peer, reused) {
                Ending::Header(status) => {
                    let facts = Facts { non_idempotent, begun: true, reused, replayable: true };
                    answer.upstream_status.push(status.to_string());
                    answer.status = status;
                    let outcome = match tries.after_header(policy, status, facts, self.now) {
                        HeaderVerdict::Relay if request.hold && self.modes[peer.position] == Mode::Ok => {
                            answer.cookie = answer.cookie.or_else(|| self.set_cookie(peer, request));
                            self.held.insert(step, (peer, self.learned(peer, request, asked)));
                            break;
                        }
                        HeaderVerdict::Relay => {
                            answer.cookie = answer.cookie.or_else(|| self.set_cookie(peer, request));
                            let learned = self.learned(peer, request, asked);
                            self.finish(peer, learned);
                            break;
                        }
                        HeaderVerdict::RetryFailed => Outcome::Failed,
                        HeaderVerdict::RetryNext => Outcome::Next,
                    };
                    self.group.release(&self.plan, peer, outcome, self.now);
                }
                Ending::Failure { failure, begun } => {
                    let facts = Facts { non_idempotent, begun, reused, replayable: true };
                    self.group.release(&self.plan, peer, Outcome::Failed, self.now);
                    let status = if failure == Failure::Timeout { 504 } else { 502 };
                    answer.upstream_status.push(status.to_string());
                    if let Verdict::Return(status) = tries.after_failure(policy, failure, facts, self.now) {
                        answer.status = status;
                        break;
                    }
                }
            }
        }
        answer
    }

    fn release(&mut self, step: usize) {
        if let Some((peer, session)) = self.held.remove(&step) {
            self.group.release(&self.plan, peer, Outcome::Done(None), self.now);
            self.store_idle(peer.position);
            self.learn(peer, session);
        }
    }

    fn finish(&mut self, peer: Peer, learned: Option<Learned>) {
        self.group.release(&self.plan, peer, Outcome::Done(None), self.now);
        if self.modes[peer.position] != Mode::ShortBody {
            self.store_idle(peer.position);
        }
        self.learn(peer, learned);
    }

    /// The cookie that the server itself sets.
    fn set_cookie(&self, peer: Peer, request: &Request) -> Option<String> {
        let session = self.created(peer, request)?;
        Some(format!("srv={session}"))
    }

    fn created<'a>(&self, peer: Peer, request: &'a Request) -> Option<&'a String> {
        request.session.as_ref().filter(|_| self.modes[peer.position] != Mode::ShortBody)
    }

    /// nginx ties the session that the response began to the peer, or else the one that the request named, if it is known.
    fn learned(&self, peer: Peer, request: &Request, asked: Option<&str>) -> Option<Learned> {
        let learns = self.scenario.group.sticky == Some(Sticky::Learn);
        let created = self.created(peer, request).map(|id| Learned { id: id.clone(), is_created: true });
        let kept = || asked.map(|id| Learned { id: id.to_owned(), is_created: false });
        created.or_else(kept).filter(|_| learns)
    }

    fn learn(&mut self, peer: Peer, session: Option<Learned>) {
        let sid: Arc<str> = self.plan.sid(peer.position).into();
        match session {
            Some(Learned { id, is_created: true }) => self.sessions.insert(id.as_bytes(), &sid, self.now),
            Some(Learned { id, is_created: false }) => self.sessions.renew(id.as_bytes(), &sid, self.now),
            None => {}
        }
    }

    /// The one stored last, whether or not its server still listens.
    fn take_idle(&mut self, server: usize) -> bool {
        let found = self.idle.iter().rposition(|stored| *stored == server);
        found.map(|place| self.idle.remove(place)).is_some()
    }

    fn store_idle(&mut self, server: usize) {
        let capacity = self.scenario.group.keepalive;
        if capacity > 0 {
            if self.idle.len() == capacity {
                self.idle.remove(0);
            }
            self.idle.push(server);
        }
    }

    fn attempt(&mut self, peer: Peer, reused: bool) -> Ending {
        match &self.modes[peer.position] {
            Mode::Ok | Mode::ShortBody => Ending::Header(200),
            Mode::Status(status) => Ending::Header(*status),
            // A connection that is open stays open, and its next request is answered by closing it.
            Mode::Refuse => Ending::Failure { failure: Failure::Error, begun: reused },
            Mode::Close | Mode::Reset | Mode::ResetMidHeader => {
                Ending::Failure { failure: Failure::Error, begun: true }
            }
            Mode::BadHeader | Mode::BothLengths => Ending::Failure { failure: Failure::InvalidHeader, begun: true },
            Mode::Hang => {
                let wait = u64::try_from(self.scenario.group.read_timeout.as_millis()).unwrap_or(u64::MAX);
                self.now = Now::from_millis(self.now.millis() + wait);
                Ending::Failure { failure: Failure::Timeout, begun: true }
            }
            other => panic!("{other:?} is not generated"),
        }
    }
}
