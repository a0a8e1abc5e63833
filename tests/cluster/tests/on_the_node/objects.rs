//! Applications of the tests: each a namespace with a Deployment, its Service, a group of it and an Ingress, all of one name.

use std::fmt;

/// An application at `NAME.example`, whose pods answer with their names.
#[derive(Clone, Copy, Debug)]
pub struct App {
    pub name: &'static str,
    pub replicas: u32,
    /// Flags of `pod serve`.
    pub flags: &'static str,
    /// Lines of the group's server.
    pub server: &'static str,
    /// Lines of the group.
    pub group: &'static str,
}

impl App {
    /// One that leaves in order.
    pub const fn new(name: &'static str, replicas: u32) -> Self {
        Self { name, replicas, flags: "", server: "", group: "" }
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, replicas, flags, server, group } = self;
        let arguments: Vec<_> = ["serve"].into_iter().chain(flags.split_whitespace()).chain([":8080"]).collect();
        write!(
            f,
            "
apiVersion: v1
kind: Namespace
metadata: {{name: {name}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 10
      containers:
      - name: app
        image: {image}
        imagePullPolicy: Never
        args: {arguments:?}
        ports: [{{name: http, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /ready, port: http}}, periodSeconds: 1, failureThreshold: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: http}}]
---
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {{name: {name}, namespace: {name}}}
spec:
  servers:
  - {{name: app, service: {{name: {name}, port: http}}{server}}}{group}
---
{ingress}",
            image = cluster::POD_IMAGE,
            ingress =
                ingress(name, name, &format!("resource: {{apiGroup: forebay.dev, kind: UpstreamGroup, name: {name}}}"))
        )
    }
}

/// An Ingress for `NAME.example`.
pub fn ingress(namespace: &str, name: &str, backend: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  ingressClassName: forebay
  rules:
  - host: {name}.example
    http:
      paths: [{{path: /, pathType: Prefix, backend: {{{backend}}}}}]
"
    )
}
