//! The live differential run: seeded random groups, failures, clients and time steps put to a real nginx and to Forebay on
//! the same backends, compared pick by pick and status by status.
//!
//! `FOREBAY_SEED=N` replays one scenario, `FOREBAY_SEED=A-B` explores others than the usual ones. A divergence is either a
//! bug or an entry of `specs/nginx/ledger.toml` that the scenarios then leave out.

use std::{collections::BTreeMap, sync::Arc};

use balance::Method;
use testkit::{
    Client, Forebay,
    nginx::{Nginx, Release},
    rig::Documents,
    scenario::{LOG_FORMAT, Question, Target, compare, document, replay, seeds},
};

/// nginx and Forebay serving the same questions.
struct Pair {
    nginx: Nginx,
    forebay: Forebay,
    documents: Documents,
    /// Each group's place among Forebay's listeners.
    listeners: BTreeMap<u64, usize>,
}

impl Pair {
    /// Starts both, or neither when there is no such nginx.
    async fn start(release: Release, questions: &[Arc<Question>]) -> Option<Self> {
        let binary = release.find()?;
        let nginx = Question::nginx(&binary, questions).await;
        let documents = Documents::new();
        let groups: Vec<_> = questions.iter().map(|q| document(&q.scenario, &q.addresses)).collect();
        documents.write("groups.yaml", &groups);
        let mut builder = Forebay::run(env!("CARGO_BIN_EXE_forebay"), documents.path())
            .args(["--workers", "1", "--trusted-proxies", "127.0.0.0/8", "--access-log-format", LOG_FORMAT])
            .args(["--access-log".as_ref(), documents.beside("access.log").as_os_str()]);
        let mut listeners = BTreeMap::new();
        for (n, question) in questions.iter().enumerate() {
            builder = builder.bind(&format!("default/{}", question.scenario.name()));
            listeners.insert(question.scenario.seed, n);
        }
        Some(Self { nginx, forebay: builder.start().await, documents, listeners })
    }

    fn targets(&self, question: &Question) -> Vec<Target> {
        let socket = format!("{}.sock", question.scenario.name());
        let listener = self.listeners[&question.scenario.seed];
        vec![
            Target { name: "nginx", address: self.nginx.socket(&socket) },
            Target { name: "forebay", address: self.forebay.http(listener).into() },
        ]
    }
}

async fn agree(release: Release, default: std::ops::RangeInclusive<u64>) {
    let questions = Question::generate(seeds(default), release).await;
    let Some(pair) = Pair::start(release, &questions).await else { return };
    let (mut asked, mut compared, mut divergences) = (0, 0, Vec::new());
    for (question, run) in Question::drive(&questions, |question| pair.targets(question)).await {
        let expected = question.answers(&pair.nginx.dir().join("access.log"), &run, "nginx").await;
        let actual = question.answers(&pair.documents.beside("access.log"), &run, "forebay").await;
        asked += question.requests().count();
        compared += actual.len();
        if let Err(divergence) = compare(&question.scenario, ("nginx", &expected), ("forebay", &actual)) {
            // Tells a wrong core from a data plane that told it wrong facts.
            let predicted = replay(&question.scenario, &question.addresses);
            let core = predicted.get(&divergence.step).map(ToString::to_string).unwrap_or_default();
            divergences.push(format!("{}  the core alone answers: {core}\n", divergence.report));
        }
    }
    assert!(divergences.is_empty(), "{} divergences\n{}", divergences.len(), divergences.join("\n"));
    assert!(compared * 10 >= asked * 8, "this machine is too slow: {compared} of {asked} requests fitted their second");
    eprintln!("{release:?}: {compared} of {asked} requests compared in {} scenarios", questions.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forebay_agrees_with_the_baseline() {
    agree(Release::Baseline, 100..=159).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forebay_agrees_with_debians() {
    agree(Release::Debian, 1100..=1147).await;
}

/// Requests per group and proxy: the shares of two runs then differ by more than [`SPREAD`] standard deviations by chance
/// once in millions of runs.
const DRAWS: usize = 1500;
const SPREAD: f64 = 5.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_methods_give_the_same_shares() {
    let mut questions = Question::generate(9000..=9003, Release::Baseline).await;
    for (n, question) in questions.iter_mut().enumerate() {
        let question = Arc::get_mut(question).expect("nobody else holds it yet");
        question.scenario.group.method = [Method::Random, Method::RandomTwo][n % 2];
        question.restrict_to_healthy_primaries();
    }
    let Some(pair) = Pair::start(Release::Baseline, &questions).await else { return };
    for question in &questions {
        let mut shares: Vec<BTreeMap<String, usize>> = Vec::new();
        for target in pair.targets(question) {
            let mut client = Client::connect(target.address.clone()).await;
            let mut counts = BTreeMap::new();
            for _ in 0..DRAWS {
                client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").await;
                let response = client.response().await;
                if response.head.headers.has_token("connection", "close") {
                    client = Client::connect(target.address.clone()).await;
                }
                *counts.entry(response.text()).or_default() += 1;
            }
            shares.push(counts);
        }
        let scenario = &question.scenario;
        assert!(shares.iter().flat_map(BTreeMap::keys).all(|name| name.starts_with('s')), "{scenario}{shares:?}");
        for name in shares[0].keys().chain(shares[1].keys()) {
            let [nginx, forebay] = [0, 1].map(|n| count(shares[n].get(name)) / count(Some(&DRAWS)));
            let mean = f64::midpoint(nginx, forebay);
            let deviation = (2.0 * mean * (1.0 - mean) / count(Some(&DRAWS))).sqrt();
            assert!(
                (nginx - forebay).abs() <= SPREAD * deviation,
                "{name}: {nginx} or {forebay}\n{scenario}{shares:?}"
            );
        }
    }
}

fn count(count: Option<&usize>) -> f64 {
    u32::try_from(count.copied().unwrap_or(0)).map_or(f64::MAX, f64::from)
}
