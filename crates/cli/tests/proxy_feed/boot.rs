//! The boot without a controller: the last good configuration, or none that can be used.

use serde_json::json;
use testkit::{Controller, Upstream};

use crate::rig::{Files, app, config, config_shows, file_shows, get, metric};

/// Runs a data plane until it has kept its configuration, and ends it and the controller.
async fn earlier_life(files: &Files, upstream: &Upstream) -> Controller {
    let mut controller = Controller::start("controller-0", &files.authority).await;
    let key = config::PrivateKey::new("SECRET");
    let certificate = config::Certificate {
        chain: "chain".into(),
        ..serde_json::from_value(json!({"chain": "", "key": ""})).unwrap()
    };
    let certificate = config::Certificate { key, ..certificate };
    let id = config::CertificateId::new("shop", "tls");
    let certificate = config::Resource::Certificate(id, certificate.into());
    controller.publish(&config(app("a", &[upstream]).into_iter().chain([certificate])));
    let mut forebay = files.proxy_with_state(&[&controller]).start().await;
    file_shows(&files.last_good(), |text| text.ends_with("}}\n")).await;
    forebay.signal("TERM").await;
    assert_eq!(forebay.exited().await.code(), Some(0));
    controller.kill().await;
    controller
}

#[tokio::test]
async fn the_last_good_configuration_is_used_when_no_controller_answers_in_time() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let mut controller = earlier_life(&files, &upstream).await;
    let kept = std::fs::read_to_string(files.last_good()).unwrap();
    assert!(!kept.contains("SECRET") && kept.contains("group/shop/a"), "{kept}");

    let forebay = files.proxy_with_state(&[&controller]).args(["--boot-wait", "200ms"]).start().await;
    let warning = forebay.logged("no controller answered within 0.2 s: the last good configuration ").await;
    assert!(warning.contains("[warn]") && warning.contains("last-good.jsonl is used, which may be"), "{warning}");
    assert_eq!(get(&forebay, "a").await, (200, "one".to_owned()));
    assert_eq!(forebay.admin_get("/readyz").await.status, 200);
    let shown = config_shows(&forebay, "the problem", |config| config["feed"]["problem"].is_string()).await;
    assert_eq!((&shown["feed"]["synced"], &shown["feed"]["controller"]), (&json!(false), &json!(null)));
    assert!(shown["age_seconds"].is_u64() && shown["source"].as_str().unwrap().starts_with("last good configuration"));
    let problem = shown["feed"]["problem"].as_str().unwrap();
    assert!(problem.contains("cannot connect: Connection refused"), "{problem}");
    assert!(metric(&forebay, "forebay_config_age_seconds").await.is_some_and(|age| age > 0.0));

    controller.restart().await;
    let shown = config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
    assert_eq!(shown["age_seconds"], 0);
    let seen = controller.seen();
    let hello = seen.lines.iter().rfind(|line| line["hello"].is_object()).unwrap();
    assert_eq!(hello["hello"]["have"].as_object().unwrap().len(), 2, "what the disk held is not sent again");
    forebay.logged("keeps the configuration current again").await;
}

#[tokio::test]
async fn a_controller_that_answers_in_time_is_listened_to_alone() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let mut controller = earlier_life(&files, &upstream).await;
    controller.publish(&config(app("b", &[&upstream])));
    controller.restart().await;
    let forebay = files.proxy_with_state(&[&controller]).args(["--boot-wait", "1h"]).start().await;
    assert_eq!((get(&forebay, "a").await.0, get(&forebay, "b").await.0), (404, 200));
    let hello = controller.seen().lines.iter().rfind(|line| line["hello"].is_object()).cloned().unwrap();
    assert_eq!(hello["hello"]["have"].as_object().unwrap().len(), 2, "what is on disk is its to send, take or leave");
    assert!(!forebay.log().iter().any(|line| line.contains("no controller answered")));
}

#[tokio::test]
async fn a_damaged_file_is_said_and_ignored() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let mut controller = earlier_life(&files, &upstream).await;
    let whole = std::fs::read_to_string(files.last_good()).unwrap();
    for (content, problem) in [
        (whole[..whole.len() / 2].to_owned(), "the file ends too early"),
        (whole.replace("shop", "shoq"), "the file was edited or damaged"),
        ("kind: Pod\n".to_owned(), "not a last good configuration of Forebay"),
    ] {
        std::fs::write(files.last_good(), content).unwrap();
        let forebay = files.proxy_with_state(&[&controller]).args(["--boot-wait", "10ms"]).launch().await;
        let said = forebay.logged(": the last good configuration ").await;
        assert!(said.contains(problem), "{said}");
        let said = forebay.logged("no controller answered within").await;
        assert!(said.ends_with("every request gets 503 until one does"), "{said}");
        let ready = forebay.admin_get("/readyz").await;
        assert!(ready.status == 503 && ready.text().starts_with("no configuration yet"), "{}", ready.text());
        assert_eq!(get(&forebay, "a").await.0, 503);
    }
    controller.restart().await;
    let forebay = files.proxy_with_state(&[&controller]).start().await;
    assert_eq!(get(&forebay, "a").await.0, 200);
    file_shows(&files.last_good(), |text| text == whole || text.contains("group/shop/a")).await;
}

#[tokio::test]
async fn a_disk_that_takes_nothing_costs_no_request() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    // A file where the directory should be: nobody can write there, whatever the privileges of the test.
    std::fs::write(files.state(), "").unwrap();
    let controller = Controller::start("controller-0", &files.authority).await;
    controller.publish(&config(app("a", &[&upstream])));
    let forebay = files.proxy_with_state(&[&controller]).start().await;
    let said = forebay.logged("the last good configuration cannot be written: ").await;
    assert!(said.contains("[error]") && said.contains(": --state-dir ") && said.contains("traffic goes on"), "{said}");
    assert_eq!(get(&forebay, "a").await.0, 200);
    assert_eq!(forebay.admin_get("/readyz").await.status, 200);
    assert_eq!(metric(&forebay, r#"forebay_last_good_writes_total{result="failed"}"#).await, Some(1.0));
    std::fs::remove_file(files.state()).unwrap();
    controller.publish(&config(app("b", &[&upstream])));
    file_shows(&files.last_good(), |text| text.contains("group/shop/b")).await;
    forebay.logged("the last good configuration is kept again").await;
}

#[tokio::test]
async fn what_is_too_old_is_not_ready_if_so_wished() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let mut controller = Controller::start("controller-0", &files.authority).await;
    controller.publish(&config(app("a", &[&upstream])));
    let forebay = files.proxy(&[&controller]).args(["--max-stale", "100ms"]).start().await;
    config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
    assert_eq!(forebay.admin_get("/readyz").await.status, 200);
    controller.kill().await;
    let mut poll = tokio::time::interval(std::time::Duration::from_millis(10));
    let why = testkit::patiently("readiness to end", async {
        loop {
            let ready = forebay.admin_get("/readyz").await;
            if ready.status == 503 {
                return ready.text();
            }
            poll.tick().await;
        }
    })
    .await;
    assert!(why.contains("--max-stale allows 0.1 s: controller https://"), "{why}");
    assert_eq!(get(&forebay, "a").await.0, 200, "who asks is served all the same");
    controller.restart().await;
    config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
    assert_eq!(forebay.admin_get("/readyz").await.status, 200);
}
