//! What the tests apply, all of it in the namespace `shop`.

/// A Service `app`, the group `app` of it, and an Ingress that leads `HOST.example` there.
pub fn app(name: &str) -> String {
    [service(name), group(name, ""), ingress(name, "")].join("---")
}

pub fn service(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{ports: [{{name: http, port: 80, targetPort: 8080}}]}}
"
    )
}

/// A group of the Service of its name; `more` are lines of its spec.
pub fn group(name: &str, more: &str) -> String {
    format!(
        "
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {{name: {name}, namespace: shop}}
spec:
  servers:
  - {{name: {name}, service: {{name: {name}, port: http}}}}
{more}
"
    )
}

/// An Ingress for `NAME.example`; `more` are lines of its spec.
pub fn ingress(name: &str, more: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: shop}}
spec:
  ingressClassName: forebay
  rules:
  - host: {name}.example
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {{resource: {{apiGroup: forebay.dev, kind: UpstreamGroup, name: {name}}}}}
{more}
"
    )
}

/// The EndpointSlice of a Service: the pods with these numbers, all ready.
pub fn slice(service: &str, pods: &[u8]) -> String {
    let endpoint = |pod: &u8| {
        format!(
            "
- addresses: [{}]
  conditions: {{ready: true}}
  targetRef: {{kind: Pod, namespace: shop, name: pod-{pod}}}",
            pod_address(*pod)
        )
    };
    let endpoints: String = pods.iter().map(endpoint).collect();
    let endpoints = if endpoints.is_empty() { " []".to_owned() } else { endpoints };
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service}, namespace: shop, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080, protocol: TCP}}]
endpoints:{endpoints}
"
    )
}

pub fn pod_address(pod: u8) -> String {
    format!("10.99.3.{pod}")
}
