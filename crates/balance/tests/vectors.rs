//! The recorded answers of a real nginx, replayed without a network: every file of `specs/nginx/vectors`.

mod support;

use std::{collections::HashMap, fs, net::IpAddr, path::PathBuf, sync::Arc};

use balance::{
    Availability, BoundPlan, Group, GroupSpec, Inputs, Method, Now, Outcome, Peer, Plan, Request, ServerSpec, Tier,
    retry::{Condition, Conditions, Facts, Failure, HeaderVerdict, Policy, Tries, Verdict},
};
use serde_json::Value;
use support::Seeded;

/// Second 0 of every vector.
const ORIGIN: u64 = 1_000_000;

#[test]
fn every_vector_replays_pick_by_pick() {
    let mut replayed = 0;
    let mut wrong = Vec::new();
    for (name, vector) in vectors() {
        match vector.get("kind").and_then(Value::as_str) {
            Some("statistical") => compare_shares(&name, &vector, &mut wrong),
            Some(kind) => panic!("{name}: unknown kind {kind}"),
            None => {
                for group in [Group::new(), Group::scanning()] {
                    let got = Replay::new(&vector, group).run(&vector);
                    compare(&name, &vector["observed"], &got, &mut wrong);
                }
            }
        }
        replayed += 1;
    }
    assert!(replayed >= 32, "only {replayed} vectors were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn vectors() -> impl Iterator<Item = (String, Value)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../specs/nginx/vectors");
    let mut paths: Vec<_> =
        fs::read_dir(&directory).expect("the vectors").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")).map(|path| {
        let text = fs::read_to_string(&path).expect("a vector");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, serde_json::from_str(&text).expect("JSON"))
    })
}

fn compare(name: &str, observed: &Value, got: &[Answer], wrong: &mut Vec<String>) {
    let observed = observed.as_array().expect("observed");
    if observed.len() != got.len() {
        wrong.push(format!("{name}: {} answers recorded, {} replayed", observed.len(), got.len()));
    }
    for (at, (expected, got)) in observed.iter().zip(got).enumerate() {
        let mut same = expected["tried"] == Value::from(got.tried.clone());
        if let Some(up) = expected.get("up") {
            same &= *up == Value::from(got.up.clone());
            same &= expected["status"] == got.status;
            same &= expected.get("from").and_then(Value::as_str) == got.from.as_deref();
        }
        if !same {
            wrong.push(format!("{name} #{at}: nginx {expected}, here {got:?}"));
            return;
        }
    }
}

/// Shares over many more picks than nginx was asked for, so that only the rule and not the draw decides.
fn compare_shares(name: &str, vector: &Value, wrong: &mut Vec<String>) {
    const ROUNDS: u32 = 50;
    let tolerance = vector["tolerance"].as_f64().expect("a tolerance");
    let mut replay = Replay::new(vector, Group::new());
    let mut counts: HashMap<String, u32> = HashMap::new();
    let mut all = 0;
    for answer in (0..ROUNDS).flat_map(|_| replay.run(vector)) {
        *counts.entry(answer.from.expect("an answer")).or_default() += 1;
        all += 1;
    }
    for (id, share) in vector["shares"].as_object().expect("shares") {
        let got = f64::from(counts[id]) / f64::from(all);
        let expected = share.as_f64().expect("a share");
        // Twenty thousand draws: a tenth of the tolerance that four hundred need.
        if (got - expected).abs() > tolerance / 5.0 {
            wrong.push(format!("{name}: {id} has {got:.4}, not {expected:.4}"));
        }
    }
}

/// What became of one request.
#[derive(Debug, Default)]
struct Answer {
    tried: Vec<String>,
    up: Vec<String>,
    status: u16,
    from: Option<String>,
}

/// The subject of one vector: a group, its policy, the modes of its servers and a clock.
struct Replay {
    group: Group,
    plan: BoundPlan,
    ids: Vec<String>,
    modes: HashMap<String, String>,
    policy: Policy,
    read_timeout: u64,
    hash_key: Option<String>,
    session: Option<Session>,
    now: u64,
    held: HashMap<String, Peer>,
    rng: Seeded,
}

/// Where a request carries its server id.
enum Session {
    Cookie(String),
    Variable(String),
}

impl Replay {
    fn new(vector: &Value, mut group: Group) -> Self {
        let servers = vector["servers"].as_array().expect("servers");
        let (method, hash_key) = method(vector.get("method").and_then(Value::as_str).unwrap_or_default());
        let session = lines(vector, "upstream_lines").find_map(|line| session(&line));
        let spec = GroupSpec { method, servers: servers.iter().map(server).collect(), sticky: session.is_some() };
        let plan = group.reconcile(Plan::build(&spec).expect("a plan"), Now::from_secs(ORIGIN));
        let mut replay = Self {
            group,
            plan,
            ids: servers.iter().map(|server| text(server, "id")).collect(),
            modes: HashMap::new(),
            policy: Policy::default(),
            read_timeout: 60_000,
            hash_key,
            session,
            now: ORIGIN * 1000,
            held: HashMap::new(),
            rng: Seeded::new(1),
        };
        for line in lines(vector, "proxy_lines") {
            replay.directive(&line);
        }
        replay
    }

    fn directive(&mut self, line: &str) {
        let words: Vec<_> = line.trim_end_matches(';').split_whitespace().collect();
        match words.as_slice() {
            ["proxy_next_upstream", conditions @ ..] => self.policy.conditions = conditions_of(conditions),
            ["proxy_next_upstream_tries", tries] => self.policy.tries = tries.parse().expect("a number"),
            ["proxy_read_timeout", time] => {
                self.read_timeout = time.strip_suffix("ms").expect("milliseconds").parse().expect("a number");
            }
            _ => panic!("the replay does not know {line:?}"),
        }
    }

    fn run(&mut self, vector: &Value) -> Vec<Answer> {
        let mut answers = Vec::new();
        for step in vector["steps"].as_array().expect("steps") {
            match text(step, "op").as_str() {
                "align" => self.now = ORIGIN * 1000,
                "at" => self.now = (ORIGIN + step["t"].as_u64().expect("a second")) * 1000,
                "set" => {
                    self.modes.insert(text(step, "id"), text(step, "mode"));
                }
                "req" => {
                    for _ in 0..step.get("n").and_then(Value::as_u64).unwrap_or(1) {
                        let uri = step.get("uri").and_then(Value::as_str).unwrap_or("/");
                        answers.push(self.request(step, uri, None));
                    }
                }
                "seq" => {
                    let from = step["from"].as_u64().expect("a number");
                    for number in from..from + step["count"].as_u64().expect("a number") {
                        let uri = text(step, "uri").replace("%d", &number.to_string());
                        answers.push(self.request(step, &uri, None));
                    }
                }
                "clients" => {
                    for client in step["list"].as_array().expect("clients") {
                        let client = client.as_str().and_then(|client| client.parse().ok()).expect("an address");
                        answers.push(self.request(step, "/", Some(client)));
                    }
                }
                "open" => {
                    let mut request = Request::new(&self.plan, &Inputs::default());
                    let peer = self.select(&mut request).expect("a live peer");
                    self.held.insert(text(step, "tag"), peer);
                    answers.push(Answer { tried: vec![self.ids[peer.position].clone()], ..Answer::default() });
                }
                "release" => {
                    let peer = self.held.remove(&text(step, "tag")).expect("a held peer");
                    self.group.release(&self.plan, peer, Outcome::Done(None), self.now());
                    let id = self.ids[peer.position].clone();
                    answers.push(Answer {
                        tried: vec![id.clone()],
                        up: vec!["200".into()],
                        status: 200,
                        from: Some(id),
                    });
                }
                op => panic!("the replay does not know the step {op}"),
            }
        }
        answers
    }

    fn request(&mut self, step: &Value, uri: &str, client: Option<IpAddr>) -> Answer {
        let key = self.hash_key.as_ref().map(|variable| evaluate(variable, uri)).unwrap_or_default();
        let sid = match &self.session {
            None => None,
            Some(Session::Cookie(name)) => cookie(step, name),
            Some(Session::Variable(variable)) => Some(evaluate(variable, uri)),
        };
        let inputs = Inputs { hash_key: key.as_bytes(), client, sid: sid.as_deref() };
        let non_idempotent = matches!(step.get("method").and_then(Value::as_str), Some("POST" | "PATCH"));
        let mut request = Request::new(&self.plan, &inputs);
        let mut tries = Tries::new(&self.plan, &self.policy, self.now());
        let mut answer = Answer::default();
        loop {
            let Some(peer) = self.select(&mut request) else {
                answer.tried.push("@u".into());
                answer.up.push("502".into());
                answer.status = 502;
                return answer;
            };
            let id = self.ids[peer.position].clone();
            let mode = self.modes.get(&id).map_or("ok", String::as_str).to_owned();
            answer.tried.push(id.clone());
            let facts = |begun| Facts { non_idempotent, begun, reused: false, replayable: true };
            let failure = match mode.as_str() {
                "refuse" => Some((Failure::Error, false)),
                "close" | "reset" => Some((Failure::Error, true)),
                "badheader" => Some((Failure::InvalidHeader, true)),
                "timeout" => {
                    self.now += self.read_timeout;
                    Some((Failure::Timeout, true))
                }
                _ => None,
            };
            if let Some((failure, begun)) = failure {
                self.group.release(&self.plan, peer, Outcome::Failed, self.now());
                answer.up.push(if failure == Failure::Timeout { "504" } else { "502" }.into());
                match tries.after_failure(&self.policy, failure, facts(begun), self.now()) {
                    Verdict::Retry => continue,
                    Verdict::Return(status) => {
                        answer.status = status;
                        return answer;
                    }
                }
            }
            let status = match mode.strip_prefix("status:") {
                Some(status) => status.parse().expect("a status"),
                None => 200,
            };
            answer.up.push(status.to_string());
            let outcome = match tries.after_header(&self.policy, status, facts(true), self.now()) {
                HeaderVerdict::Relay => {
                    self.group.release(&self.plan, peer, Outcome::Done(None), self.now());
                    answer.status = status;
                    answer.from = Some(id);
                    return answer;
                }
                HeaderVerdict::RetryFailed => Outcome::Failed,
                HeaderVerdict::RetryNext => Outcome::Next,
            };
            self.group.release(&self.plan, peer, outcome, self.now());
        }
    }

    fn select(&mut self, request: &mut Request) -> Option<Peer> {
        let peer = self.group.select(&self.plan, request, Now::from_millis(self.now), &mut self.rng).ok();
        self.group.check_invariants(&self.plan);
        peer
    }

    fn now(&self) -> Now {
        Now::from_millis(self.now)
    }
}

fn server(value: &Value) -> ServerSpec {
    let number = |key: &str| value.get(key).and_then(Value::as_u64).map(|n| u32::try_from(n).expect("a small number"));
    let flag = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or_default();
    let address = text(value, "addr");
    let extra = value.get("extra").and_then(Value::as_str).unwrap_or_default();
    let base = support::server(&address);
    ServerSpec {
        weight: number("weight").unwrap_or(base.weight),
        max_fails: number("max_fails").unwrap_or(base.max_fails),
        fail_timeout: number("fail_timeout").unwrap_or(base.fail_timeout),
        max_conns: number("max_conns").unwrap_or(base.max_conns),
        tier: if flag("backup") { Tier::Backup } else { Tier::Primary },
        availability: match (flag("down"), extra.contains("drain")) {
            (true, _) => Availability::Down,
            (false, true) => Availability::Drain,
            (false, false) => Availability::Up,
        },
        route: extra.split_whitespace().find_map(|word| word.strip_prefix("route=")).map(Arc::from),
        ..base
    }
}

fn method(text: &str) -> (Method, Option<String>) {
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [] => (Method::RoundRobin, None),
        ["least_conn"] => (Method::LeastConn, None),
        ["ip_hash"] => (Method::IpHash, None),
        ["hash", key] => (Method::Hash, Some((*key).to_owned())),
        ["hash", key, "consistent"] => (Method::ConsistentHash, Some((*key).to_owned())),
        ["random", "two", ..] => (Method::RandomTwo, None),
        _ => panic!("the replay does not know the method {text:?}"),
    }
}

fn session(line: &str) -> Option<Session> {
    match line.trim_end_matches(';').split_whitespace().collect::<Vec<_>>().as_slice() {
        ["sticky", "cookie", name, ..] => Some(Session::Cookie((*name).to_owned())),
        ["sticky", "route", variable] => Some(Session::Variable((*variable).to_owned())),
        ["zone", ..] => None,
        _ => panic!("the replay does not know {line:?}"),
    }
}

fn conditions_of(words: &[&str]) -> Conditions {
    if words.contains(&"off") {
        return Conditions::default();
    }
    let condition = |word: &&str| match *word {
        "error" => Condition::Error,
        "timeout" => Condition::Timeout,
        "invalid_header" => Condition::InvalidHeader,
        "http_503" => Condition::Http503,
        "http_404" => Condition::Http404,
        _ => panic!("the replay does not know the condition {word}"),
    };
    words.iter().map(condition).collect()
}

/// `$request_uri` and `$arg_NAME`.
fn evaluate(variable: &str, uri: &str) -> String {
    match variable.strip_prefix("$arg_") {
        Some(name) => {
            let query = uri.split_once('?').map_or("", |(_, query)| query);
            let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
            value.map(|(_, value)| value.to_owned()).unwrap_or_default()
        }
        None if variable == "$request_uri" => uri.to_owned(),
        None => panic!("the replay does not know {variable}"),
    }
}

fn cookie(step: &Value, name: &str) -> Option<String> {
    let header = step.get("headers")?.get("Cookie")?.as_str()?;
    header
        .split("; ")
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value.into())
}

fn lines(vector: &Value, key: &str) -> impl Iterator<Item = String> {
    let lines = vector.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    lines.into_iter().map(|line| line.as_str().expect("a line").to_owned())
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}")).to_owned()
}
