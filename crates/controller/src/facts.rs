//! What the last translation found, object by object: what status, events and metrics are made of. Written where objects are
//! translated, read by whoever writes about them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::UpstreamGroupStatus;
use config::{Diagnostic, GroupId, Revision};
use k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;
use parking_lot::Mutex;
use tokio::sync::Notify;
use translate::Name;

/// One `UpstreamGroup`.
#[derive(Clone, Debug)]
pub struct GroupFacts {
    /// Its UID: an object deleted and made again is another.
    pub uid: Arc<str>,
    /// The generation that was translated.
    pub generation: i64,
    /// What was said against it.
    pub diagnostics: Vec<Diagnostic>,
    /// What is published of it, this generation's or, if that is refused, the last good one.
    pub published: Option<PublishedGroup>,
    /// Its status as the cluster has it.
    pub status: Option<Arc<UpstreamGroupStatus>>,
}

/// A group as data planes are told of it.
#[derive(Clone, Debug)]
pub struct PublishedGroup {
    /// Its content.
    pub group: Arc<config::Group>,
    /// Its version on the feed.
    pub version: Revision,
}

/// One Ingress of ours.
#[derive(Clone, Debug)]
pub struct IngressFacts {
    /// Its UID.
    pub uid: Arc<str>,
    /// What was said against it.
    pub diagnostics: Vec<Diagnostic>,
    /// `status.loadBalancer.ingress` as the cluster has it.
    pub load_balancer: Vec<IngressLoadBalancerIngress>,
}

/// One Service with endpoints that cannot be used as its `EndpointSlice`s state them, if a group or a route refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Its UID.
    pub uid: Arc<str>,
    /// What was said against its slices.
    pub diagnostics: Vec<Diagnostic>,
}

/// Facts of every object, and which of them changed since somebody asked.
#[derive(Debug, Default)]
pub struct Facts {
    board: Mutex<Board>,
    changed: Notify,
}

/// The facts themselves.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// Of groups.
    pub groups: BTreeMap<GroupId, Arc<GroupFacts>>,
    /// Of the Ingresses that are served here.
    pub ingresses: BTreeMap<Name, Arc<IngressFacts>>,
    /// Of Services, as far as something is said.
    pub services: BTreeMap<Name, Arc<ServiceFacts>>,
    /// What was said against `IngressClass`es.
    pub classes: Vec<Diagnostic>,
    /// Where clients reach the data planes, as the publishing Service says; `None` if there is none to ask.
    pub load_balancer: Option<Vec<IngressLoadBalancerIngress>>,
    /// What changed and was not yet taken.
    pub dirty: Dirty,
}

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Groups that changed or are gone.
    pub groups: BTreeSet<GroupId>,
    /// Ingresses that changed or are gone.
    pub ingresses: BTreeSet<Name>,
    /// Services of which something else is said.
    pub services: BTreeSet<Name>,
}

impl Board {
    /// Everything that is said.
    pub fn problems(&self) -> impl Iterator<Item = &Diagnostic> {
        let groups = self.groups.values().flat_map(|facts| &facts.diagnostics);
        let ingresses = self.ingresses.values().flat_map(|facts| &facts.diagnostics);
        let services = self.services.values().flat_map(|facts| &facts.diagnostics);
        groups.chain(ingresses).chain(services).chain(&self.classes)
    }
}

impl Facts {
    /// Changes the facts; `change` also says what is dirty. Wakes who waits in [`Self::changed`].
    pub fn update<R>(&self, change: impl FnOnce(&mut Board) -> R) -> R {
        let result = change(&mut self.board.lock());
        self.changed.notify_one();
        result
    }

    /// Looks at the facts.
    pub fn read<R>(&self, look: impl FnOnce(&Board) -> R) -> R {
        look(&self.board.lock())
    }

    /// Takes what is dirty.
    pub fn take_dirty(&self) -> Dirty {
        std::mem::take(&mut self.board.lock().dirty)
    }

    /// Returns when something changed since the last return. For one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}
