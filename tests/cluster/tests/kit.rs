//! What the kit promises: parts die and come back with what they knew, and nothing is left of a cluster.

use cluster::{Cluster, Part, Tools, required, until};

#[tokio::test]
async fn the_api_server_and_etcd_are_killed_and_come_back() {
    let Some(tools) = required(Tools::find()) else { return };
    let cluster = Cluster::light(tools).await.expect("an API server starts");
    let kubectl = cluster.kubectl();
    kubectl.run(&["create", "configmap", "kept", "--from-literal=a=b"]);
    for part in [Part::ApiServer, Part::Etcd] {
        cluster.kill(part);
        assert!(!kubectl.call(["get", "configmap", "kept", "--request-timeout=2s"], "").success);
        cluster.start(part).unwrap();
        until("what was stored", async || {
            kubectl.call(["get", "configmap", "kept", "--request-timeout=2s"], "").success.then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_is_left() {
    let Some(tools) = required(Tools::find()) else { return };
    let cluster = Cluster::light(tools).await.expect("an API server starts");
    let (folder, init) = (cluster.namespaces().folder().to_owned(), cluster.namespaces().init());
    assert!(folder.exists() && std::fs::exists(format!("/proc/{init}")).unwrap());
    drop(cluster);
    assert!(!folder.exists() && !std::fs::exists(format!("/proc/{init}")).unwrap());
}

#[tokio::test]
async fn two_clusters_know_nothing_of_each_other() {
    let Some(tools) = required(Tools::find()) else { return };
    let one = Cluster::light(tools.clone()).await.expect("an API server starts");
    let other = Cluster::light(tools).await.expect("another API server starts");
    one.enter();
    one.kubectl().run(&["create", "namespace", "mine"]);
    other.enter();
    assert!(!other.kubectl().call(["get", "namespace", "mine"], "").success);
}
