//! Many scenarios put to the same proxies at once, since each spends most of its time waiting for seconds to pass.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet};

use balance::{Availability, Tier};

use super::{
    Answer, Backends, LOG_FORMAT, Run, Scenario, Server, Step, Target, configuration, drive, generate, parse_log,
};
use crate::{
    Address,
    nginx::{Binary, Nginx, Release},
    patiently,
};

/// A scenario with its servers running.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub scenario: Scenario,
    /// The servers' addresses, by number.
    pub addresses: Vec<Address>,
    backends: Backends,
}

/// So many at once that a second's work fits well into the second on two cores.
const AT_ONCE: usize = 12;

/// The seeds to run: `FOREBAY_SEED=N` replays one, `FOREBAY_SEED=FIRST-LAST` explores, else `default`.
///
/// # Panics
/// When the variable holds neither.
pub fn seeds(default: RangeInclusive<u64>) -> RangeInclusive<u64> {
    let Ok(text) = std::env::var("FOREBAY_SEED") else { return default };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("FOREBAY_SEED={text} is no number and no range"));
    match text.split_once('-') {
        Some((first, last)) => number(first)..=number(last),
        None => number(&text)..=number(&text),
    }
}

impl Question {
    /// Generates the scenarios of `seeds` and starts their servers.
    pub async fn generate(seeds: RangeInclusive<u64>, release: Release) -> Vec<Arc<Self>> {
        let mut questions = Vec::new();
        for seed in seeds {
            let scenario = generate(seed, release);
            let backends = Backends::start(&scenario).await;
            questions.push(Arc::new(Self { addresses: backends.addresses(), scenario, backends }));
        }
        questions
    }

    /// Starts an nginx that serves every question on `NAME.sock`.
    pub async fn nginx(binary: &Binary, questions: &[Arc<Self>]) -> Nginx {
        let ready = format!("{}.sock", questions[0].scenario.name());
        Nginx::start(binary, &ready, |dir| {
            let log = format!("log_format pick '{LOG_FORMAT}';\naccess_log {}/access.log pick;\n", dir.display());
            let real_ip = "set_real_ip_from unix:;\nreal_ip_header X-Forwarded-For;\n";
            let groups = questions
                .iter()
                .map(|question| configuration(&question.scenario, &question.addresses, binary.release, dir));
            log + real_ip + &groups.collect::<String>()
        })
        .await
    }

    /// Drives all of them, some at a time, each against the targets that `targets` names for it.
    pub async fn drive(questions: &[Arc<Self>], targets: impl Fn(&Self) -> Vec<Target>) -> Vec<(Arc<Self>, Run)> {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for question in questions {
            let (question, permits, targets) = (question.clone(), permits.clone(), targets(question));
            running.spawn(async move {
                // The semaphore is never closed.
                let _permit = permits.acquire().await;
                let run = drive(&question.scenario, &question.backends, &targets).await;
                (question, run)
            });
        }
        let mut runs = running.join_all().await;
        runs.sort_by_key(|(question, _)| question.scenario.seed);
        runs
    }

    /// Makes every server an unlimited primary in service and drops stickiness: what shares can be compared of.
    pub fn restrict_to_healthy_primaries(&mut self) {
        self.scenario.group.sticky = None;
        for server in &mut self.scenario.group.servers {
            let weight = server.weight;
            *server = Server {
                weight,
                max_fails: 1,
                fail_timeout: 10,
                max_conns: 0,
                tier: Tier::Primary,
                availability: Availability::Up,
                route: None,
            };
        }
    }

    /// What the access log at `path` says about this question, joined with what the client of `target` saw, up to where
    /// the run came. Waits for the lines to be written.
    ///
    /// # Panics
    /// When a line does not come, or contradicts what the client saw.
    pub async fn answers(&self, path: &Path, run: &Run, target: &str) -> BTreeMap<usize, Answer> {
        let wanted: Vec<usize> = self.requests().filter(|step| *step < run.until).collect();
        let mut poll = tokio::time::interval(Duration::from_millis(10));
        let what = format!("seed {}: {} lines of {target}'s access log", self.scenario.seed, wanted.len());
        let mut answers = patiently(&what, async {
            loop {
                let log = std::fs::read_to_string(path).unwrap_or_default();
                let answers = parse_log(&log, &self.scenario, &self.addresses);
                if wanted.iter().all(|step| answers.contains_key(step)) {
                    return answers;
                }
                poll.tick().await;
            }
        })
        .await;
        answers.retain(|step, _| *step < run.until);
        for (step, answer) in &mut answers {
            if let Some((status, cookie)) = run.seen.get(target).and_then(|seen| seen.get(step)) {
                assert_eq!(answer.status, *status, "{target} logged another status at {step} of {}", self.scenario);
                answer.cookie.clone_from(cookie);
            }
        }
        answers
    }

    /// The steps that are requests.
    pub fn requests(&self) -> impl Iterator<Item = usize> {
        let request = |(n, step)| matches!(step, &Step::Request(_)).then_some(n);
        self.scenario.steps.iter().enumerate().filter_map(request)
    }
}
