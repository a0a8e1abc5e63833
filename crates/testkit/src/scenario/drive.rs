//! A scenario driven in lockstep against running proxies, on one set of backends.
//!
//! nginx compares whole wall-clock seconds, so a step belongs to a second and must begin and end in it. Where the machine
//! is too slow for that the premise is broken, not the promise: the run is cut short there and says how far it came.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use tokio::task::JoinSet;

use super::{Request, Scenario, Step, request_id};
use crate::{Address, Client, Gate, Response, Upstream, patiently};

/// The servers of one scenario.
#[derive(Debug)]
pub struct Backends {
    upstreams: Vec<Upstream>,
    gate: Gate,
}

/// A proxy that is asked.
#[derive(Clone, Debug)]
pub struct Target {
    /// What a report calls it.
    pub name: &'static str,
    /// Where it listens.
    pub address: Address,
}

/// How far a run came.
#[derive(Debug)]
pub struct Run {
    /// The step before which it was cut short; the number of steps if it was not.
    pub until: usize,
    /// Per target, what the client saw of each step: the status and the cookie set.
    pub seen: BTreeMap<&'static str, BTreeMap<usize, (u16, Option<String>)>>,
}

/// Past the second's start by this much, so that no clock's granularity is met.
const PHASE: Duration = Duration::from_millis(60);

impl Backends {
    /// Starts the servers of `scenario`.
    pub async fn start(scenario: &Scenario) -> Self {
        let gate = Gate::default();
        let mut upstreams = Vec::new();
        for n in 0..scenario.group.servers.len() {
            let any = Address::Tcp(([127, 0, 0, 1], 0).into());
            upstreams.push(Upstream::with_gate(&format!("s{n}"), any, gate.clone()).await);
        }
        Self { upstreams, gate }
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<Address> {
        self.upstreams.iter().map(|upstream| upstream.address().clone()).collect()
    }
}

/// Puts every step to every target.
pub async fn drive(scenario: &Scenario, backends: &Backends, targets: &[Target]) -> Run {
    let start = since_epoch().as_secs() + 1;
    let mut second = start;
    let mut held: BTreeMap<(&'static str, usize), Client> = BTreeMap::new();
    let mut run = Run { until: scenario.steps.len(), seen: BTreeMap::new() };
    for (n, step) in scenario.steps.iter().enumerate() {
        match step {
            Step::At(t) => {
                second = start + t;
                let moment = Duration::from_secs(second) + PHASE;
                // Waiting for the wall clock is what this step means.
                tokio::time::sleep(moment.saturating_sub(since_epoch())).await;
            }
            Step::Set(server, mode) => backends.upstreams[*server].set(mode.clone()).await,
            Step::Request(request) => {
                let mut asked = JoinSet::new();
                for target in targets {
                    let bytes = request_bytes(request, &request_id(scenario.seed, n), target.name);
                    asked.spawn(ask(
                        target.clone(),
                        bytes,
                        request.clone(),
                        hold_id(target.name, n),
                        backends.gate.clone(),
                    ));
                }
                while let Some(asked) = asked.join_next().await {
                    let (name, client, response) =
                        asked.unwrap_or_else(|error| panic!("step {n} of {scenario}{error}"));
                    match response {
                        Some(response) => run.saw(name, n, &response),
                        None => drop(held.insert((name, n), client)),
                    }
                }
            }
            Step::Release(step) => {
                for target in targets {
                    if let Some(mut client) = held.remove(&(target.name, *step)) {
                        backends.gate.release(&hold_id(target.name, *step));
                        run.saw(target.name, *step, &client.response_to(method(&scenario.steps[*step])).await);
                    }
                }
            }
        }
        if since_epoch().as_secs() != second {
            run.until = n;
            break;
        }
    }
    for ((name, step), mut client) in held {
        backends.gate.release(&hold_id(name, step));
        run.saw(name, step, &client.response_to(method(&scenario.steps[step])).await);
    }
    run
}

impl Run {
    fn saw(&mut self, name: &'static str, step: usize, response: &Response) {
        let cookie = response.header("set-cookie").map(str::to_owned);
        self.seen.entry(name).or_default().insert(step, (response.status, cookie));
    }
}

async fn ask(
    target: Target,
    bytes: String,
    request: Request,
    hold: String,
    gate: Gate,
) -> (&'static str, Client, Option<Response>) {
    let mut client = Client::connect(target.address).await;
    client.send(bytes).await;
    let response = patiently("an answer or its being held", async {
        tokio::select! {
            response = client.response_to(request.method) => Some(response),
            () = gate.held(&hold), if request.hold => None,
        }
    })
    .await;
    (target.name, client, response)
}

fn request_bytes(request: &Request, id: &str, target: &'static str) -> String {
    let Request { method, uri, client, cookie, session, hold } = request;
    let session = session.as_ref().map(|session| format!("X-Session: {session}\r\n")).unwrap_or_default();
    let cookie = cookie.as_ref().map(|cookie| format!("Cookie: srv={cookie}\r\n")).unwrap_or_default();
    let step = id.split_once('-').map_or("", |(_, step)| step);
    let hold = if *hold { format!("X-Hold: {target}-{step}\r\n") } else { String::new() };
    let body = if matches!(*method, "POST" | "PUT" | "PATCH") { "Content-Length: 5\r\n\r\nhello" } else { "\r\n" };
    format!(
        "{method} {uri} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nX-Step: {id}\r\n\
         X-Forwarded-For: {client}\r\n{cookie}{session}{hold}{body}"
    )
}

fn hold_id(target: &str, step: usize) -> String {
    format!("{target}-{step}")
}

fn method(step: &Step) -> &'static str {
    match step {
        Step::Request(request) => request.method,
        Step::At(_) | Step::Set(..) | Step::Release(_) => "GET",
    }
}

#[expect(clippy::disallowed_methods, reason = "nginx's failure windows follow the wall clock, so these steps do")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970")
}
