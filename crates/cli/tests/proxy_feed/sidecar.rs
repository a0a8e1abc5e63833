//! `--group`: the sidecar of an application.

use serde_json::json;
use testkit::{Client, Controller, Forebay, Upstream};

use crate::rig::{FOREBAY, Files, app, config, config_shows};

#[tokio::test]
async fn a_sidecar_asks_for_its_groups_alone() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let controller = Controller::start("controller-0", &files.authority).await;
    controller.publish(&config([app("a", &[&upstream]), app("b", &[&upstream])].concat()));
    let builder = Forebay::proxy(FOREBAY, &files.authority, &files.token());
    let builder = builder.args(["--controller", &controller.url(), "--group", "shop/a", "--instance", "shop/app-7"]);
    let forebay = builder.bind("shop/a").bind("shop/b").args(["--access-log", "off"]).start().await;
    assert_eq!(Client::get(forebay.http(0), "/").await.text(), "one");
    assert_eq!(Client::get(forebay.http(1), "/").await.status, 503, "a group it did not ask for");
    forebay.logged("=shop/b: the group does not exist; every request gets 503 [FB4011]").await;
    let shown = config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
    assert_eq!(shown["groups"], 1);
    assert!(shown["problems"].to_string().contains("FB4011"), "{shown}");
    let hello = &controller.seen().lines[0]["hello"];
    assert_eq!((&hello["scope"], &hello["instance"]), (&json!({"groups": ["shop/a"]}), &json!("shop/app-7")));
}
