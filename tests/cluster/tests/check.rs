//! `forebay check --cluster` before a real API server, as a user who may list and nothing else: so it writes nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use cluster::{Cluster, Tools, required};
use regex::Regex;
use serde_json::{Value, json};

const CRD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/crd/forebay.dev_upstreamgroups.yaml");

/// What a user needs for all of it, rule by rule.
const RULES: [(&str, &str); 7] = [
    ("forebay.dev", "upstreamgroups"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "ingressclasses"),
    ("", "services"),
    ("discovery.k8s.io", "endpointslices"),
    ("", "secrets"),
    ("", "configmaps"),
];

/// What the program said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// `FOREBAY_BIN`, else what cargo builds.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("FOREBAY_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // With a test, because dependencies have other features where none is built: all of them would be compiled again.
    let arguments = ["build", "--quiet", "--workspace", "--bin", "forebay", "--test", "kit", "--message-format=json"];
    let built = Command::new(env!("CARGO")).args(arguments).output().expect("cargo starts");
    assert!(built.status.success(), "forebay does not build: {}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8_lossy(&built.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "forebay" && message["target"]["kind"][0] == "bin";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executables.next_back().expect("cargo says where it put forebay")
}

/// A cluster with the CRD, a namespace `shop` and a class that is ours.
async fn cluster() -> Option<Cluster> {
    let tools = required(Tools::find())?;
    binary();
    let cluster = Cluster::light(tools).await.expect("an API server starts");
    cluster.enter();
    cluster.kubectl().run(&["apply", "--server-side", "-f", CRD]);
    cluster.kubectl().run(&["wait", "--for=condition=Established", "crd/upstreamgroups.forebay.dev", "--timeout=60s"]);
    cluster.kubectl().run(&["create", "namespace", "shop"]);
    cluster.kubectl().apply(
        &json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "forebay"},
            "spec": {"controller": "forebay.dev/ingress-controller"},
        })
        .to_string(),
    );
    Some(cluster)
}

/// The kubeconfig of a user who may list everything but these, with `shop` as the namespace of the context.
fn reader(cluster: &Cluster, name: &str, but: &[&str]) -> PathBuf {
    let rules: Vec<_> = (RULES.iter().filter(|(_, resource)| !but.contains(resource)))
        .map(|(group, resource)| json!({"apiGroups": [group], "resources": [resource], "verbs": ["list"]}))
        .collect();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
    });
    cluster.kubectl().apply(&role.to_string());
    cluster.kubectl().run(&["create", "serviceaccount", name, "--namespace", "shop"]);
    let (role, account) = (format!("--clusterrole={name}"), format!("--serviceaccount=shop:{name}"));
    cluster.kubectl().run(&["create", "clusterrolebinding", name, &role, &account]);
    let path = cluster.service_account("shop", name).unwrap();
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["contexts"][0]["context"]["namespace"] = "shop".into();
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

fn check(kubeconfig: &Path, arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(binary());
    command.args(["check", "--cluster", "--kubeconfig"]).arg(kubeconfig).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may refuse its arguments before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    // The API server puts objects of its own beside ours.
    let count = Regex::new(r"\b\d+ objects?( of the cluster)?\n$").unwrap();
    let text = |bytes: Vec<u8>| count.replace(&String::from_utf8(bytes).unwrap(), "N objects$1\n").into_owned();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn group(name: &str, servers: &Value) -> Value {
    json!({
        "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup",
        "metadata": {"name": name, "namespace": "shop"}, "spec": {"servers": servers},
    })
}

fn ingress(name: &str, host: &str, path: &str, group: &str, secret: Option<&str>) -> Value {
    let backend = json!({"resource": {"apiGroup": "forebay.dev", "kind": "UpstreamGroup", "name": group}});
    let mut spec = json!({
        "ingressClassName": "forebay",
        "rules": [{"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}],
    });
    if let Some(secret) = secret {
        spec["tls"] = json!([{"hosts": [host], "secretName": secret}]);
    }
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

/// A good group, a route to it, and its certificate; returns the key.
fn shop(cluster: &Cluster) -> String {
    let issued = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    let key = issued.signing_key.serialize_pem();
    for object in [
        group("app", &json!([{"name": "a", "address": "10.0.0.1:80"}])),
        ingress("web", "shop.example", "/", "app", Some("shop-tls")),
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "shop-tls", "namespace": "shop"},
            "stringData": {"tls.crt": issued.cert.pem(), "tls.key": key},
        }),
    ] {
        cluster.kubectl().apply(&object.to_string());
    }
    key
}

#[tokio::test]
async fn every_problem_is_named_and_what_would_be_pushed_is_shown_beside_what_is_in_force() {
    let Some(cluster) = cluster().await else { return };
    let key = shop(&cluster);
    let user = reader(&cluster, "reader", &[]);

    let said = check(&user, &[], "");
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.stdout.starts_with("+ shop/app  ") && said.stdout.ends_with("no problems in N objects\n"), "{said:?}");
    let json = check(&user, &["-o", "json"], "");
    for secret in key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!json.stdout.contains(secret), "a private key is printed");
    }
    let revision = json.json()["cluster"][0]["revision"].as_str().unwrap().to_owned();

    // As the controller writes it.
    let status = |revision: &str| {
        json!({"status": {
            "dataPlanes": {"connected": 1, "programmed": 1, "ready": "1/1", "revision": revision},
            "conditions": [{"type": "Programmed", "status": "True", "reason": "Programmed", "message": "",
                "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }})
        .to_string()
    };
    let patch = |name: &str, status: &str| {
        cluster.kubectl().run(&[
            "patch",
            "ug",
            name,
            "-n",
            "shop",
            "--subresource=status",
            "--type=merge",
            "-p",
            status,
        ]);
    };
    patch("app", &status(&revision));
    let said = check(&user, &[], "");
    assert_eq!(said.stdout, format!("= shop/app  {revision}  Programmed True\nno problems in N objects\n"));
    patch("app", &status("0123456789ab"));
    let said = check(&user, &[], "");
    assert!(said.stdout.starts_with(&format!("~ shop/app  0123456789ab -> {revision}  Programmed True\n")), "{said:?}");

    // What the API server takes, and a controller does not.
    let lost = group("lost", &json!([{"name": "a", "service": {"name": "nowhere", "port": 80}}]));
    let mut bad = group("bad", &json!([{"name": "a", "address": "10.0.0.1:80"}]));
    bad["spec"]["method"] = json!({"type": "Hash", "hash": {"key": "$no_such_variable"}});
    let named = group("named", &json!([{"name": "a", "dns": {"name": "db.example", "port": 80}}]));
    for object in [lost, bad, named] {
        cluster.kubectl().apply(&object.to_string());
    }
    let said = check(&user, &[], "");
    assert_eq!(said.code, Some(1));
    for part in [
        "warning[FB4001]: UpstreamGroup shop/lost: spec.servers[0].service.name: ",
        "error[FB3101]: UpstreamGroup shop/bad: spec.method.hash.key: unknown variable ",
        "\n! shop/bad  refused, and nothing is in force\n",
        "\n+ shop/lost  ",
        "\n? shop/named  - is in force; DNS names are not looked up here, so it cannot be compared\n",
        "\n1 error, 1 warning in N objects\n",
    ] {
        assert!(said.stdout.contains(part), "{part}\n{}", said.stdout);
    }
    // Another namespace is another matter.
    let said = check(&user, &["-n", "default"], "");
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "no problems in N objects\n"), "{said:?}");
}

#[tokio::test]
async fn files_are_put_over_the_cluster() {
    let Some(cluster) = cluster().await else { return };
    shop(&cluster);
    // Somebody else's trouble.
    let lost = group("lost", &json!([{"name": "a", "service": {"name": "nowhere", "port": 80}}]));
    cluster.kubectl().apply(&lost.to_string());
    let user = reader(&cluster, "reader", &[]);

    // Without a namespace: that of the context.
    let mut app = group(
        "app",
        &json!([{"name": "a", "address": "10.0.0.1:80", "weight": 3}, {"name": "b", "address": "10.0.0.2:80"}]),
    );
    app["metadata"]["namespace"].take();
    app["metadata"].as_object_mut().unwrap().remove("namespace");
    let new = ingress("api", "shop.example", "/api", "app", None);
    let files = format!("{app}\n---\n{new}\n");
    let said = check(&user, &["-"], &files);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    for part in [
        "~ group shop/app  ",
        "\n    ~ server a 10.0.0.1:80: weight 1 -> 3\n    + server b 10.0.0.2:80\n",
        "\n~ host shop.example\n    + /api (Prefix): shop/app by ",
        "\nno problems in 1 file over N objects of the cluster\n",
    ] {
        assert!(said.stdout.contains(part), "{part}\n{}", said.stdout);
    }
    let json = check(&user, &["-o", "json", "-"], &files).json();
    let server = &json["difference"]["groups"][0]["servers"][0];
    assert_eq!((&server["before"]["weight"], &server["after"]["weight"]), (&json!(1), &json!(3)));

    // What is there already changes nothing.
    let app = group("app", &json!([{"name": "a", "address": "10.0.0.1:80"}]));
    let said = check(&user, &["-"], &app.to_string());
    assert_eq!((said.code, said.stdout.lines().next()), (Some(0), Some("nothing would change")), "{said:?}");

    // What is refused leaves what is in force, and what leads there.
    let refused = group("app", &json!([{"name": "a", "address": "127.0.0.1:80"}]));
    let said = check(&user, &["-"], &refused.to_string());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.starts_with("error[FB3104]: UpstreamGroup shop/app: "), "{said:?}");
    assert!(
        said.stdout.ends_with("\nnothing would change\n1 error in 1 file over N objects of the cluster\n"),
        "{said:?}"
    );

    // Somebody was first; and a group that nobody has.
    let late = ingress("late", "shop.example", "/", "app", None);
    let dangling = ingress("dangling", "b.example", "/", "nobody", None);
    let said = check(&user, &["-"], &format!("{late}\n---\n{dangling}\n"));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("Ingress shop/late: ") && said.stdout.contains("Ingress shop/dangling: "), "{said:?}");
    assert!(!said.stdout.contains("shop/lost"), "{said:?}");
}

/// A group that believes the authority in a ConfigMap, which is there.
fn believer(cluster: &Cluster) {
    let authority = rcgen::generate_simple_self_signed(["authority.example".to_owned()]).unwrap().cert.pem();
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": "shop"},
        "data": {"ca.crt": authority},
    });
    let mut secured = group("secured", &json!([{"name": "a", "address": "10.0.0.1:443"}]));
    secured["spec"]["protocol"] = "HTTPS".into();
    secured["spec"]["tls"] =
        json!({"serverName": "a.example", "caCertificateRef": {"kind": "ConfigMap", "name": "ca"}});
    for object in [config_map, secured] {
        cluster.kubectl().apply(&object.to_string());
    }
}

#[tokio::test]
async fn authorities_in_a_config_map_are_looked_at() {
    let Some(cluster) = cluster().await else { return };
    shop(&cluster);
    believer(&cluster);
    let user = reader(&cluster, "reader", &[]);
    let said = check(&user, &[], "");
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.stdout.contains("\n+ shop/secured  "), "{said:?}");
    // Not only that it is there.
    let broken = json!({"data": {"ca.crt": "no certificate"}}).to_string();
    cluster.kubectl().run(&["patch", "configmap", "ca", "-n", "shop", "--type=merge", "-p", &broken]);
    let said = check(&user, &[], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("ConfigMap shop/ca has no certificate in ca.crt"), "{said:?}");

    let user = reader(&cluster, "no-config-maps", &["configmaps"]);
    let said = check(&user, &[], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("warning[FB6005]: cannot list ConfigMap everywhere: forbidden ("), "{said:?}");
    assert!(said.stdout.contains("; groups whose authorities are in one were not looked at\n"), "{said:?}");
    assert!(said.stdout.contains("\n+ shop/app  ") && !said.stdout.contains("shop/secured"), "{said:?}");
    assert!(said.stdout.contains("\n1 warning in N objects\n"), "{said:?}");
}

#[tokio::test]
async fn what_may_not_be_listed_is_said_and_misleads_nobody() {
    let Some(cluster) = cluster().await else { return };
    shop(&cluster);
    let user = reader(&cluster, "no-secrets", &["secrets"]);
    let said = check(&user, &[], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("warning[FB6005]: cannot list Secret everywhere: forbidden ("), "{said:?}");
    assert!(said.stdout.contains("; certificates, and groups that name one, were not looked at\n"), "{said:?}");
    assert!(said.stdout.contains("\n+ shop/app  ") && said.stdout.contains("\n1 warning in N objects\n"), "{said:?}");

    let user = reader(&cluster, "no-classes", &["ingressclasses"]);
    let said = check(&user, &[], "");
    assert!(said.stdout.contains("so routes were not looked at\n  = hint: or name the class"), "{said:?}");
    let said = check(&user, &["--ingress-class", "forebay"], "");
    assert_eq!(said.code, Some(0), "{said:?}");

    let user = reader(&cluster, "no-services", &["services"]);
    let said = check(&user, &[], "");
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{said:?}");
    let rule = "it takes a ClusterRole with the rule apiGroups: [\"\"], resources: [services], verbs: [list]\n";
    assert!(said.stderr.starts_with("forebay check: cannot list Service everywhere: forbidden ("), "{said:?}");
    assert!(said.stderr.ends_with(rule), "{said:?}");

    // A cluster without the kind.
    cluster.kubectl().run(&["delete", "crd", "upstreamgroups.forebay.dev"]);
    let user = reader(&cluster, "everything", &[]);
    let said = check(&user, &["-n", "default"], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("kubectl apply --server-side -f manifests/crd/"), "{said:?}");
}
