//! Who takes the requests when servers fail one after the other: the backups, then nobody. Both are said, and so is the way back.

use api::{ActiveTier, UpstreamGroupStatus};
use testkit::Mode;

use crate::objects::{app, group, pod_address, service, slice};
use crate::rig::{Load, Rig, answers, has, serve};

const SPARE: &str = "  - {name: spare, service: {name: spare, port: http}, backup: true}";

#[tokio::test]
async fn backups_take_over_then_nobody_is_left() {
    let Some(rig) = Rig::start().await else { return };
    let _controller = rig.installed.controller(1);
    let proxy = rig.installed.proxy(1).await;
    let pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &group("app", SPARE), &service("spare")]).await;
    rig.apply(&[&slice("app", &[1]), &slice("spare", &[2])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    let tier = |status: &UpstreamGroupStatus, tier: ActiveTier| {
        status.summary.as_ref().is_some_and(|summary| summary.active_tier == tier)
    };
    rig.status("app", "the primaries", |status| {
        tier(status, ActiveTier::Primary) && has(status, "UsingBackup=False(PrimaryServers)")
    })
    .await;

    // No primary: a request that finds it refusing goes to the backup, and none fails.
    let load = Load::start(&[&proxy], "app.example");
    pods[0].set(Mode::Refuse).await;
    pods[0].close_connections();
    rig.status("app", "the backups", |status| {
        tier(status, ActiveTier::Backup)
            && has(status, "UsingBackup=True(BackupServers)")
            && has(status, "Available=True(Available)")
    })
    .await;
    rig.event("BackupEngaged", "app").await;
    println!("the backups serve: {}, none failed", load.end().await);

    // No backup either. Who asks is told so, and the status by whose fault.
    let load = Load::start(&[&proxy], "app.example");
    pods[1].set(Mode::Refuse).await;
    pods[1].close_connections();
    answers(&proxy, "app.example", 502, "").await;
    let group = rig
        .status("app", "that nobody is left", |status| {
            tier(status, ActiveTier::None) && has(status, "Available=False(NoEligibleServer)")
        })
        .await;
    let conditions = group.status.unwrap().conditions;
    let said = &conditions.iter().find(|condition| condition.type_ == "Available").unwrap().message;
    assert!([1, 2].iter().all(|&pod| said.contains(&pod_address(pod))), "{said}");
    let down = rig.event("GroupDown", "app").await;

    for pod in &pods {
        pod.set(Mode::Ok).await;
    }
    rig.status("app", "the primaries again", |status| {
        tier(status, ActiveTier::Primary)
            && has(status, "Available=True(Available)")
            && has(status, "UsingBackup=False(PrimaryServers)")
    })
    .await;
    rig.event("GroupRecovered", "app").await;
    rig.event("BackupReleased", "app").await;
    serve(&[&proxy], "app.example", "pod-1").await;
    let served = load.end_whatever_came().await;
    assert!(served.cut.is_empty(), "everybody is answered: {:?}", served.cut);
    println!("nobody left: {down:?}; {} of {served} were refused", served.refused.len());
}
