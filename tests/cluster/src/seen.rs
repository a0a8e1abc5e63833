//! What the API server shows, as tests wait for it.

use std::cell::RefCell;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::{Cluster, NAMESPACE, until};

/// The API server, looked at by an administrator.
#[derive(Clone)]
pub struct Seen(Client);

impl Seen {
    /// For the runtime and the network of the calling thread.
    ///
    /// # Panics
    /// When the kubeconfig is unusable.
    pub async fn of(cluster: &Cluster) -> Self {
        Self(cluster.client().await.expect("a client"))
    }

    /// The objects of one kind in a namespace.
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.0.clone(), namespace)
    }

    /// Waits until an object fits, and returns it. It is asked for at an API server that may be away.
    pub async fn shows<K>(&self, namespace: &str, name: &str, what: &str, fits: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = self.api(namespace);
        let seen = RefCell::new(None);
        let waiting = until(what, async || {
            let object = api.get(name).await.ok();
            let fit = object.clone().filter(|object| fits(object));
            seen.replace(object);
            fit
        });
        let guard = Instead(what, &seen);
        let found = waiting.await;
        drop(guard);
        found
    }

    /// Waits for an event about the object `name`.
    pub async fn event(&self, namespace: &str, reason: &str, name: &str) -> String {
        let events: Api<Event> = self.api(namespace);
        until(&format!("an event {reason} of {name}"), async || {
            let events = events.list(&kube::api::ListParams::default()).await.ok()?;
            let is_it = |event: &&Event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref()) == Some(name)
            };
            events.iter().find(is_it).and_then(|event| event.note.clone())
        })
        .await
    }

    /// Waits until a controller leads other than `former`; its identity.
    ///
    /// # Panics
    /// When none does.
    pub async fn leader(&self, former: Option<&str>) -> String {
        let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        let is_new = |lease: &Lease| holder(lease).is_some_and(|holder| !holder.is_empty() && Some(&*holder) != former);
        let lease = self.shows(NAMESPACE, "forebay-controller", "a leader", is_new).await;
        holder(&lease).expect("it was just there")
    }
}

/// Says what was seen last of what a test waited for in vain.
struct Instead<'s, T: Debug>(&'s str, &'s RefCell<Option<T>>);

impl<T: Debug> Drop for Instead<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- instead of {} ----\n{:?}", self.0, self.1.borrow());
        }
    }
}
