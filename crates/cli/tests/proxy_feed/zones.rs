//! `--zone`: every data plane is told the same, and uses the part that is for its zone.

use std::sync::Arc;

use config::{Group, GroupId, Resource};
use testkit::{Controller, Upstream};

use crate::rig::{Files, app, config, config_shows, get};

/// What [`app`] says, each server with a hint for the zone at its place.
fn hinted(servers: &[&Upstream], zones: &[&[&str]]) -> Vec<Resource> {
    let hint = |group: &Arc<Group>| {
        let mut group = Group::clone(group);
        for (server, zones) in group.servers.iter_mut().zip(zones) {
            // Of one Service.
            server.name = "app".into();
            server.for_zones = zones.iter().map(|zone| (*zone).into()).collect();
        }
        Arc::new(group)
    };
    let hint = |resource| match resource {
        Resource::Group(id, group) => Resource::Group(id, hint(&group)),
        other => other,
    };
    app("a", servers).into_iter().map(hint).collect()
}

#[tokio::test]
async fn two_zones_are_told_the_same_and_use_their_own_part() {
    let files = Files::new();
    let (one, two) = (Upstream::start("one").await, Upstream::start("two").await);
    let controller = Controller::start("controller-0", &files.authority).await;
    controller.lead(&controller);
    let both = config(hinted(&[&one, &two], &[&["a"], &["b"]]));
    controller.publish(&both);
    let first = files.proxy(&[&controller]).args(["--zone", "a", "--instance", "shop/in-a"]).start().await;
    let second = files.proxy(&[&controller]).args(["--zone", "b", "--instance", "shop/in-b"]).start().await;
    let anywhere = files.proxy(&[&controller]).env("FOREBAY_ZONE", "").args(["--instance", "shop/any"]).start().await;
    first.logged("instance shop/in-a in zone a asks https://").await;
    anywhere.logged("instance shop/any asks https://").await;
    for _ in 0..4 {
        assert_eq!(get(&first, "a").await, (200, "one".to_owned()));
        assert_eq!(get(&second, "a").await, (200, "two".to_owned()));
    }
    assert_ne!(get(&anywhere, "a").await, get(&anywhere, "a").await, "round robin over both");

    // Each says where it is, that the whole is in force there, and what it uses.
    let version =
        Resource::Group(GroupId::new("shop", "a"), both.groups[&GroupId::new("shop", "a")].clone()).revision();
    for (instance, zone, servers) in [("shop/in-a", Some("a"), 1), ("shop/in-b", Some("b"), 1), ("shop/any", None, 2)] {
        let seen = controller
            .wait_for("a report", |seen| seen.reports.iter().any(|report| report["instance"] == instance))
            .await;
        let report = seen.reports.iter().find(|report| report["instance"] == instance).unwrap();
        assert_eq!((report["zone"].as_str(), &report["revision"]), (zone, &both.revision().to_string().into()));
        let group = &report["groups"]["shop/a"];
        assert_eq!(group["version"], version.to_string());
        assert_eq!(group["servers"].as_array().map(Vec::len), Some(servers));
    }

    // A hint is lost: everybody serves everywhere, and who was known is still.
    let revision = |config: &config::Config| config.revision().to_string();
    let lost = config(hinted(&[&one, &two], &[&["a"], &[]]));
    controller.publish(&lost);
    config_shows(&first, "all servers", |config| config["revision"] == revision(&lost)).await;
    let groups = first.admin_get("/api/v1/groups").await.json();
    let requests = groups["groups"][0]["servers"].as_array().unwrap().iter().map(|server| &server["requests"]);
    assert_eq!(requests.collect::<Vec<_>>(), [4, 0], "{groups}");
    assert_ne!(get(&first, "a").await, get(&first, "a").await, "round robin over both");
    controller.publish(&both);
    config_shows(&first, "its part", |config| config["revision"] == revision(&both)).await;
    for _ in 0..4 {
        assert_eq!(get(&first, "a").await.1, "one");
    }
}
