//! Which Ingress path a request belongs to, however the client writes its target.

use serde_json::{Value, json};
use testkit::{Client, Response, Rig};

/// An Ingress of these paths, each of which leads to the group.
fn ingress(paths: &[(&str, &str)]) -> Value {
    let backend = json!({"resource": {"apiGroup": "forebay.dev", "kind": "UpstreamGroup", "name": "app"}});
    let path = |(path, kind): &(&str, &str)| json!({"path": path, "pathType": kind, "backend": backend});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"rules": [{"http": {"paths": paths.iter().map(path).collect::<Vec<_>>()}}]},
    })
}

/// A rig whose second listener is routed by an Ingress of these paths.
async fn routed(paths: &[(&str, &str)]) -> Rig {
    Rig::of(env!("CARGO_BIN_EXE_forebay")).others([ingress(paths)]).args(["--http", "127.0.0.1:0"]).start().await
}

async fn get(rig: &Rig, target: &str) -> Response {
    Client::get(rig.forebay.http(1), target).await
}

/// Who may guard a path with a route of its own: another spelling of it must not come in by another route.
#[tokio::test]
async fn a_path_is_routed_by_what_it_means_and_sent_as_it_is() {
    let rig = routed(&[("/admin", "Prefix"), ("/exact", "Exact")]).await;
    let inside =
        ["/admin", "//admin", "/%61dmin", "/x/../admin", "/./admin/a", "/%2Fadmin", "/x/%2e%2e/exact", "/exact?/.."];
    for (before, target) in inside.into_iter().enumerate() {
        assert_eq!(get(&rig, target).await.status, 200, "{target}");
        assert_eq!(rig.upstreams[0].request(before + 1).await.target(), target);
    }
    for target in ["/admin/../x", "/admin%2f..%2Fx", "/exact/", "/exact%2f", "/%2561dmin", "/.admin"] {
        assert_eq!(get(&rig, target).await.status, 404, "{target}");
    }
    assert_eq!(rig.upstreams[0].requests().len(), inside.len());
}

/// Idle connections are the group's: whichever route opened one, the others use it (ledger `keepalive-shared`).
#[tokio::test]
async fn routes_to_a_group_share_its_connections() {
    let rig = routed(&[("/one", "Prefix"), ("/two", "Prefix")]).await;
    for target in ["/one", "/two"] {
        assert_eq!(get(&rig, target).await.status, 200, "{target}");
    }
    assert_eq!(rig.get("/by-the-listener-of-the-group").await.status, 200);
    let connections: Vec<_> = rig.upstreams[0].requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 1]);
}

#[tokio::test]
async fn a_path_of_an_ingress_may_be_written_with_escapes() {
    let rig = routed(&[("/caf%C3%A9", "Prefix"), ("/a%20b", "Exact")]).await;
    for target in ["/caf%C3%A9", "/caf%c3%a9/x", "/a%20b"] {
        assert_eq!(get(&rig, target).await.status, 200, "{target}");
    }
    assert_eq!(get(&rig, "/caf%25C3%25A9").await.status, 404);
}
