//! The pure core on a virtual clock picks what a real nginx picks on the wall clock, scenario by scenario.
//!
//! `FOREBAY_SEED=N` replays one scenario, `FOREBAY_SEED=A-B` explores others than the usual ones.

use testkit::{
    nginx::Release,
    scenario::{Question, Target, compare, replay, seeds},
};

async fn agree(release: Release, default: std::ops::RangeInclusive<u64>) {
    let Some(binary) = release.find() else { return };
    let questions = Question::generate(seeds(default), release).await;
    let nginx = Question::nginx(&binary, &questions).await;
    let target = |question: &Question| {
        vec![Target { name: "nginx", address: nginx.socket(&format!("{}.sock", question.scenario.name())) }]
    };
    let (mut asked, mut compared, mut divergences) = (0, 0, Vec::new());
    for (question, run) in Question::drive(&questions, target).await {
        let actual = question.answers(&nginx.dir().join("access.log"), &run, "nginx").await;
        let expected = replay(&question.scenario, &question.addresses);
        asked += question.requests().count();
        compared += actual.len();
        if let Err(divergence) = compare(&question.scenario, ("nginx", &actual), ("core", &expected)) {
            divergences.push(divergence.report);
        }
    }
    assert!(divergences.is_empty(), "{} divergences\n{}", divergences.len(), divergences.join("\n"));
    assert!(compared * 10 >= asked * 8, "this machine is too slow: {compared} of {asked} requests fitted their second");
    eprintln!("{release:?}: {compared} of {asked} requests compared in {} scenarios", questions.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_core_agrees_with_the_baseline() {
    agree(Release::Baseline, 0..=23).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_core_agrees_with_debians() {
    agree(Release::Debian, 1000..=1023).await;
}
