//! The control plane at the size it is meant for: a real API server, a controller in a process of its own, a hundred data
//! planes' ends of the feed in this one. Prints what `bench/README.md` shows; `bench/control-plane` runs it.

#![allow(clippy::cast_precision_loss, reason = "a few digits are shown")]

mod gauge;
mod objects;
mod plane;
mod reporter;
mod scene;
mod stored;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gauge::{Metrics, Spread, cpus, histograms, say, shares};
use plane::Wanted;
use scene::Scene;

/// How large, from the environment: `PLANES=10 GROUPS=100 bench/control-plane`.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    planes: usize,
    /// How often all of them connect at once, each time with nothing held and with tokens that nobody has reviewed.
    synchronisations: usize,
    groups: usize,
    endpoints: usize,
    /// One of so many groups has requests between two reports.
    one_busy_of: usize,
    changes: usize,
    slices: usize,
    ingresses: usize,
    storm: u64,
    updates_a_minute: u64,
    /// How far to go; less for a look at one thing.
    phases: usize,
}

impl Size {
    fn from_environment() -> Self {
        let number = |name: &str, usual: usize| {
            std::env::var(name).map_or(usual, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
        };
        Self {
            planes: number("PLANES", 100),
            synchronisations: number("SYNCHRONISATIONS", 7),
            groups: number("GROUPS", 1_000),
            endpoints: number("ENDPOINTS", 10),
            one_busy_of: number("ONE_BUSY_OF", 10),
            changes: number("CHANGES", 60),
            slices: number("SLICES", 50),
            ingresses: number("INGRESSES", 10_000),
            storm: number("STORM_SECONDS", 60) as u64,
            updates_a_minute: number("UPDATES_A_MINUTE", 2_000) as u64,
            phases: number("PHASES", usize::MAX),
        }
    }
}

fn main() {
    let size = Size::from_environment();
    let scene = Scene::start(size);
    let runtime = scene.runtime();
    runtime.block_on(run(scene, size));
    // Its threads are in the cluster's network, which ends with the process.
    runtime.shutdown_background();
}

async fn run(mut scene: Scene, size: Size) {
    let Size { groups, endpoints, .. } = size;
    let began = Instant::now();
    scene.store_groups().await;
    println!("\n{groups} groups x {endpoints} endpoints stored in {:.1} s", began.elapsed().as_secs_f64());

    let ready = scene.start_controller().await;
    say("the controller's start to its first publication", &format!("{:.0} ms", ready.as_secs_f64() * 1e3));
    scene.memory("ready, nobody connected");

    let mut all = Spread::default();
    for more in (0..size.synchronisations).rev() {
        all.add(synchronise(&mut scene, size).await);
        if more > 0 {
            // What they left behind (reports on their way, connections) is not the next ones' to carry.
            scene.disconnect().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
    say("... each time", &all.show());
    settle(&mut scene, "40 s later, every data plane reported everything", 40).await;

    if size.phases == 1 {
        return scene.disconnect().await;
    }
    change(&mut scene, "one endpoint changes", size.changes).await;
    follow(&mut scene, "100 data planes there", size.changes / 2).await;
    if size.phases == 2 {
        return scene.disconnect().await;
    }
    large_service(&mut scene, size).await;
    ingresses(&mut scene, size).await;
    change(&mut scene, "one endpoint changes, the large Service and the Ingresses there", size.changes / 2).await;
    storm(&mut scene, size).await;
    settle(&mut scene, "30 s after the storm", 30).await;
    follow(&mut scene, "after all that", size.changes / 2).await;
    scene.disconnect().await;
    follow(&mut scene, "the 100 data planes gone", size.changes / 2).await;
    scene.memory("at the end");
}

async fn synchronise(scene: &mut Scene, size: Size) -> Duration {
    let tokens = scene.tokens().await;
    let (before, metrics, cpu) = (Instant::now(), scene.metrics().await, cpus(&scene.processes()));
    let (_, number) = scene.want(Wanted::Synced);
    scene.connect(tokens);
    let (arrived, committed) = scene.everybody(number, before).await;
    let took = before.elapsed();
    let told = scene.metrics().await.since(&metrics);
    say(
        &format!("{} data planes connect: all synchronised", size.planes),
        &format!("{:.0} ms", took.as_secs_f64() * 1e3),
    );
    say("... each, from the first connect on", &committed.show());
    say("... its last line read", &arrived.show());
    let megabytes = told.total("forebay_controller_feed_bytes_total") / 1e6;
    say("... sent", &format!("{megabytes:.0} MB in {} lines", told.total("forebay_controller_feed_lines_total")));
    say("... CPU", &shares(&cpu, &cpus(&scene.processes()), took));
    scene.memory("synchronised");
    took
}

/// Lets time pass and says what it cost.
async fn settle(scene: &mut Scene, what: &str, seconds: u64) {
    let (before, metrics, cpu) = (Instant::now(), scene.metrics().await, cpus(&scene.processes()));
    let (taken, refused, bytes) = scene.reports();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let told = scene.metrics().await.since(&metrics);
    let after = scene.reports();
    say(
        what,
        &format!(
            "reports taken {}, refused {}, {:.0} MB; {} status writes; {}",
            after.0 - taken,
            after.1 - refused,
            (after.2 - bytes) as f64 / 1e6,
            told.total("forebay_controller_status_writes_total"),
            shares(&cpu, &cpus(&scene.processes()), before.elapsed()),
        ),
    );
    scene.memory(what);
}

async fn change(scene: &mut Scene, what: &str, times: usize) {
    let metrics = scene.metrics().await;
    let (mut arrived, mut committed, mut last) = (Spread::default(), Spread::default(), Spread::default());
    for round in 0..times {
        let stored = scene.replace_and_want(round * 7).await;
        let (all_arrived, all_committed) = scene.everybody(stored.1, stored.0).await;
        last.add(all_committed.worst());
        arrived.extend(all_arrived);
        committed.extend(all_committed);
        // The data planes tell the leader within 300 ms, and here all of them do so on the cores that are measured.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let told = scene.metrics().await.since(&metrics);
    say(&format!("{what}: stored to each data plane's commit"), &committed.show());
    say("... to the last of them", &last.show());
    say("... to the line read at each", &arrived.show());
    histograms(&told);
}

async fn large_service(scene: &mut Scene, size: Size) {
    let (cpu, metrics, began) = (cpus(&scene.processes()), scene.metrics().await, Instant::now());
    let (stored, number) = scene.store_large(size.slices).await;
    let (_, committed) = scene.everybody(number, stored).await;
    let told = scene.metrics().await.since(&metrics);
    say(
        &format!(
            "a Service of {} endpoints in {} slices: last slice stored to each data plane",
            100 * size.slices,
            size.slices
        ),
        &committed.show(),
    );
    publications(scene, &told, &cpu, began);
    let (mut each, metrics) = (Spread::default(), scene.metrics().await);
    for _ in 0..size.changes / 5 {
        let (stored, number) = scene.replace_in_large().await;
        each.extend(scene.everybody(number, stored).await.1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    say("... one of its endpoints changes: to each data plane's commit", &each.show());
    histograms(&scene.metrics().await.since(&metrics));
    scene.memory("with it");
}

/// What the controller published, and what everybody spent since `began`, when `cpu` was read.
fn publications(scene: &Scene, told: &Metrics, cpu: &BTreeMap<&'static str, Duration>, began: Instant) {
    let published = told.total("forebay_controller_publications_total");
    let spent = shares(cpu, &cpus(&scene.processes()), began.elapsed());
    say("... publications, CPU", &format!("{published}; {spent}"));
}

async fn ingresses(scene: &mut Scene, size: Size) {
    let (cpu, metrics, began) = (cpus(&scene.processes()), scene.metrics().await, Instant::now());
    let (stored, number) = scene.store_ingresses(size.ingresses).await;
    let took = began.elapsed();
    let (_, committed) = scene.everybody(number, stored).await;
    let told = scene.metrics().await.since(&metrics);
    say(
        &format!(
            "{} Ingresses, stored in {:.0} s: the last one to each data plane",
            size.ingresses,
            took.as_secs_f64()
        ),
        &committed.show(),
    );
    publications(scene, &told, &cpu, began);
    say("... translating and publishing", &told.histogram("forebay_controller_reconcile_seconds"));
    let (mut each, metrics) = (Spread::default(), scene.metrics().await);
    for more in 1..=size.changes / 10 {
        let (stored, number) = scene.store_ingress(size.ingresses + more).await;
        each.extend(scene.everybody(number, stored).await.1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    say("... one more Ingress: to each data plane's commit", &each.show());
    histograms(&scene.metrics().await.since(&metrics));
    scene.memory("with them");
}

/// Slices change at a steady rate, and now and then one change is followed to all.
async fn storm(scene: &mut Scene, size: Size) {
    scene.forget_peak();
    let (cpu, metrics, began) = (cpus(&scene.processes()), scene.metrics().await, Instant::now());
    let (taken, refused, bytes) = scene.reports();
    let mut ticks = tokio::time::interval(Duration::from_micros(60_000_000 / size.updates_a_minute));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let (mut updates, mut followed) = (0, Spread::default());
    let mut pending = tokio::task::JoinSet::new();
    let mut waited: Option<(Instant, u64, usize)> = None;
    while began.elapsed() < Duration::from_secs(size.storm) {
        ticks.tick().await;
        updates += 1;
        if waited.is_none() && updates % 10 == 0 {
            let (stored, number) = scene.replace_and_want(updates).await;
            waited = Some((stored, number, 0));
        } else {
            pending.spawn(scene.replace(updates));
        }
        while pending.try_join_next().is_some() {}
        if let Some((stored, number, have)) = &mut waited {
            *have += scene.drain(*number, *stored, &mut followed);
            if *have == size.planes {
                waited = None;
            }
        }
    }
    while pending.join_next().await.is_some() {}
    let took = began.elapsed();
    let told = scene.metrics().await.since(&metrics);
    let after = scene.reports();
    let cpu = shares(&cpu, &cpus(&scene.processes()), took);
    let count = |name: &str| told.total(&format!("forebay_controller_{name}"));
    say(
        &format!("a storm of {updates} slice updates in {:.0} s", took.as_secs_f64()),
        &format!(
            "{} publications, {} resources, {} lines, {:.0} MB sent, {} status writes",
            count("publications_total"),
            count("published_resources_total"),
            count("feed_lines_total"),
            count("feed_bytes_total") / 1e6,
            count("status_writes_total"),
        ),
    );
    say("... CPU", &cpu);
    say(
        "... reports",
        &format!("{} taken, {} refused, {:.0} MB", after.0 - taken, after.1 - refused, (after.2 - bytes) as f64 / 1e6),
    );
    say("... one of them: stored to each data plane's commit", &followed.show());
    histograms(&told);
    scene.memory("in the storm");
}

async fn follow(scene: &mut Scene, when: &str, times: usize) {
    if let Some(took) = scene.start_proxy().await {
        say("a real data plane starts and serves", &format!("{:.0} ms", took.as_secs_f64() * 1e3));
    }
    let mut spread = Spread::default();
    for round in 0..times {
        spread.add(scene.first_request(round % 2 == 0).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    say(
        &format!("one endpoint changes: stored to the first request on the new list at a real data plane, {when}"),
        &spread.show(),
    );
}
