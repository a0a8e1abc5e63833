//! What is stored: groups of Services, their endpoints, Ingresses that lead to them. All of it in one namespace.

use serde_json::{Value, json};

pub const NAMESPACE: &str = "shop";

/// The endpoints of a Service, in slices, and what the next address is.
#[derive(Debug)]
pub struct Endpoints {
    service: String,
    slices: Vec<Vec<String>>,
}

/// Addresses that nobody had before.
#[derive(Debug, Default)]
pub struct Addresses(u32);

impl Addresses {
    pub fn next(&mut self) -> String {
        self.0 += 1;
        let [_, b, c, d] = (self.0 + 0x0010_0000).to_be_bytes();
        format!("10.{b}.{c}.{d}")
    }
}

impl Endpoints {
    pub fn new(service: String, slices: usize, each: usize, addresses: &mut Addresses) -> Self {
        let slice = |_| (0..each).map(|_| addresses.next()).collect();
        let slices = (0..slices).map(slice).collect();
        Self { service, slices }
    }

    pub fn slices(&self) -> impl Iterator<Item = Value> {
        (0..self.slices.len()).map(|number| self.slice(number))
    }

    pub fn count(&self) -> usize {
        self.slices.iter().map(Vec::len).sum()
    }

    /// Another pod takes the place of one: the name of the slice, the patch, the new address.
    pub fn replace(&mut self, number: usize, addresses: &mut Addresses) -> (String, Value, String) {
        let next = addresses.next();
        let slice = &mut self.slices[number];
        slice.remove(0);
        slice.push(next.clone());
        (self.name(number), json!({"endpoints": endpoints(&self.slices[number])}), next)
    }

    fn name(&self, number: usize) -> String {
        format!("{}-{number}", self.service)
    }

    fn slice(&self, number: usize) -> Value {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": self.name(number), "labels": {"kubernetes.io/service-name": self.service}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": endpoints(&self.slices[number]),
        })
    }
}

/// As the controller of Kubernetes writes them.
fn endpoints(addresses: &[String]) -> Vec<Value> {
    let endpoint = |address: &String| {
        let pod = address.replace('.', "-");
        json!({
            "addresses": [address],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": format!("node-{}", pod.len()),
            "zone": "zone-a",
            "targetRef": {
                "kind": "Pod", "namespace": NAMESPACE, "name": format!("app-7d9c5b8f6d-{pod}"),
                "uid": format!("5f0c3a52-8a4e-4f0e-9d57-{:0>12}", pod.replace('-', "")),
            },
        })
    };
    addresses.iter().map(endpoint).collect()
}

pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

pub fn group(name: &str) -> Value {
    json!({
        "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup", "metadata": {"name": name},
        "spec": {"servers": [{"name": "app", "service": {"name": name, "port": "http"}}]},
    })
}

pub fn ingress(name: &str, group: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
        "spec": {"ingressClassName": "forebay", "rules": [{"host": format!("{name}.example"), "http": {"paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": {"resource": {"apiGroup": "forebay.dev", "kind": "UpstreamGroup", "name": group}},
        }]}}]},
    })
}

/// A pod that nobody runs: what a token is bound to.
pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "serviceAccountName": "forebay-proxy", "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "forebay", "image": "forebay", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        },
    })
}
