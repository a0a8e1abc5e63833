//! The order in which objects arrive changes nothing: not the configuration, not its revision, not what is said.

mod common;

use common::NOW;
use proptest::prelude::*;
use translate::{Options, translate};

const DOCUMENTS: &str = "
kind: IngressClass
metadata: {name: one, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}
spec: {controller: forebay.dev/ingress-controller}
---
kind: IngressClass
metadata: {name: two, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}
spec: {controller: forebay.dev/ingress-controller}
---
kind: Service
metadata: {name: app}
spec: {ports: [{name: http, port: 80}]}
---
kind: EndpointSlice
metadata: {name: app-a, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.2], targetRef: {kind: Pod, name: p2, uid: u2}}
- {addresses: [10.0.0.3]}
---
kind: EndpointSlice
metadata: {name: app-b, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.0.0.1], targetRef: {kind: Pod, name: p1, uid: u1}}
- {addresses: [10.0.0.2], targetRef: {kind: Pod, name: p2-next, uid: u2-next}}
- {addresses: [10.0.0.4], conditions: {ready: false, serving: true, terminating: true}}
---
kind: EndpointSlice
metadata: {name: app-c, labels: {kubernetes.io/service-name: app}}
addressType: FQDN
ports: []
endpoints: []
---
kind: UpstreamGroup
metadata: {name: g}
spec:
  servers:
  - {name: app, service: {name: app, port: http}, weight: 9, weightMode: Shared}
  - {name: vm, address: '10.0.1.1:80'}
  sticky: {cookie: {name: route}}
---
kind: UpstreamGroup
metadata: {name: bad}
spec: {servers: [{name: a, address: '10.0.0.1:80'}], protocol: H2}
---
kind: Ingress
metadata: {name: a}
spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}}]}}]}
---
kind: Ingress
metadata: {name: b, creationTimestamp: '2026-01-01T00:00:00Z'}
spec:
  defaultBackend: {resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: g}}
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app, port: {name: http}}}}]}}]
---
kind: Ingress
metadata: {name: c, creationTimestamp: '2026-01-01T00:00:00Z'}
spec:
  defaultBackend: {resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: bad}}
";

fn permutation() -> impl Strategy<Value = Vec<&'static str>> {
    Just(DOCUMENTS.split("\n---\n").collect::<Vec<_>>()).prop_shuffle()
}

proptest! {
    #[test]
    fn order_changes_nothing(documents in permutation()) {
        let reference = translate(&common::objects(DOCUMENTS), &Options::for_files(NOW));
        let shuffled = translate(&common::objects(&documents.join("\n---\n")), &Options::for_files(NOW));
        prop_assert_eq!(reference.config.revision(), shuffled.config.revision());
        prop_assert_eq!(reference.config, shuffled.config);
        prop_assert_eq!(reference.diagnostics, shuffled.diagnostics);
    }
}
