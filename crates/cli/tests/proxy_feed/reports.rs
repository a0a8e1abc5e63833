//! What the leader is told, and when.

use serde_json::Value;
use testkit::controller::{Flaw, Manner};
use testkit::{Controller, Forebay, Upstream};

use crate::rig::{FOREBAY, Files, app, config, config_shows, get, metric};

#[tokio::test]
async fn the_leader_is_told_soon_what_is_in_force_and_what_happened() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let mut leader = Controller::start("controller-1", &files.authority).await;
    let controller = Controller::start("controller-0", &files.authority).await;
    let first = config(app("a", &[&upstream]));
    controller.publish(&first);
    controller.lead(&leader);
    let forebay = files.proxy(&[&controller]).args(["--instance", "forebay/proxy-1"]).start().await;
    let report = leader.wait_for("a report", |seen| !seen.reports.is_empty()).await.reports.remove(0);
    assert_eq!(
        (&report["instance"], &report["extent"], &report["seq"]),
        (&"forebay/proxy-1".into(), &"full".into(), &1.into())
    );
    assert_eq!(report["revision"], first.revision().to_string());
    let group = &report["groups"]["shop/a"];
    let version = first.resources().next().unwrap().revision().to_string();
    assert_eq!((&group["version"], &group["active_tier"]), (&version.into(), &"Primary".into()));
    // Zeros are left out.
    assert_eq!((&group["servers"][0]["state"], &group["servers"][0]["requests"]), (&"up".into(), &Value::Null));
    assert_eq!(leader.seen().authorizations, ["Bearer first"]);

    for _ in 0..3 {
        assert_eq!(get(&forebay, "a").await.0, 200);
    }
    let second = config([app("a", &[&upstream]), app("b", &[&upstream])].concat());
    controller.publish(&second);
    let is_second = |report: &Value| report["revision"] == second.revision().to_string();
    let seen = leader.wait_for("the next", |seen| seen.reports.iter().any(is_second)).await;
    let report = seen.reports.iter().find(|report| is_second(report)).unwrap();
    assert_eq!((&report["extent"], &report["epoch"]), (&"changes".into(), &seen.reports[0]["epoch"]));
    assert!(report["groups"]["shop/b"].is_object());
    // What only counts follows at its own pace.
    let is_counted = |report: &Value| report["groups"]["shop/a"]["servers"][0]["requests"] == 3;
    let seen = leader.wait_for("what was counted", |seen| seen.reports.iter().any(is_counted)).await;
    let server = &seen.reports.iter().find(|report| is_counted(report)).unwrap()["groups"]["shop/a"]["servers"][0];
    assert_eq!(server["responses"], 3);
    assert!(server["bytes_received"].as_u64() > Some(0), "{server}");

    // The leader is gone: nothing of that is a request's business, and the next one is told everything.
    leader.kill().await;
    controller.publish(&first);
    forebay.logged("leader controller-1: does not take reports: cannot connect: ").await;
    assert_eq!(get(&forebay, "a").await.0, 200);
    controller.lead(&controller);
    let seen = controller.wait_for("a report", |seen| !seen.reports.is_empty()).await;
    assert_eq!(
        (&seen.reports[0]["extent"], &seen.reports[0]["revision"]),
        (&"full".into(), &first.revision().to_string().into())
    );
    assert_eq!(seen.reports[0]["groups"]["shop/a"]["servers"][0]["requests"], 4);
    let failed = metric(&forebay, r#"forebay_feed_reports_total{result="failed"}"#).await;
    assert!(failed >= Some(1.0), "{failed:?}");
    config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
}

#[tokio::test]
async fn the_leader_may_be_any_controller_that_an_operator_named() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let mut controllers = Vec::new();
    for (name, host) in [("controller-0", "127.0.0.1"), ("controller-1", "localhost")] {
        let controller = Controller::start(name, &files.authority).await;
        controller.certify(&files.authority, Flaw::Only(host));
        controller.publish(&config(app("a", &[&upstream])));
        controllers.push((controller, host));
    }
    let urls = controllers.iter().map(|(controller, host)| format!("https://{host}:{}", controller.address().port()));
    let forebay = Forebay::proxy(FOREBAY, &files.authority, &files.token()).listen();
    let urls = urls.collect::<Vec<_>>().join(",");
    let forebay = forebay.args(["--workers", "1", "--access-log", "off", "--controller", &urls]).start().await;
    config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
    // The one that it is not connected to leads.
    let feeds = |(controller, _): &(Controller, _)| controller.seen().streams > 0;
    let fed_by = controllers.iter().position(feeds).unwrap();
    let [(source, _), (leader, _)] = [&controllers[fed_by], &controllers[1 - fed_by]];
    source.lead(leader);
    leader.wait_for("a report", |seen| !seen.reports.is_empty()).await;

    // Whom nobody named is not told anything, whatever authority it has and whoever says that it leads.
    let stranger = Controller::start("stranger", &files.authority).await;
    stranger.certify(&files.authority, Flaw::OtherName);
    source.lead(&stranger);
    let refused = "leader stranger: does not take reports: TLS: the controller's certificate is not for";
    let said = forebay.logged(refused).await;
    assert!(said.contains(r#"is not for "127.0.0.1" or "localhost"; "#), "{said}");
    assert!(stranger.seen().authorizations.is_empty());
}

#[tokio::test]
async fn a_leader_that_hangs_keeps_nobody_waiting() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let leader = Controller::start("controller-1", &files.authority).await;
    let next = Controller::start("controller-2", &files.authority).await;
    let mut controller = Controller::start("controller-0", &files.authority).await;
    controller.publish(&config(app("a", &[&upstream])));
    controller.lead(&leader);
    let forebay = files.proxy(&[&controller]).start().await;
    let reports = |count| move |seen: &testkit::controller::Seen| seen.reports.len() == count;
    leader.wait_for("a report", reports(1)).await;
    leader.behave(Manner::Silent);
    controller.publish(&config([app("a", &[&upstream]), app("b", &[&upstream])].concat()));
    leader.wait_for("what it does not answer", reports(2)).await;

    // Named by a controller that was out of reach, as it may have been itself: it is asked anew.
    leader.behave(Manner::Serve);
    controller.restart().await;
    let seen = leader.wait_for("the same once more", reports(3)).await;
    assert!(seen.reports[2]["groups"]["shop/b"].is_object(), "{}", seen.reports[2]);

    leader.behave(Manner::Silent);
    controller.publish(&config(app("a", &[&upstream])));
    leader.wait_for("what it does not answer", reports(4)).await;
    controller.lead(&next);
    let seen = next.wait_for("a report", reports(1)).await;
    assert_eq!(seen.reports[0]["extent"], "full");
    let log = forebay.log();
    assert!(!log.iter().any(|line| line.contains("does not take reports")), "nobody waited for an answer: {log:?}");
}
