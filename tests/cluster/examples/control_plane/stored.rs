//! What is stored, and changed: the endpoints of small groups, of a large Service, Ingresses.

use std::time::Instant;

use api::UpstreamGroup;
use config::{Address, GroupId};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::Size;
use crate::objects::{self, Endpoints};
use crate::plane::Wanted;
use crate::scene::Scene;

/// Requests to the API server at once.
const AT_ONCE: usize = 16;

impl Scene {
    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone().expect("a client"), namespace)
    }

    pub(crate) async fn store<K>(&self, namespace: &str, objects: impl IntoIterator<Item = Value>)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let mut running = JoinSet::new();
        for object in objects {
            if running.len() >= AT_ONCE {
                running.join_next().await;
            }
            let api = self.api::<K>(namespace);
            let object: K = serde_json::from_value(object).expect("an object of this kind");
            running.spawn(async move { api.create(&PostParams::default(), &object).await.expect("it is stored") });
        }
        while running.join_next().await.is_some() {}
    }

    pub async fn store_groups(&mut self) {
        self.client = Some(self.installed.cluster.client().await.expect("a client"));
        let Size { groups, endpoints, .. } = self.size;
        for n in 0..groups {
            self.small.push(Endpoints::new(format!("app-{n}"), 1, endpoints, &mut self.addresses));
        }
        let names: Vec<_> = (0..groups).map(|n| format!("app-{n}")).collect();
        self.store::<Service>(objects::NAMESPACE, names.iter().map(|name| objects::service(name))).await;
        self.store::<EndpointSlice>(objects::NAMESPACE, self.small.iter().flat_map(Endpoints::slices)).await;
        self.store::<UpstreamGroup>(objects::NAMESPACE, names.iter().map(|name| objects::group(name))).await;
    }

    /// A pod of the nth group is replaced; resolves when it is stored.
    pub fn replace(&mut self, n: usize) -> impl Future<Output = Instant> + Send + use<> {
        let n = n % self.small.len();
        let (slice, patch, _) = self.small[n].replace(0, &mut self.addresses);
        patched(self.api(objects::NAMESPACE), slice, patch)
    }

    /// The same, waited for.
    pub async fn replace_and_want(&mut self, n: usize) -> (Instant, u64) {
        let n = n % self.small.len();
        let (slice, patch, address) = self.small[n].replace(0, &mut self.addresses);
        let id = GroupId::new(objects::NAMESPACE, &format!("app-{n}"));
        let (_, number) = self.want(Wanted::Server(id, server(&address)));
        (patched(self.api(objects::NAMESPACE), slice, patch).await, number)
    }

    pub async fn store_large(&mut self, slices: usize) -> (Instant, u64) {
        let large = Endpoints::new("large".to_owned(), slices, 100, &mut self.addresses);
        let id = GroupId::new(objects::NAMESPACE, "large");
        let (_, number) = self.want(Wanted::Servers(id, large.count()));
        self.store::<Service>(objects::NAMESPACE, [objects::service("large")]).await;
        self.store::<UpstreamGroup>(objects::NAMESPACE, [objects::group("large")]).await;
        self.store::<EndpointSlice>(objects::NAMESPACE, large.slices()).await;
        self.large = Some(large);
        (Instant::now(), number)
    }

    pub async fn replace_in_large(&mut self) -> (Instant, u64) {
        let large = self.large.as_mut().expect("it was stored");
        let (slice, patch, address) = large.replace(7, &mut self.addresses);
        let id = GroupId::new(objects::NAMESPACE, "large");
        let (_, number) = self.want(Wanted::Server(id, server(&address)));
        (patched(self.api(objects::NAMESPACE), slice, patch).await, number)
    }

    pub async fn store_ingresses(&mut self, count: usize) -> (Instant, u64) {
        let (_, number) = self.want(Wanted::Hosts(count + usize::from(self.live.is_some())));
        let groups = self.small.len();
        let ingress = |n: usize| objects::ingress(&format!("web-{n}"), &format!("app-{}", n % groups));
        self.store::<Ingress>(objects::NAMESPACE, (0..count).map(ingress)).await;
        (Instant::now(), number)
    }

    /// The nth.
    pub async fn store_ingress(&mut self, n: usize) -> (Instant, u64) {
        let (_, number) = self.want(Wanted::Hosts(n + usize::from(self.live.is_some())));
        self.store::<Ingress>(objects::NAMESPACE, [objects::ingress(&format!("web-{n}"), "app-0")]).await;
        (Instant::now(), number)
    }
}

/// When the API server said that it is stored.
pub async fn patched(slices: Api<EndpointSlice>, name: String, patch: Value) -> Instant {
    slices.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("it is stored");
    Instant::now()
}

fn server(address: &str) -> Address {
    format!("{address}:8080").parse().expect("an address")
}
