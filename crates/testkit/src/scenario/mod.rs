//! One question put to every implementation of nginx's upstream behaviour: a group of servers and the steps taken with it.
//!
//! A scenario is generated from a seed, written as nginx configuration and as an `UpstreamGroup`, driven against both on
//! the same backends, and replayed by the pure core on a virtual clock. Servers are numbers here; only the writers know
//! addresses.

mod answer;
mod drive;
mod forebay;
mod generate;
mod nginx;
mod questions;
mod replay;
mod rng;

use std::{fmt, time::Duration};

use balance::{Availability, Method, Tier, retry::Policy};

pub use answer::{Answer, Divergence, compare, parse_log};
pub use drive::{Backends, Run, Target, drive};
pub use forebay::document;
pub use generate::generate;
pub use nginx::{LOG_FORMAT, configuration};
pub use questions::{Question, seeds};
pub use replay::replay;
pub use rng::SplitMix;

use crate::Mode;

/// A group and what happens to it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where it came from, and its name.
    pub seed: u64,
    /// The group.
    pub group: Group,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// An upstream group with the proxy directives around it.
#[derive(Clone, Debug)]
pub struct Group {
    /// The balancing method; a hash is over `$request_uri`.
    pub method: Method,
    /// The servers, in configuration order.
    pub servers: Vec<Server>,
    /// How sessions are pinned.
    pub sticky: Option<Sticky>,
    /// `proxy_next_upstream` and its limits.
    pub policy: Policy,
    /// `proxy_read_timeout`.
    pub read_timeout: Duration,
    /// `keepalive`: idle connections kept; 0 is none.
    pub keepalive: usize,
}

/// The parameters of one `server` line.
#[derive(Clone, Debug)]
pub struct Server {
    pub weight: u32,
    pub max_fails: u32,
    pub fail_timeout: u32,
    pub max_conns: u32,
    pub tier: Tier,
    pub availability: Availability,
    pub route: Option<String>,
}

/// How sessions are pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// `sticky cookie srv path=/ httponly`.
    Cookie,
    /// `sticky route $cookie_srv $arg_route`.
    Route,
    /// `sticky learn create=$upstream_cookie_srv lookup=$cookie_srv`; its timeout outlives every scenario.
    Learn,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// What follows happens within the whole second `t` after the scenario's start.
    At(u64),
    /// A server changes its behaviour.
    Set(usize, Mode),
    /// A request is sent and answered, or held.
    Request(Request),
    /// The request of that step, if it is held, is let go and answered.
    Release(usize),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: &'static str,
    /// Its target.
    pub uri: String,
    /// The client's address, given in `X-Forwarded-For`.
    pub client: String,
    /// The `srv` cookie.
    pub cookie: Option<String>,
    /// The `srv` cookie that the server is asked to set.
    pub session: Option<String>,
    /// Whether a server that would answer holds it until it is released.
    pub hold: bool,
}

impl Scenario {
    /// The name of its group.
    pub fn name(&self) -> String {
        format!("g{}", self.seed)
    }

    /// The seconds it takes.
    pub fn seconds(&self) -> u64 {
        let at = |step: &Step| match step {
            Step::At(t) => Some(*t),
            Step::Set(..) | Step::Request(_) | Step::Release(_) => None,
        };
        self.steps.iter().filter_map(at).max().unwrap_or(0) + 1
    }
}

/// What identifies the request of step `step` in headers and logs.
pub(crate) fn request_id(seed: u64, step: usize) -> String {
    format!("{seed}-{step}")
}

impl fmt::Display for Scenario {
    /// As short as a report needs: the group, then one line per step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Group { method, servers, sticky, policy, read_timeout, keepalive } = &self.group;
        writeln!(
            f,
            "seed {}: {method:?}, sticky {sticky:?}, keepalive {keepalive}, read timeout {read_timeout:?}",
            self.seed
        )?;
        writeln!(f, "  {policy:?}, retried: {:?}", nginx::conditions(policy))?;
        for (n, server) in servers.iter().enumerate() {
            writeln!(f, "  s{n}: {}", nginx::parameters(server))?;
        }
        for (n, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {n:3} {step:?}")?;
        }
        Ok(())
    }
}
