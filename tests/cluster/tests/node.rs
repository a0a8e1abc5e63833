//! The node itself: what the scenarios on it rely on.

use cluster::{Cluster, Tools, required, until};

const APP: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - name: app
        image: forebay.test/pod:1
        imagePullPolicy: Never
        args: [serve, ":8080"]
        readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
        securityContext: {runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: default}
spec: {type: NodePort, selector: {app: app}, ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080}]}
"#;

#[tokio::test]
async fn pods_run_and_answer_outside_of_the_cluster() {
    let Some(tools) = required(Tools::find_node()) else { return };
    let cluster = Cluster::node(tools).await.expect("a node starts");
    let kubectl = cluster.kubectl();
    kubectl.apply(APP);
    kubectl.run(&["rollout", "status", "deployment/app", "--timeout=60s"]);
    kubectl.run(&["rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=60s"]);
    let pods = kubectl.run(&["get", "pods", "-l", "app=app", "-o", "name"]);
    assert_eq!(pods.lines().count(), 2);
    // Every pod takes its turn behind the Service, seen from the other end of the node's link.
    for pod in pods.lines() {
        let name = pod.trim_start_matches("pod/");
        until(&format!("an answer of {name}"), async || get("10.99.0.1:30080").filter(|said| said.contains(name)))
            .await;
    }
    let slices = kubectl.run(&["get", "endpointslices", "-l", "kubernetes.io/service-name=app", "-o", "name"]);
    assert_eq!(slices.lines().count(), 1, "{slices}");
}

fn get(address: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    write!(stream, "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
