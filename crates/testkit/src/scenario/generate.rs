//! From a seed to a scenario. What is generated is what both nginx releases decide deterministically.

use std::time::Duration;

use balance::{
    Availability, Method, Tier,
    retry::{Condition, Policy},
};

use super::{Group, Request, Scenario, Server, SplitMix, Step, Sticky};
use crate::{Mode, nginx::Release};

/// Short enough that a hanging server costs a fifth of the second in which a step must end.
const READ_TIMEOUT: Duration = Duration::from_millis(200);
/// Below the read timeout and far above what an attempt takes that does not hang.
const NEXT_TIMEOUT: u64 = 190;

const METHODS: [Method; 5] =
    [Method::RoundRobin, Method::LeastConn, Method::IpHash, Method::Hash, Method::ConsistentHash];
const CONDITIONS: [Condition; 10] = [
    Condition::Error,
    Condition::Timeout,
    Condition::InvalidHeader,
    Condition::Http500,
    Condition::Http502,
    Condition::Http503,
    Condition::Http504,
    Condition::Http403,
    Condition::Http404,
    Condition::Http429,
];

/// The scenario of `seed`, within what `release` has.
pub fn generate(seed: u64, release: Release) -> Scenario {
    let mut rng = SplitMix(seed ^ 0xf0_7e_ba_11);
    let method = if rng.chance(40) { Method::RoundRobin } else { *rng.pick(&METHODS) };
    let sticky = (release == Release::Baseline && rng.chance(25))
        .then(|| *rng.pick(&[Sticky::Cookie, Sticky::Route, Sticky::Learn]));
    // A held request outlives no short read timeout, so a scenario either holds requests or lets servers hang.
    let holds = rng.chance(if method == Method::LeastConn { 75 } else { 35 });
    let group = Group {
        method,
        servers: servers(&mut rng, method, sticky, holds),
        sticky,
        policy: policy(&mut rng, holds),
        read_timeout: if holds { Duration::from_mins(1) } else { READ_TIMEOUT },
        keepalive: if rng.chance(35) { *rng.pick(&[1, 2, 8]) } else { 0 },
    };
    let learns = sticky == Some(Sticky::Learn);
    let (count, held, done) = (group.servers.len(), Vec::new(), Vec::new());
    let steps = Steps { rng, release, holds, learns, count, held, done }.all();
    Scenario { seed, group, steps }
}

fn servers(rng: &mut SplitMix, method: Method, sticky: Option<Sticky>, holds: bool) -> Vec<Server> {
    let count = *rng.pick(&[1, 2, 2, 3, 3, 3, 4, 5, 6]);
    let equal = rng.chance(40);
    // nginx refuses `backup` with the hash methods when they are named first, as everybody does.
    let backups = matches!(method, Method::RoundRobin | Method::LeastConn) && rng.chance(40);
    let mut servers = Vec::new();
    for n in 0..count {
        let weight = if equal { 1 } else { *rng.pick(&[1, 1, 2, 3, 4, 5, 7, 10]) };
        let down = match rng.below(20) {
            0 | 1 => Availability::Down,
            2 | 3 if sticky.is_some() => Availability::Drain,
            _ => Availability::Up,
        };
        servers.push(Server {
            weight,
            max_fails: *rng.pick(&[0, 1, 1, 1, 2, 2, 3]),
            fail_timeout: *rng.pick(&[1, 1, 2, 2, 3, 10]),
            max_conns: if holds { *rng.pick(&[0, 0, 1, 2]) } else { *rng.pick(&[0, 0, 0, 1]) },
            tier: if n > 0 && backups && rng.chance(40) { Tier::Backup } else { Tier::Primary },
            availability: down,
            route: (sticky.is_some() && rng.chance(80)).then(|| format!("r{n}")),
        });
    }
    servers
}

fn policy(rng: &mut SplitMix, holds: bool) -> Policy {
    let mut listed: Vec<Condition> = Vec::new();
    match rng.below(10) {
        0 => {}
        1..=3 => listed.extend([Condition::Error, Condition::Timeout]),
        _ => {
            listed.extend([Condition::Error, Condition::Timeout].into_iter().filter(|_| rng.chance(85)));
            listed.extend(CONDITIONS[2..].iter().copied().filter(|_| rng.chance(50)));
        }
    }
    Policy {
        non_idempotent: !listed.is_empty() && rng.chance(25),
        conditions: listed.into_iter().collect(),
        tries: *rng.pick(&[0, 0, 0, 1, 2, 3]),
        timeout: if !holds && rng.chance(25) { NEXT_TIMEOUT } else { 0 },
    }
}

struct Steps {
    rng: SplitMix,
    release: Release,
    holds: bool,
    learns: bool,
    count: usize,
    held: Vec<usize>,
    done: Vec<Step>,
}

impl Steps {
    fn all(mut self) -> Vec<Step> {
        let mut t = 0;
        let mut hanging = None;
        for phase in 0..5 {
            self.done.push(Step::At(t));
            for _ in 0..self.rng.below(if phase == 0 { 3 } else { 4 }) {
                let server = self.rng.index(self.count);
                let mode = self.mode(hanging.is_none() || hanging == Some(server));
                if mode == Mode::Hang {
                    hanging = Some(server);
                } else if hanging == Some(server) {
                    hanging = None;
                }
                self.done.push(Step::Set(server, mode));
            }
            // At most three read timeouts fit into the second.
            let requests = if hanging.is_some() { 3 } else { 3 + self.rng.below(8) };
            for _ in 0..requests {
                self.one();
            }
            t += *self.rng.pick(&[1, 1, 2, 2, 3]);
        }
        while let Some(step) = self.held.pop() {
            self.done.push(Step::Release(step));
        }
        self.done
    }

    fn one(&mut self) {
        if !self.held.is_empty() && self.rng.chance(30) {
            let place = self.rng.index(self.held.len());
            let step = self.held.remove(place);
            self.done.push(Step::Release(step));
        }
        let hold = self.holds && self.rng.chance(40);
        if hold {
            self.held.push(self.done.len());
        }
        let client = format!("10.0.{}.{}", self.rng.below(4), self.rng.below(200));
        let uri = format!("/item/{}?v={}", self.rng.below(12), self.rng.below(3));
        let cookie = self.rng.chance(60).then(|| format!("r{}", self.rng.below(self.count as u64 + 1)));
        let session = self.learns.then(|| self.rng.chance(50)).filter(|learn| *learn);
        let session = session.map(|_| format!("r{}", self.rng.below(4)));
        let method = *self.rng.pick(&["GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]);
        self.done.push(Step::Request(Request { method, uri, client, cookie, session, hold }));
    }

    fn mode(&mut self, may_hang: bool) -> Mode {
        match self.rng.below(16) {
            0..=4 => Mode::Ok,
            5 | 6 => Mode::Refuse,
            7 => Mode::Close,
            8 => Mode::Reset,
            9 => Mode::ResetMidHeader,
            10 => Mode::BadHeader,
            // Only from 1.23.0 on is it an invalid header.
            11 if self.release == Release::Baseline => Mode::BothLengths,
            12 => Mode::ShortBody,
            13 if may_hang && !self.holds => Mode::Hang,
            _ => Mode::Status(*self.rng.pick(&[500, 501, 502, 503, 504, 403, 404, 429, 204, 301, 400])),
        }
    }
}
