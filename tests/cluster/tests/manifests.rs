//! `manifests/` before a real API server: taken without a warning, and allowing the controller and the data planes what they
//! need and nothing else.

use cluster::{Cluster, Kubectl, Tools, required};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests");

async fn cluster() -> Option<Cluster> {
    let cluster = Cluster::light(required(Tools::find())?).await.expect("an API server starts");
    cluster.enter();
    cluster.kubectl().run(&["apply", "--server-side", "--warnings-as-errors", "-k", MANIFESTS]);
    Some(cluster)
}

#[tokio::test]
async fn they_are_applied_without_a_warning_and_under_restricted_pod_security() {
    let Some(cluster) = cluster().await else { return };
    // The first time the namespace was too new to hold its pods to its labels.
    cluster.kubectl().run(&["apply", "--server-side", "--warnings-as-errors", "-k", MANIFESTS]);
    let again = cluster.kubectl().run(&["diff", "--server-side", "-k", MANIFESTS]);
    assert_eq!(again, "");
    let sidecar = format!("{MANIFESTS}/sidecar");
    cluster.kubectl().run(&["create", "serviceaccount", "default"]);
    cluster.kubectl().run(&["label", "namespace", "default", "pod-security.kubernetes.io/warn=restricted"]);
    cluster.kubectl().run(&["create", "--dry-run=server", "--warnings-as-errors", "-f", &sidecar]);
    // In place of the rest, and so without it.
    cluster.kubectl().run(&["delete", "service", "forebay", "--namespace", "forebay"]);
    let one_pod = format!("{MANIFESTS}/one-pod");
    cluster.kubectl().run(&["apply", "--server-side", "--warnings-as-errors", "-f", &one_pod]);
}

/// So that `tests/rbac.rs`, which takes each rule away in turn, speaks of those, too.
#[tokio::test]
async fn one_pod_may_what_a_controller_may_but_for_the_feed() {
    let Some(cluster) = cluster().await else { return };
    let rules = |file: &str, kind: &str| {
        let path = format!("{MANIFESTS}/{file}");
        let name = if file == "rbac.yaml" { "forebay-controller" } else { "forebay" };
        cluster.kubectl().run(&["apply", "--server-side", "-f", &path]);
        let object = cluster.kubectl().run(&["get", kind, name, "--namespace", "forebay", "-o", "json"]);
        let object: serde_json::Value = serde_json::from_str(&object).unwrap();
        object["rules"].as_array().expect("rules").clone()
    };
    for (kind, of_feed) in [("clusterrole", &["tokenreviews"][..]), ("role", &["secrets", "configmaps"])] {
        let is_of_feed = |rule: &serde_json::Value| of_feed.iter().any(|resource| rule["resources"][0] == *resource);
        let mut controller = rules("rbac.yaml", kind);
        controller.retain(|rule| !is_of_feed(rule));
        assert_eq!(rules("one-pod/rbac.yaml", kind), controller, "{kind}");
    }
}

#[tokio::test]
async fn they_allow_what_is_needed_and_nothing_else() {
    let Some(cluster) = cluster().await else { return };
    let kubeconfig = cluster.service_account("forebay", "forebay-controller").unwrap();
    let controller = Kubectl::new(cluster.kubectl().program(), kubeconfig);
    let may = |verb: &str, what: &str, namespace: &str| {
        controller.call(["auth", "can-i", verb, what, "--namespace", namespace], "").stdout.trim() == "yes"
    };
    for what in [
        "upstreamgroups.forebay.dev",
        "ingresses.networking.k8s.io",
        "ingressclasses.networking.k8s.io",
        "services",
        "endpointslices.discovery.k8s.io",
        "secrets",
        "configmaps",
    ] {
        assert!(may("list", what, "shop") && may("watch", what, "shop"), "{what}");
        for verb in ["get", "create", "update", "delete", "deletecollection"] {
            assert!(!may(verb, what, "shop"), "{verb} {what}");
        }
    }
    for (verb, what) in [
        ("patch", "upstreamgroups.forebay.dev/app --subresource=status"),
        ("patch", "ingresses.networking.k8s.io/web --subresource=status"),
        ("create", "events.events.k8s.io"),
        ("patch", "events.events.k8s.io"),
        ("create", "tokenreviews.authentication.k8s.io"),
    ] {
        let words: Vec<_> = ["auth", "can-i", verb].into_iter().chain(what.split(' ')).chain(["-n", "shop"]).collect();
        assert_eq!(controller.call(words, "").stdout.trim(), "yes", "{verb} {what}");
    }
    for what in
        ["leases.coordination.k8s.io/forebay-controller", "secrets/forebay-controller-ca", "configmaps/forebay-ca"]
    {
        assert!(may("get", what, "forebay") && may("update", what, "forebay"), "{what}");
        assert!(!may("get", what, "shop") && !may("delete", what, "forebay"), "{what}");
        let (kind, _) = what.split_once('/').unwrap();
        assert!(may("create", kind, "forebay") && !may("create", kind, "shop"), "{kind}");
        assert!(!may("get", &format!("{kind}/other"), "forebay"), "{kind}");
    }
    for what in ["pods", "nodes", "namespaces", "deployments.apps"] {
        assert!(!may("list", what, "shop"), "{what}");
    }

    // A data plane may do what anybody may.
    cluster.kubectl().run(&["create", "serviceaccount", "nobody", "--namespace", "forebay"]);
    let all = |account: &str| {
        let kubeconfig = cluster.service_account("forebay", account).unwrap();
        Kubectl::new(cluster.kubectl().program(), kubeconfig).run(&[
            "auth",
            "can-i",
            "--list",
            "--namespace",
            "forebay",
        ])
    };
    assert_eq!(all("forebay-proxy"), all("nobody"));
}

#[tokio::test]
async fn a_token_is_for_its_audience() {
    let Some(cluster) = cluster().await else { return };
    let token = cluster.token("forebay", "forebay-proxy", Some("forebay.dev"));
    let review = |audience: &str| {
        let review = serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        });
        let said = cluster.kubectl().call(["create", "-o", "json", "-f", "-"], &review.to_string()).answer();
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["status"].clone()
    };
    let status = review("forebay.dev");
    assert_eq!(status["user"]["username"], "system:serviceaccount:forebay:forebay-proxy");
    assert_eq!(status["audiences"], serde_json::json!(["forebay.dev"]));
    assert_ne!(review("https://kubernetes.default.svc")["authenticated"], true);
    // Whoever steals it has nothing for the API server.
    let kubeconfig = cluster.kubeconfig("thief");
    std::fs::copy(cluster.kubeconfig("admin"), &kubeconfig).unwrap();
    let text = std::fs::read_to_string(&kubeconfig).unwrap().replace("admin-token", &token);
    std::fs::write(&kubeconfig, text).unwrap();
    let said = cluster.kubectl_as("thief").call(["get", "--raw=/version"], "");
    assert!(said.stderr.contains("Unauthorized"), "{said:?}");
}
