//! What an operator says to a data plane that is not a document: variables of its environment, and signals.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Client, Forebay, Mode, Upstream, patiently, rig::Documents};

const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

fn group(server: &Upstream) -> Value {
    let servers = json!([{"name": "a", "address": server.address().to_string()}]);
    let metadata = json!({"name": "app"});
    json!({"apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup", "metadata": metadata, "spec": {"servers": servers}})
}

/// An Ingress of a class that leads a host of the class's name to the group.
fn ingress(class: &str) -> Value {
    let resource = json!({"apiGroup": "forebay.dev", "kind": "UpstreamGroup", "name": "app"});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": {"resource": resource}});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": class},
        "spec": {"ingressClassName": class, "rules": [{"host": class, "http": {"paths": [path]}}]},
    })
}

async fn status(forebay: &Forebay, host: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 10.9.9.9\r\nConnection: close\r\n\r\n");
    Client::once(forebay.http(0), request).await.status
}

#[tokio::test]
async fn every_variable_does_what_its_flag_does() {
    let (documents, server) = (Documents::new(), Upstream::start("a").await);
    documents.write("app.yaml", &[group(&server), ingress("ours"), ingress("theirs")]);
    let log = documents.beside("access.log");
    let mut forebay = Forebay::bare(FOREBAY)
        .env("FOREBAY_CONFIG", documents.path())
        .env("FOREBAY_HTTP", "127.0.0.1:0")
        .env("FOREBAY_ADMIN", "127.0.0.1:0")
        .env("FOREBAY_INGRESS_CLASS", "ours")
        .env("FOREBAY_ACCESS_LOG", &log)
        .env("FOREBAY_ACCESS_LOG_FORMAT", "json")
        .env("FOREBAY_TRUSTED_PROXIES", "127.0.0.0/8")
        .env("FOREBAY_DRAIN_DELAY", "1h")
        .start()
        .await;
    assert_eq!((status(&forebay, "ours").await, status(&forebay, "theirs").await), (200, 404));
    forebay.signal("TERM").await;
    forebay.logged("leaving").await;
    assert_eq!(status(&forebay, "ours").await, 200, "the drain is delayed");
    assert!(forebay.hurried().await.success());
    let text = fs::read_to_string(&log).expect("the access log");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // Each worker has its own lines, and they meet in no order.
    let mut statuses: Vec<_> = lines.iter().filter_map(|line| line["status"].as_u64()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 404]);
    assert!(lines.iter().all(|line| line["remote_addr"] == "10.9.9.9"), "{text}");
}

#[tokio::test]
async fn the_flags_of_classes_and_logs() {
    let (documents, server) = (Documents::new(), Upstream::start("a").await);
    documents.write("app.yaml", &[group(&server), ingress("ours"), ingress("theirs")]);
    let flags = ["--ingress-class", "theirs", "--access-log-format", "json"];
    let forebay = Forebay::run(FOREBAY, documents.path()).listen().args(flags).start().await;
    assert_eq!((status(&forebay, "ours").await, status(&forebay, "theirs").await), (404, 200));
    let line = forebay.logged("\"upstream_group\":\"default/app\"").await;
    assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["host"], "theirs");
}

#[tokio::test]
async fn a_drain_ends_when_the_environment_says() {
    let (documents, server) = (Documents::new(), Upstream::start("a").await);
    server.set(Mode::Hang).await;
    documents.write("app.yaml", &[group(&server)]);
    let bound = Forebay::run(FOREBAY, documents.path()).bind("default/app");
    let mut forebay = bound.env("FOREBAY_DRAIN_TIMEOUT", "200ms").start().await;
    let mut stuck = Client::connect(forebay.http(0)).await;
    stuck.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    server.request(1).await;
    forebay.signal("TERM").await;
    assert!(forebay.exited().await.success());
    forebay.logged("1 request(s) are cut").await;
}

/// The workers of a data plane that is ready, once each has answered: until then it may not have its name.
async fn workers(forebay: Forebay) -> usize {
    assert_eq!(forebay.admin_get("/readyz").await.status, 200);
    forebay.threads("worker-")
}

#[tokio::test]
async fn there_is_a_worker_for_each_cpu_that_may_be_used() {
    let (documents, server) = (Documents::new(), Upstream::start("a").await);
    documents.write("app.yaml", &[group(&server)]);
    let forebay = Forebay::run(FOREBAY, documents.path()).listen().start().await;
    assert_eq!(workers(forebay).await, std::thread::available_parallelism().unwrap().get());

    // What a thread may use, its children may.
    let allowed = fs::read_to_string("/proc/thread-self/status").unwrap();
    let allowed = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = allowed.split(['-', ',']).next().unwrap();
    let this = fs::read_link("/proc/thread-self").unwrap();
    let this = this.file_name().unwrap();
    assert!(Command::new("taskset").args(["-p", "-c", first]).arg(this).status().unwrap().success());
    let forebay = Forebay::run(FOREBAY, documents.path()).listen().start().await;
    assert_eq!(workers(forebay).await, 1);
    let asked = Forebay::run(FOREBAY, documents.path()).listen().args(["--workers", "3"]).start().await;
    assert_eq!(workers(asked).await, 3);
}

#[test]
fn the_level_of_the_error_log() {
    for (level, is_said) in [("error", true), ("crit", false)] {
        let mut command = Command::new(FOREBAY);
        command.args(["run", "--config", "/nowhere/at/all"]).env_clear().env("FOREBAY_ERROR_LOG_LEVEL", level);
        let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
        assert_eq!(said.contains("[error]"), is_said, "{level}: {said}");
    }
}

#[tokio::test]
async fn an_interrupt_and_a_quit_are_orders_to_leave() {
    let (documents, server) = (Documents::new(), Upstream::start("a").await);
    documents.write("app.yaml", &[group(&server)]);
    for name in ["INT", "QUIT"] {
        let mut forebay = Forebay::run(FOREBAY, documents.path()).bind("default/app").start().await;
        forebay.signal(name).await;
        assert_eq!(forebay.exited().await.code(), Some(0), "{name}");
        forebay.logged("leaving").await;
    }
}

#[tokio::test]
async fn a_log_that_was_renamed_is_opened_anew() {
    let (documents, server) = (Documents::new(), Upstream::start("a").await);
    documents.write("app.yaml", &[group(&server)]);
    let [log, rotated] = ["access.log", "access.log.1"].map(|name| documents.beside(name));
    let bound = Forebay::run(FOREBAY, documents.path()).bind("default/app");
    let forebay = bound.args(["--access-log".as_ref(), log.as_os_str()]).start().await;
    assert_eq!(status(&forebay, "t").await, 200);
    fs::rename(&log, &rotated).unwrap();
    forebay.signal("USR1").await;
    let mut poll = tokio::time::interval(std::time::Duration::from_millis(10));
    patiently("a line in the new file", async {
        while fs::read_to_string(&log).unwrap_or_default().is_empty() {
            assert_eq!(status(&forebay, "t").await, 200);
            poll.tick().await;
        }
    })
    .await;
    assert!(!fs::read_to_string(&rotated).unwrap().is_empty(), "what was logged before stays");
}
