//! The publishing Service: where data planes are reached, for `status.loadBalancer` of Ingresses. It may be in a namespace
//! that is not watched otherwise, hence a watch of its own; nothing waits for it.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{IngressLoadBalancerIngress, IngressPortStatus};
use kube::Api;
use kube::runtime::watcher::{Event, watcher};

use super::{Relay, Step, Watches, lasting};
use crate::index::Place;

impl Watches {
    /// Follows the Service `namespace/name`. Returns when nobody listens any more.
    pub(super) async fn follow_load_balancer(&self, namespace: &str, name: &str) {
        let api: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let events = watcher(api, lasting().fields(&format!("metadata.name={name}")));
        let mut listed = false;
        let step = |event: Event<Service>| {
            let addresses = match &event {
                Event::Init => {
                    listed = false;
                    return None;
                }
                Event::InitDone if listed => return None,
                Event::InitApply(service) | Event::Apply(service) => addresses(service),
                Event::InitDone | Event::Delete(_) => Vec::new(),
            };
            listed |= matches!(event, Event::InitApply(_));
            Some(Step::new(move |index| index.set_load_balancer(Some(addresses))))
        };
        let relay = Relay::new(self, Place::Namespace(namespace.into()));
        relay.about(&format!("--publish-service {namespace}/{name}")).run::<Service, _>(events, step).await;
    }
}

/// The addresses of a load balancer, and those an operator wrote into the Service.
fn addresses(service: &Service) -> Vec<IngressLoadBalancerIngress> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    let assigned = status.into_iter().flatten().map(|ingress| IngressLoadBalancerIngress {
        hostname: ingress.hostname.clone(),
        ip: ingress.ip.clone(),
        ports: ingress.ports.as_ref().map(|ports| {
            let port = |port: &k8s_openapi::api::core::v1::PortStatus| IngressPortStatus {
                error: port.error.clone(),
                port: port.port,
                protocol: port.protocol.clone(),
            };
            ports.iter().map(port).collect()
        }),
    });
    let external = service.spec.as_ref().and_then(|spec| spec.external_ips.as_ref());
    let external = external
        .into_iter()
        .flatten()
        .map(|ip| IngressLoadBalancerIngress { ip: Some(ip.clone()), ..IngressLoadBalancerIngress::default() });
    assigned.chain(external).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_says_where_it_is_reached() {
        let service: Service = serde_json::from_value(json!({
            "spec": {"externalIPs": ["192.0.2.9"]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example"}]}},
        }))
        .unwrap();
        let said: Vec<_> = addresses(&service).into_iter().map(|at| at.ip.or(at.hostname)).collect();
        assert_eq!(said, ["192.0.2.1", "lb.example", "192.0.2.9"].map(|text| Some(text.to_owned())));
        assert!(addresses(&Service::default()).is_empty());
    }
}
