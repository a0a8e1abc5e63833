//! What a controller lives through without emptying anything: a history that was compacted while it did not look, a token of its
//! own that is no longer accepted, a start with an object that is refused.

use cluster::{Cluster, Forebay, NAMESPACE, Part, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::objects::{app, group, slice};
use crate::rig::{Load, Rig, admin, answers, conditions, has, serve};

#[tokio::test]
async fn a_history_that_was_compacted_is_listed_anew() {
    let Some(rig) = Rig::start().await else { return };
    let controller = rig.installed.controller(1);
    let proxy = rig.installed.proxy(1).await;
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1]), &app("gone"), &slice("gone", &[1])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    serve(&[&proxy], "gone.example", "pod-1").await;
    let load = Load::start(&[&proxy], "app.example");

    controller.signal("STOP");
    rig.apply(&[&slice("app", &[2]), &app("later"), &slice("later", &[1])]).await;
    rig.run("delete ingress gone -n shop").await;
    // Neither etcd nor a new API server remembers what became of what.
    rig.installed.cluster.kill(Part::ApiServer);
    compact().await;
    rig.installed.cluster.start(Part::ApiServer).unwrap();
    rig.installed.until_ready().await;
    controller.signal("CONT");

    serve(&[&proxy], "app.example", "pod-2").await;
    serve(&[&proxy], "later.example", "pod-1").await;
    answers(&proxy, "gone.example", 404, "").await;
    controller.logged("listing anew").await;
    let metrics = admin(&controller, "/metrics").await.unwrap().body;
    let expired = metrics.lines().filter(|line| line.contains("watch_errors_total") && line.contains("expired"));
    assert!(expired.count() > 0, "{metrics}");
    assert!(!controller.log().contains("forbidden"), "an API server that starts alarms nobody: {}", controller.log());
    println!("a compacted history: {} requests, none failed", load.end().await);
}

#[tokio::test]
async fn a_token_of_its_own_that_is_refused_is_read_again() {
    let Some(rig) = Rig::start().await else { return };
    // A token ends with the object that it is bound to; the kubelet's ends with the pod or in time.
    for life in ["first", "second"] {
        rig.run(&format!("create secret generic {life} -n {NAMESPACE}")).await;
    }
    let token = |life: &str| {
        let bound = ["--bound-object-kind=Secret", "--bound-object-name", life];
        let of = ["create", "token", "forebay-controller", "-n", NAMESPACE];
        rig.installed.kubectl().run(&[&of[..], &bound].concat()).trim().to_owned()
    };
    let (first, second) = (token("first"), token("second"));
    let file = rig.installed.folder().join("token");
    std::fs::write(&file, first).unwrap();
    let kubeconfig = with_token_file(&rig.installed.cluster, &file);
    let controller = rig.installed.controller_as(1, &kubeconfig, &[]);
    let proxy = rig.installed.proxy(1).await;
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    leads(&controller, true).await;
    let load = Load::start(&[&proxy], "app.example");

    rig.run(&format!("delete secret first -n {NAMESPACE}")).await;
    let said = controller.logged("the API server does not accept the credentials").await;
    assert!(said.contains("check the kubeconfig or the ServiceAccount's token"), "{said}");
    leads(&controller, false).await;
    assert_eq!(admin(&controller, "/readyz").await.unwrap().status, 200);
    // Watches that were accepted go on.
    rig.apply(&[&slice("app", &[2])]).await;
    serve(&[&proxy], "app.example", "pod-2").await;

    std::fs::write(&file, second).unwrap();
    leads(&controller, true).await;
    rig.status("app", "the status", |status| {
        has(status, "Programmed=True(Programmed)")
            && status.servers.iter().any(|server| server.address.starts_with("10.99.3.2:"))
    })
    .await;
    assert_eq!(controller.log().matches("the lease forebay/forebay-controller: the API server does not").count(), 1);
    println!("a token that is refused: {} requests, none failed", load.end().await);
}

#[tokio::test]
async fn what_was_refused_before_a_controller_started_is_left_to_data_planes() {
    let Some(rig) = Rig::start().await else { return };
    let controller = rig.installed.controller(1);
    let proxy = rig.installed.proxy(1).await;
    let _pods = [rig.pod(1).await, rig.pod(2).await];
    rig.apply(&[&app("app"), &slice("app", &[1]), &app("other"), &slice("other", &[1])]).await;
    serve(&[&proxy], "app.example", "pod-1").await;
    rig.status("app", "Available", |status| has(status, "Available=True(Available)")).await;
    let load = Load::start(&[&proxy], "app.example");
    rig.apply(&[&group("app", "  - {name: own, address: \"127.0.0.1:80\"}")]).await;
    rig.status("app", "a refusal", |status| has(status, "Accepted=False(Invalid)")).await;
    controller.kill();
    rig.apply(&[&slice("other", &[2])]).await;
    let _controller = rig.installed.controller(1);
    serve(&[&proxy], "other.example", "pod-2").await;
    serve(&[&proxy], "app.example", "pod-1").await;
    let status = rig.status("app", "that it is not known", |status| has(status, "Available=Unknown(Pending)")).await;
    let status = status.status.unwrap();
    assert!(has(&status, "Programmed=False(Stale)"), "{:?}", conditions(&status));
    let accepted = &status.conditions[0].message;
    assert!(accepted.ends_with("the version that data planes have from before keeps serving"), "{accepted}");
    let events = rig.run("get events.events.k8s.io -n shop -o jsonpath={.items[*].reason}").await;
    assert!(!events.contains("GroupDown"), "{events}");
    println!("refused before a start: {} requests, none failed", load.end().await);
}

async fn leads(controller: &Forebay, is_so: bool) {
    let series = format!("forebay_controller_leader {}", u8::from(is_so));
    until(&series, async || admin(controller, "/metrics").await.ok()?.body.contains(&series).then_some(())).await;
}

/// The administrator's kubeconfig, with a file in place of the token.
fn with_token_file(cluster: &Cluster, file: &std::path::Path) -> std::path::PathBuf {
    let kubeconfig = cluster.kubeconfig("rotated");
    let text = std::fs::read_to_string(cluster.kubeconfig("admin")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["users"][0]["user"] = serde_json::json!({"tokenFile": file});
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    kubeconfig
}

/// Has etcd forget everything but what there is now.
async fn compact() {
    let read = etcd("range", r#"{"key":"AA==","range_end":"AA==","limit":"1"}"#).await;
    let revision = read.split_once(r#""revision":""#).and_then(|(_, rest)| rest.split('"').next());
    let revision = revision.unwrap_or_else(|| panic!("no revision in {read}"));
    let said = etcd("compaction", &format!(r#"{{"revision":"{revision}","physical":true}}"#)).await;
    assert!(said.contains(" 200 "), "{said}");
}

/// A call of etcd's gateway for those who have no gRPC.
async fn etcd(call: &str, body: &str) -> String {
    let mut stream = TcpStream::connect("127.0.0.1:2379").await.expect("etcd is there");
    let length = body.len();
    let request = format!(
        "POST /v3/kv/{call} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}
