//! What the README's section "In a cluster" promises, command by command on a node that has nothing of ours; the sidecar beside
//! it; and that nothing is left when all of it is deleted.

use std::collections::BTreeSet;
use std::fs;

use api::ActiveTier;
use cluster::until;

use crate::rig::{OUTSIDE, ROOT, Rig, answers, load};

/// The first block in this language of a section of the README.
fn block<'t>(readme: &'t str, section: &str, language: &str) -> &'t str {
    let (_, section) = readme.split_once(&format!("## {section}\n")).expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section follows");
    let (_, block) = section.split_once(&format!("```{language}\n")).expect("a block");
    block.split_once("```").expect("an end of the block").0
}

/// A table's words, but for the last column, which is AGE.
fn words(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter_map(|words| Some(words.split_last()?.1.to_vec())).collect()
}

#[tokio::test]
async fn its_commands_work_and_print_what_it_shows() {
    let Some(rig) = Rig::start().await else { return };
    let before = inventory(&rig).await;
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let shown = words(block(&readme, "In a cluster", "text"));
    for command in block(&readme, "In a cluster", "sh").lines() {
        let printed = rig.shell(command).await;
        println!("$ {command}\n{printed}");
        match command {
            "kubectl apply --server-side -k manifests" => rig.balance_load().await,
            "kubectl get ug,ingress" => {
                // Pods take a moment that a reader takes to type.
                until("what the README shows", async || {
                    let printed = rig.shell(command).await;
                    (words(&printed) == shown).then(|| println!("{printed}"))
                })
                .await;
            }
            "kubectl describe ug quickstart" => {
                for said in ["Accepted", "ResolvedRefs", "Programmed", "Available"] {
                    assert!(printed.contains(said), "{said}: {printed}");
                }
            }
            _ => {}
        }
    }
    rig.ready().await;

    answers("any.example", 200, "one").await;
    let mut one = 0;
    for _ in 0..180 {
        let answer = cluster::get(OUTSIDE, "/", "any.example").await.expect("an answer");
        assert_eq!(answer.status, 200);
        one += usize::from(answer.body == "one");
    }
    // Three data planes, each with a turn of its own.
    assert!((112..=128).contains(&one), "{one} of 180 were answered by one");

    let load = load("any.example");
    rig.run("scale deployment one two --replicas=0").await;
    rig.status("default", "quickstart", "that the backup serves", |status| {
        status.summary.as_ref().is_some_and(|summary| summary.active_tier == ActiveTier::Backup)
    })
    .await;
    let served = load.end().await;
    assert!(served.by["spare"] > 0, "{served:?}");
    println!("one and two scaled to nothing: {served}, none failed");
    rig.run("scale deployment one two --replicas=1").await;
    sidecar(&rig).await;

    rig.run(&format!("delete -k {ROOT}/manifests/quickstart")).await;
    rig.run(&format!("delete -k {ROOT}/manifests")).await;
    let mut left = BTreeSet::new();
    until("nothing of it to be left", async || {
        let now: BTreeSet<_> = inventory(&rig).await.symmetric_difference(&before).cloned().collect();
        if now != left {
            println!("{} objects differ from those before: {now:?}", now.len());
            left = now;
        }
        left.is_empty().then_some(())
    })
    .await;
}

/// The example of a sidecar, with the group that it needs and the copy of the authority that it tells to make.
async fn sidecar(rig: &Rig) {
    rig.apply(
        "
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: app, namespace: default}
spec: {servers: [{name: one, service: {name: one, port: http}}]}
",
    )
    .await;
    let manifest = fs::read_to_string(format!("{ROOT}/manifests/sidecar/sidecar.yaml")).unwrap();
    let copying = manifest.lines().find_map(|line| line.strip_prefix("#   ")).expect("a command in its comment");
    // Twice, as by whoever keeps the copy in step.
    rig.shell(copying).await;
    rig.shell(copying).await;
    rig.shell("kubectl apply -f manifests/sidecar").await;
    rig.run("wait pod/client --for=condition=Ready --timeout=60s").await;
    until("an answer to the application beside the sidecar", async || {
        rig.run("logs client -c app").await.lines().any(|line| line == "one").then_some(())
    })
    .await;
    // The data planes of the cluster and the sidecar; it reports on its group, and on nothing else.
    for (group, ready) in [("app", "4/4"), ("quickstart", "3/3")] {
        rig.status("default", group, &format!("{group} on {ready} data planes"), |status| {
            status.data_planes.as_ref().is_some_and(|planes| planes.ready == ready)
        })
        .await;
    }
    rig.run("delete pod/client ug/app configmap/forebay-ca --timeout=60s").await;
}

/// Every object there is, but for events, which the API server lets expire, and the node's sign of life, which may come late.
async fn inventory(rig: &Rig) -> BTreeSet<String> {
    let kinds = rig.run("api-resources --verbs=list -o name").await;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let all = rig.run(&format!("get {} -A -o name --ignore-not-found", kinds.join(","))).await;
    assert!(all.contains("namespace/default"), "{all}");
    all.lines().filter(|&object| object != "lease.coordination.k8s.io/forebay-node").map(str::to_owned).collect()
}
