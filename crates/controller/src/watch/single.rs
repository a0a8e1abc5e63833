//! The publishing Service: where data planes are reached, for `status.loadBalancer` of Ingresses. It may be in a namespace
//! that is not watched otherwise, hence a watch of its own; nothing waits for it.

use feed::Backoff;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{IngressLoadBalancerIngress, IngressPortStatus};
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{Step, lasting};
use crate::index::Place;
use crate::trouble::{Teller, Trouble};

/// Follows the Service `namespace/name`. Returns when nobody listens any more.
pub async fn load_balancer(client: Client, namespace: String, name: String, steps: mpsc::Sender<Step>) {
    let api: Api<Service> = Api::namespaced(client, &namespace);
    let mut backoff = Backoff::default();
    let mut teller = Teller::default();
    let mut events = std::pin::pin!(watcher(api, lasting().fields(&format!("metadata.name={name}"))));
    let mut listed = false;
    while let Some(event) = events.next().await {
        match event {
            // That a list begins proves nothing.
            Ok(Event::Init) => listed = false,
            Ok(event) => {
                backoff.reset();
                if teller.well().is_some() {
                    info!("--publish-service {namespace}/{name}: watching it again");
                }
                let addresses = match &event {
                    Event::InitApply(service) | Event::Apply(service) => addresses(service),
                    Event::InitDone if listed => continue,
                    Event::Init | Event::InitDone | Event::Delete(_) => Vec::new(),
                };
                listed |= matches!(event, Event::InitApply(_));
                if steps.send(Step::new(move |index| index.set_load_balancer(Some(addresses)))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let trouble = Trouble::of_watch::<Service>(&error, &Place::Namespace(namespace.as_str().into()));
                if teller.trouble(trouble.reason, Instant::now()) {
                    warn!("--publish-service {namespace}/{name}: {trouble}");
                }
                sleep(backoff.next(rand::random()).as_duration()).await;
            }
        }
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
