//! It serves what a controller says, whichever controller answers, and loses no request to a change or a loss.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Client, Controller, Upstream};

use crate::rig::{Files, app, config, config_shows, get, metric};

/// Clients that ask without a pause until told to stop, and how many answers were not 200.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
    asked: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

impl Load {
    fn start(address: std::net::SocketAddr, host: &'static str) -> Self {
        let (stop, asked, failed) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { stop, clients: Vec::new(), asked, failed };
        for _ in 0..2 {
            let (stop, asked, failed) = (load.stop.clone(), load.asked.clone(), load.failed.clone());
            load.clients.push(tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                while !stop.load(Relaxed) {
                    client.send(format!("GET / HTTP/1.1\r\nHost: {host}.example\r\n\r\n")).await;
                    let response = client.response().await;
                    asked.fetch_add(1, Relaxed);
                    failed.fetch_add(usize::from(response.status != 200), Relaxed);
                }
            }));
        }
        load
    }

    /// Waits for so many more answers.
    async fn more(&self, count: usize) {
        let until = self.asked.load(Relaxed) + count;
        testkit::patiently("more answers", async {
            while self.asked.load(Relaxed) < until {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    async fn stop(self) -> (usize, usize) {
        self.stop.store(true, Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        (self.asked.load(Relaxed), self.failed.load(Relaxed))
    }
}

#[tokio::test]
async fn it_is_ready_with_the_first_configuration_and_follows_changes_under_load() {
    let files = Files::new();
    let controller = Controller::start("controller-0", &files.authority).await;
    let forebay = files.proxy(&[&controller]).launch().await;
    controller.wait_for("a hello", |seen| !seen.lines.is_empty()).await;
    let ready = forebay.admin_get("/readyz").await;
    assert_eq!((ready.status, ready.text().as_str()), (503, "no configuration yet\n"));
    assert_eq!(get(&forebay, "a").await.0, 503);

    let [first, second] = [Upstream::start("first").await, Upstream::start("second").await];
    controller.publish(&config(app("a", &[&first])));
    forebay.logged_times("ready", 1).await;
    config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
    assert_eq!(forebay.admin_get("/readyz").await.status, 200);
    assert_eq!(get(&forebay, "a").await, (200, "first".to_owned()));
    let seen = controller.seen();
    assert_eq!(seen.authorizations, ["Bearer first"]);
    assert_eq!(seen.lines[0]["hello"]["scope"], "all");
    assert_eq!(seen.lines[1], json!({"ack": {"commit": 1}}));

    let load = Load::start(forebay.http(0), "a");
    let turns: [&[&Upstream]; 3] = [&[&first], &[&first, &second], &[&second]];
    for servers in turns.into_iter().cycle().take(20) {
        load.more(20).await;
        controller.publish(&config(app("a", servers)));
    }
    load.more(50).await;
    let (asked, failed) = load.stop().await;
    assert!(asked > 400 && failed == 0, "{failed} of {asked} failed");
    controller.publish(&config(app("a", &[&second])));
    let expected = config(app("a", &[&second])).revision().to_string();
    let shown = config_shows(&forebay, "the last one", |config| config["revision"] == expected.as_str()).await;
    assert_eq!((&shown["age_seconds"], &shown["feed"]["rejected"]), (&json!(0), &json!({})));
    assert_eq!(shown["feed"]["controller"]["name"], "controller-0");
    assert_eq!(shown["source"], format!("{} ({})", controller.url(), controller.address()));
    assert_eq!(get(&forebay, "a").await, (200, "second".to_owned()));
    // A host that is no more is no route; a group that a route leads to and is not there is 503.
    controller.publish(&config([app("a", &[&second]).remove(1)]));
    config_shows(&forebay, "no group", |config| config["groups"] == 0).await;
    assert_eq!((get(&forebay, "a").await.0, get(&forebay, "b").await.0), (503, 404));
}

#[tokio::test]
async fn another_controller_takes_over_and_is_told_what_is_held() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let (mut first, mut second) = (
        Controller::start("controller-0", &files.authority).await,
        Controller::start("controller-1", &files.authority).await,
    );
    let published = config(app("a", &[&upstream]));
    first.publish(&published);
    second.publish(&published);
    let forebay = files.proxy(&[&first, &second]).start().await;
    config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
    if first.seen().streams == 0 {
        std::mem::swap(&mut first, &mut second);
    }
    let load = Load::start(forebay.http(0), "a");
    load.more(20).await;
    files.write_token("renewed");
    first.kill().await;
    let seen = second.wait_for("the data plane", |seen| seen.sent.iter().any(|kind| kind == "synced")).await;
    config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
    assert_eq!(seen.authorizations.last().unwrap(), "Bearer renewed");
    assert_eq!(seen.lines[0]["hello"]["have"].as_object().unwrap().len(), 2);
    assert!(!seen.sent.iter().any(|kind| kind == "put"), "{:?}", seen.sent);
    forebay.logged(&format!("controller https://{0} ({0}): lost: ", first.address())).await;

    // And back, by a goodbye, which is no trouble.
    first.restart().await;
    second.say_bye("the controller restarts", Duration::from_millis(50));
    let whom = format!("controller https://{0} ({0})", second.address());
    forebay.logged(&format!("{whom}: says goodbye: the controller restarts")).await;
    first.wait_for("the data plane again", |seen| seen.streams == 2).await;
    load.more(50).await;
    let (asked, failed) = load.stop().await;
    assert_eq!(failed, 0, "of {asked}");
    assert_eq!(forebay.admin_get("/readyz").await.status, 200);
    assert_eq!(metric(&forebay, r#"forebay_feed_failures_total{reason="bye"}"#).await, Some(1.0));
}

#[tokio::test]
async fn a_group_it_cannot_use_leaves_the_old_one_and_is_reported() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let controller = Controller::start("controller-0", &files.authority).await;
    controller.publish(&config(app("a", &[&upstream])));
    controller.lead(&controller);
    let forebay = files.proxy(&[&controller]).start().await;
    // The API refuses a weight of this size; a controller of another release might not.
    let mut refused = app("a", &[&upstream]);
    let config::Resource::Group(id, group) = &refused[0] else { panic!("a group") };
    let mut group = config::Group::clone(group);
    group.servers[0].weight = 0;
    refused[0] = config::Resource::Group(id.clone(), Arc::new(group));
    let version = refused[0].revision().to_string();
    controller.publish(&config(refused.into_iter().chain(app("b", &[&upstream]))));
    let is_nack = |line: &Value| line["nack"]["key"] == "group/shop/a" && line["nack"]["version"] == version.as_str();
    controller.wait_for("a nack", |seen| seen.lines.iter().any(is_nack)).await;
    let reported = |report: &Value| report["rejected"]["group/shop/a"]["version"] == version.as_str();
    let seen = controller.wait_for("a report of it", |seen| seen.reports.iter().any(reported)).await;
    let report = seen.reports.iter().find(|report| reported(report)).unwrap();
    let old = config(app("a", &[&upstream])).resources().next().unwrap().revision().to_string();
    assert_eq!(report["groups"]["shop/a"]["version"].as_str().unwrap_or(&old), old);
    assert_eq!((get(&forebay, "a").await.0, get(&forebay, "b").await.0), (200, 200));
    let shown = config_shows(&forebay, "it", |config| config["feed"]["rejected"]["group/shop/a"].is_object()).await;
    assert_eq!(shown["feed"]["rejected"]["group/shop/a"]["version"], version.as_str());
    forebay.logged("group/shop/a: version ").await;
    assert_eq!(metric(&forebay, "forebay_feed_rejected_resources").await, Some(1.0));
}

#[tokio::test]
async fn it_drains_as_run_does_and_is_fed_meanwhile() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let controller = Controller::start("controller-0", &files.authority).await;
    controller.publish(&config(app("a", &[&upstream])));
    let mut forebay = files.proxy_with_state(&[&controller]).args(["--drain-delay", "1h"]).start().await;
    forebay.signal("TERM").await;
    forebay.logged("leaving").await;
    assert_eq!(forebay.admin_get("/readyz").await.text(), "draining\n");
    controller.publish(&config([app("a", &[&upstream]), app("b", &[&upstream])].concat()));
    config_shows(&forebay, "two groups", |config| config["groups"] == 2).await;
    assert_eq!(get(&forebay, "b").await.0, 200);
    assert_eq!(forebay.hurried().await.code(), Some(0));
    let kept = std::fs::read_to_string(files.last_good()).unwrap();
    assert!(kept.contains("group/shop/b"), "what was put in force last is written before the end: {kept}");
}
