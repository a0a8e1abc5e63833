//! One guarded watch per kind and place, feeding the index.
//!
//! `kube-runtime` lists, watches, follows bookmarks and lists again when the API server has forgotten where we were (410).
//! Here is what it leaves to its user: when to try again, what to say about it, and what to go on without. Nothing that goes
//! wrong empties anything: the index holds the last complete list until the next one is.

mod asks;
mod fetch;
mod metadata;
mod relay;
mod single;
mod words;

use std::sync::Arc;
use std::time::Duration;

use api::UpstreamGroup;
use futures_util::Stream;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use translate::kind::Kind;

use crate::index::{Index, Kept, Place, Told};
use crate::metrics::Metrics;
use crate::trouble::Reason;

pub use asks::{Asked, Asks, asks};
pub(crate) use fetch::whole;

use relay::Relay;

/// How long a watch is asked for. The API server ends it then, with a bookmark from which it goes on. One that has not ended 5 s
/// later is taken for lost, by `kube-runtime`: an API server whose packets lead nowhere ends nothing.
pub(crate) const LASTS: Duration = Duration::from_secs(30);

/// What is asked of the API server for a watch.
fn lasting() -> Config {
    #[expect(clippy::cast_possible_truncation, reason = "half a minute")]
    Config::default().timeout(LASTS.as_secs() as u32)
}

/// What a watch does to the index, done by whoever owns it.
pub struct Step {
    noticed: Instant,
    work: Box<dyn FnOnce(&mut Index) + Send>,
}

/// Which Secrets are looked at: pairs are of a type of their own, authorities may be in any, and of these types, the most of
/// many clusters, none has either.
pub(crate) const SECRETS: &str =
    "type!=helm.sh/release.v1,type!=kubernetes.io/dockerconfigjson,type!=kubernetes.io/service-account-token";

/// What is watched.
#[derive(Clone, Debug)]
pub struct WatchScope {
    /// The namespaces; none: all of them.
    pub namespaces: Vec<Arc<str>>,
    /// Whether classes of Ingresses must be read to know which Ingresses are ours.
    pub classes: Classes,
}

/// Whether `IngressClass`es are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// They decide which Ingresses are served.
    Needed,
    /// The class was given by name, or only namespaces are watched and reading classes may not be allowed.
    Dispensable,
}

/// The watches of a cluster.
pub struct Watches {
    client: Client,
    scope: WatchScope,
    steps: mpsc::Sender<Step>,
    metrics: Metrics,
    asked: Asked,
}

impl Step {
    /// Something was noticed just now.
    pub fn new(work: impl FnOnce(&mut Index) + Send + 'static) -> Self {
        Self { noticed: Instant::now(), work: Box::new(work) }
    }

    /// When it was noticed.
    pub fn noticed(&self) -> Instant {
        self.noticed
    }

    /// Does it.
    pub fn apply(self, index: &mut Index) {
        (self.work)(index);
    }
}

impl Place {
    /// The objects of a kind with namespaces that are seen from here.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        match self {
            Self::Everywhere => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

impl WatchScope {
    /// The places of kinds with namespaces.
    pub fn places(&self) -> Vec<Place> {
        if self.namespaces.is_empty() {
            vec![Place::Everywhere]
        } else {
            self.namespaces.iter().cloned().map(Place::Namespace).collect()
        }
    }

    /// An index that waits for everything that is watched.
    pub fn index(&self) -> Index {
        let kinds =
            [UpstreamGroup::KIND, Ingress::KIND, Secret::KIND, ConfigMap::KIND, Service::KIND, EndpointSlice::KIND];
        let lists = self.places().into_iter().flat_map(|place| kinds.map(|kind| (kind, place.clone())));
        Index::awaiting(lists.chain([(IngressClass::KIND, Place::Everywhere)]))
    }

    /// Whether to go on without a kind. Services, endpoints and Ingresses are never gone on without: to publish that there are
    /// none would be an outage, and whoever takes a rule from a role by mistake must not cause one.
    fn dispenses(&self, kind: &str, reason: Reason) -> bool {
        match reason {
            Reason::Missing => kind == UpstreamGroup::KIND,
            Reason::Forbidden => {
                let is_private = kind == Secret::KIND || kind == ConfigMap::KIND;
                is_private || (kind == IngressClass::KIND && self.classes == Classes::Dispensable)
            }
            Reason::Unauthorized | Reason::Expired | Reason::Refused | Reason::Broken | Reason::Unreachable => false,
        }
    }
}

impl Watches {
    /// Watches that hand their steps to `steps`.
    pub fn new(client: Client, scope: WatchScope, steps: mpsc::Sender<Step>, metrics: Metrics, asked: Asked) -> Self {
        Self { client, scope, steps, metrics, asked }
    }

    /// Starts them all, and one of the Service `publish_service` (namespace and name); they run until the set is dropped.
    pub fn start(self, publish_service: Option<(String, String)>) -> JoinSet<()> {
        let watches = Arc::new(self);
        let mut tasks = JoinSet::new();
        let everything = lasting();
        for place in watches.scope.places() {
            watches.spawn::<UpstreamGroup>(&mut tasks, &place, &everything);
            watches.spawn::<Ingress>(&mut tasks, &place, &everything);
            watches.spawn::<Service>(&mut tasks, &place, &everything);
            watches.spawn::<EndpointSlice>(&mut tasks, &place, &everything);
            watches.spawn::<Secret>(&mut tasks, &place, &lasting().fields(SECRETS));
            let this = watches.clone();
            tasks.spawn(async move { this.follow_config_maps(place).await });
        }
        tasks.spawn(watches.clone().fetch::<Secret>(watches.asked.secrets.clone()));
        tasks.spawn(watches.clone().fetch::<ConfigMap>(watches.asked.config_maps.clone()));
        if let Some((namespace, name)) = publish_service {
            let this = watches.clone();
            tasks.spawn(async move { this.follow_load_balancer(&namespace, &name).await });
        }
        let classes = Api::all(watches.client.clone());
        let this = watches.clone();
        tasks.spawn(async move { this.follow::<IngressClass>(classes, Place::Everywhere, everything).await });
        tasks
    }

    fn spawn<K>(self: &Arc<Self>, tasks: &mut JoinSet<()>, place: &Place, config: &Config)
    where
        K: Kept + kube::Resource<Scope = NamespaceResourceScope>,
    {
        let api = place.api(&self.client);
        let (this, place, config) = (self.clone(), place.clone(), config.clone());
        tasks.spawn(async move { this.follow::<K>(api, place, config).await });
    }

    /// Follows one kind in one place. Returns when nobody listens any more.
    async fn follow<K: Kept>(&self, api: Api<Told<K>>, place: Place, config: Config) {
        // To list Secrets before it is known which are named would be to throw them all away and to fetch them one by one.
        if K::KIND == Secret::KIND && self.asked.secrets.clone().wait_for(Option::is_some).await.is_err() {
            return;
        }
        self.relay::<K>(place, watcher(api, config)).await;
    }

    async fn follow_config_maps(&self, place: Place) {
        let events = metadata::config_maps(self.client.clone(), &place);
        self.relay::<ConfigMap>(place.clone(), events).await;
    }

    async fn relay<K: Kept>(&self, place: Place, events: impl Stream<Item = watcher::Result<Event<Told<K>>>>) {
        let step = |event| {
            let place = place.clone();
            Some(Step::new(move |index| index.take(&place, event)))
        };
        Relay::new(self, place.clone()).run::<K, _>(events, step).await;
    }
}

#[cfg(test)]
mod tests;
