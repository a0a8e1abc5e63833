//! Configuration changes under way: what is established stays, what comes next sees the new, a bad change changes nothing.

use serde_json::json;
use testkit::{Mode, Rig};

#[tokio::test]
async fn a_client_connection_outlives_every_change() {
    let mut rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(2).start().await;
    let mut client = rig.client().await;
    for tries in 1..6 {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (200, None));
        rig.reconfigure(json!({"nextUpstream": {"tries": tries}})).await;
    }
}

#[tokio::test]
async fn a_request_in_flight_keeps_what_it_began_with() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(2).start().await;
    rig.upstreams[0].set(Mode::Hold).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    rig.upstreams[0].gate().held_count(1).await;
    rig.keep_servers(&[1]).await;
    assert_eq!(rig.get("/").await.text(), "b");
    rig.upstreams[0].gate().release_all();
    assert_eq!(client.response().await.text(), "a", "its server is gone from the group and still answers it");
}

/// Ledger: `group-replaced`.
#[tokio::test]
async fn a_request_whose_servers_were_all_replaced_goes_on_with_the_new_ones() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(3).start().await;
    rig.keep_servers(&[0, 1]).await;
    rig.upstreams[0].set(Mode::Hold).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    rig.upstreams[0].gate().held_count(1).await;
    rig.keep_servers(&[2]).await;
    rig.upstreams[0].close_connections();
    assert_eq!(client.response().await.text(), "c");
    let tried = rig.access_log(1).await[0].upstream_addr.clone();
    assert_eq!(tried, format!("{}, {}", rig.address(0), rig.address(2)));
}

/// While one of the servers that a request knew is left it goes on as nginx does: each is asked once.
#[tokio::test]
async fn an_edit_meanwhile_has_nobody_asked_twice() {
    let asked = json!({"maxFails": 0});
    let out = json!({"failTimeout": "1h"});
    let mut rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).lines([out, asked.clone(), asked]).start().await;
    rig.upstreams[0].set(Mode::Refuse).await;
    assert_eq!(rig.get("/").await.text(), "b");
    rig.upstreams[1].set(Mode::Refuse).await;
    rig.upstreams[2].set(Mode::Hold).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    rig.upstreams[2].gate().held_count(1).await;
    rig.reconfigure(json!({"timeouts": {"connect": "50s"}})).await;
    rig.upstreams[2].set(Mode::Refuse).await;
    rig.upstreams[2].close_connections();
    assert_eq!(client.response().await.status, 502);
    let tried = rig.access_log(2).await[1].upstream_addr.clone();
    for n in [1, 2] {
        assert_eq!(tried.matches(&rig.address(n)).count(), 1, "{tried}");
    }
}

#[tokio::test]
async fn a_new_server_takes_its_share_at_once() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(2).start().await;
    rig.keep_servers(&[0]).await;
    for _ in 0..3 {
        assert_eq!(rig.get("/").await.text(), "a");
    }
    rig.keep_servers(&[0, 1]).await;
    let mut names: Vec<String> = Vec::new();
    for _ in 0..4 {
        names.push(rig.get("/").await.text());
    }
    names.sort();
    assert_eq!(names, ["a", "a", "b", "b"]);
}

#[tokio::test]
async fn an_edit_does_not_absolve_a_failed_server() {
    let mut rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(2).start().await;
    rig.upstreams[0].set(Mode::Refuse).await;
    assert_eq!(rig.get("/").await.text(), "b");
    rig.upstreams[0].set(Mode::Ok).await;
    rig.reconfigure(json!({"nextUpstream": {"tries": 3}})).await;
    for _ in 0..4 {
        assert_eq!(rig.get("/").await.text(), "b", "ejected for its fail_timeout, whatever is edited meanwhile");
    }
}

#[tokio::test]
async fn a_bad_document_changes_nothing_and_is_reported() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(1).start().await;
    let before = rig.revision().await;
    rig.documents.write_text(
        "bad.yaml",
        "apiVersion: forebay.dev/v1alpha1\nkind: UpstreamGroup\nmetadata: {name: x}\nspec: {servres: []}\n",
    );
    rig.forebay.signal("HUP").await;
    rig.forebay.logged("servres").await;
    assert_eq!(rig.get("/").await.status, 200);
    assert_eq!(rig.revision().await, before);
    let config = rig.forebay.admin_get("/api/v1/config").await.json();
    assert!(config["problems"].to_string().contains("servres"), "{config}");
    std::fs::remove_file(rig.documents.path().join("bad.yaml")).expect("it is there");
    rig.documents.write_text("more.yaml", "apiVersion: forebay.dev/v1alpha1\nkind: UpstreamGroup\nmetadata: {name: more}\nspec: {servers: [{name: a, address: '127.0.0.1:9'}]}\n");
    let mut poll = tokio::time::interval(std::time::Duration::from_millis(10));
    testkit::patiently("the repaired set to be applied", async {
        while rig.revision().await == before {
            poll.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn hangup_reads_the_files_again() {
    let rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(2).start().await;
    rig.forebay.signal("HUP").await;
    for _ in 0..5 {
        assert_eq!(rig.get("/").await.status, 200);
    }
    rig.keep_servers(&[1]).await;
    assert_eq!(rig.get("/").await.text(), "b");
}

#[tokio::test]
async fn a_config_map_swap_is_seen() {
    let dir = tempfile::tempdir().expect("a directory");
    let mount = dir.path().join("mount");
    let upstreams = [testkit::Upstream::start("a").await, testkit::Upstream::start("b").await];
    // As the kubelet lays a volume out: files are links through `..data`, which is swapped by a rename.
    for (n, upstream) in upstreams.iter().enumerate() {
        let version = mount.join(format!("..v{n}"));
        std::fs::create_dir_all(&version).expect("a directory");
        let group = json!({
            "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup", "metadata": {"name": "app"},
            "spec": {"servers": [{"name": "app", "address": upstream.address().to_string()}]},
        });
        std::fs::write(version.join("group.yaml"), group.to_string()).expect("a file");
    }
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, mount.join(name)).expect("a link");
    link("..v0", "..data");
    link("..data/group.yaml", "group.yaml");
    let forebay = testkit::Forebay::run(env!("CARGO_BIN_EXE_forebay"), &mount).bind("default/app").start().await;
    assert_eq!(testkit::Client::get(forebay.http(0), "/").await.text(), "a");
    link("..v1", "..data_tmp");
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("the swap");
    let mut poll = tokio::time::interval(std::time::Duration::from_millis(10));
    testkit::patiently("the swapped configuration", async {
        while testkit::Client::get(forebay.http(0), "/").await.text() != "b" {
            poll.tick().await;
        }
    })
    .await;
}
