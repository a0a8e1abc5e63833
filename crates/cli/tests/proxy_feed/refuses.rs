//! Controllers that cannot be used: what is said of each, that it is said once, and that what is in force stays.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use feed::Scope;
use proxy::config_status::ConfigStatus;
use proxy::source::{Credentials, Feed, FeedOptions, FeedStatus, Patience};
use proxy::{Early, Limits, Proxy, access_log};
use testkit::controller::{Flaw, Manner};
use testkit::{Authority, Controller, Upstream, patiently};

use crate::rig::{FOREBAY, Files, app, config, config_shows, get};

const DOCUMENT: &str = include_str!("../../../../docs/troubleshooting.md");
/// Lies that no operator meets.
const NOT_SHOWN: [&str; 2] = ["said what it must not: this frame is out of place", "a line is longer than"];

#[tokio::test]
async fn every_trouble_is_said_once_in_words_that_help() {
    let files = Files::new();
    let upstream = Upstream::start("one").await;
    let mut controller = Controller::start("controller-0", &files.authority).await;
    controller.publish(&config(app("a", &[&upstream])));
    let forebay = files.proxy(&[&controller]).start().await;
    let stranger = Authority::new();
    let good = (&files.authority, Flaw::None);
    let cases: [(Manner, (&Authority, Flaw), &str); 11] = [
        (Manner::Serve, (&stranger, Flaw::None), "is not signed by an authority in --controller-ca"),
        (Manner::Serve, (&files.authority, Flaw::Expired), "certificate has expired"),
        (Manner::Serve, (&files.authority, Flaw::OtherName), "is not for \"127.0.0.1\""),
        (Manner::Refuse(401, "no such token"), good, "answered 401 Unauthorized: it does not accept who we are"),
        (Manner::Refuse(403, "sees only shop"), good, "may not see what is asked"),
        (Manner::Refuse(404, ""), good, "there is no feed; is this a controller's feed port"),
        (Manner::Refuse(500, "<html>\n<b>oops</b>"), good, ": \"<html> <b>oops</b>\""),
        (Manner::Say(b"<html>hello</html>\n".to_vec()), good, "said what it must not: not a frame"),
        (Manner::Say(b"{\"synced\":{}}\n".to_vec()), good, "said what it must not: this frame is out of place"),
        (
            Manner::Say(b"{\"bye\":{\"after_ms\":1,\"reason\":\"not you\"}}\n".to_vec()),
            good,
            "refuses this data plane: not you",
        ),
        (Manner::Say(vec![b' '; feed::limits::SERVER_LINE + 2]), good, "a line is longer than"),
    ];
    let whom = format!(": controller {} ({}): ", controller.url(), controller.address());
    for (manner, (authority, flaw), said) in cases {
        controller.behave(manner);
        controller.certify(authority, flaw);
        controller.restart().await;
        let before = controller.seen().connections;
        let line = forebay.logged(said).await;
        assert!(line.contains("[error]") && line.contains(&whom), "{line}");
        if !NOT_SHOWN.contains(&said) {
            let reason = line.split_once(&whom).map(|(_, reason)| reason.trim_start_matches("lost: ")).unwrap();
            assert!(DOCUMENT.contains(&format!("\n{reason}\n")), "docs/troubleshooting.md lacks\n{reason}");
        }
        controller.wait_for("more tries", |seen| seen.connections > before + 2).await;
        assert_eq!(forebay.log().iter().filter(|line| line.contains(said)).count(), 1, "{said}");
        assert_eq!(get(&forebay, "a").await.0, 200);
        assert_eq!(forebay.admin_get("/readyz").await.status, 200);
        controller.behave(Manner::Serve);
        controller.certify(&files.authority, Flaw::None);
        controller.restart().await;
        config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
    }
    controller.kill().await;
    forebay.logged("cannot connect: Connection refused").await;
    // An authority that was replaced is read anew, without a restart.
    std::fs::write(files.authority.file(), stranger.pem()).unwrap();
    controller.certify(&stranger, Flaw::None);
    controller.restart().await;
    config_shows(&forebay, "synced", |config| config["feed"]["synced"] == true).await;
}

/// A data plane in this process, impatient, with the trouble it is expected to have.
async fn trouble(files: &Files, controller: &Controller, patience: Patience) -> String {
    let options = proxy::Options {
        listeners: Vec::new(),
        workers: 1,
        trusted_proxies: Vec::new(),
        limits: Limits::default(),
        zone: None,
        early: Early::Refused,
        access_log: access_log::Options { target: access_log::Target::Off, format: access_log::Format::Combined },
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::ZERO,
    };
    let proxy = Arc::new(Proxy::start(options).unwrap());
    let feed = Arc::new(FeedStatus::new(None));
    let token = Some(files.token());
    let credentials = Credentials { controller_ca: files.authority.file(), token, certificate: None };
    let options = FeedOptions {
        controllers: vec![controller.url().parse().unwrap()],
        credentials,
        instance: "proxy-1".into(),
        scope: Scope::All,
        state_dir: None,
        boot_wait: Duration::from_hours(1),
        patience,
    };
    let status = Arc::new(ConfigStatus::of_feed(feed.clone()));
    let fed = Feed::start(options, proxy.clone(), status, feed.clone());
    let mut poll = tokio::time::interval(Duration::from_millis(5));
    let problem = patiently("a trouble", async {
        loop {
            if let Some(problem) = feed.standing().problem {
                return problem;
            }
            poll.tick().await;
        }
    });
    let problem = problem.await;
    fed.close().await;
    proxy.drain(tokio_util::sync::CancellationToken::new()).await;
    problem
}

#[tokio::test]
async fn who_says_nothing_is_left_in_time() {
    let files = Files::new();
    let controller = Controller::start("controller-0", &files.authority).await;
    let short = Duration::from_millis(300);
    for (manner, patience, said) in [
        (
            Manner::Mute,
            Patience { handshake: short, ..Patience::default() },
            "no answer within 0.3 s while shaking hands (TLS)",
        ),
        (Manner::Silent, Patience { silence: short, ..Patience::default() }, "not heard for 0.3 s"),
        (Manner::Trickle, Patience { silence: short, ..Patience::default() }, "not heard for 0.3 s"),
        // Welcomed and never synchronised: a controller that does not know its cluster.
        (Manner::Serve, Patience { sync: short, ..Patience::default() }, "did not send everything within 0.3 s"),
    ] {
        controller.behave(manner);
        let problem = trouble(&files, &controller, patience).await;
        assert!(problem.contains(said), "{problem}");
    }
}

#[tokio::test]
async fn who_was_cut_off_is_left_in_time() {
    let files = Files::new();
    let controller = Controller::start("controller-0", &files.authority).await;
    controller.publish(&config([]));
    controller.wait_for("nobody", |seen| seen.streams == 0).await;
    let patience = Patience { silence: Duration::from_millis(500), ..Patience::default() };
    let cut = async {
        controller.wait_for("synced", |seen| seen.sent.iter().any(|kind| kind == "synced")).await;
        controller.freeze();
    };
    let (problem, ()) = tokio::join!(trouble(&files, &controller, patience), cut);
    assert!(problem.contains("not heard for 0.5 s"), "{problem}");
}

#[test]
fn nonsense_is_refused_with_the_usage() {
    let files = Files::new();
    let token = files.token();
    let (ca, token) = (files.authority.file().display().to_string(), token.display().to_string());
    let controller = ["--controller", "https://c.example:9902"];
    for (args, said) in [
        (vec!["--controller", "http://c.example:9902", "--controller-ca", &ca, "--token", &token], "must be https"),
        (vec!["--controller", "https://c.example", "--controller-ca", &ca, "--token", &token], "names no port"),
        ([&controller[..], &["--token", &token]].concat(), "--controller-ca <FILE>"),
        ([&controller[..], &["--controller-ca", &ca]].concat(), "--token <FILE>"),
        (
            [&controller[..], &["--controller-ca", &ca, "--token", "/nowhere"]].concat(),
            "--token /nowhere: cannot be read",
        ),
        ([&controller[..], &["--controller-ca", &ca, "--client-certificate", &ca]].concat(), "--client-key <FILE>"),
        ([&controller[..], &["--controller-ca", &ca, "--token", &token, "--group", "app"]].concat(), "NAMESPACE/NAME"),
        (
            [&controller[..], &["--controller-ca", &ca, "--token", &token, "--instance", "a b"]].concat(),
            "no name of a data plane",
        ),
        ([&controller[..], &["--controller-ca", &ca, "--token", &token, "--config", "x"]].concat(), "--config"),
    ] {
        let output = Command::new(FOREBAY).arg("proxy").args(&args).env_clear().output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(said), "{args:?}: {error}");
        assert!(!error.contains("Usage: forebay <COMMAND>"), "{args:?}: {error}");
    }
}
