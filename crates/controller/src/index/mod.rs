//! What is known of the cluster: objects as translation needs them, and what changed about them since somebody asked.
//!
//! Nothing here waits. Watches tell of objects ([`Index::take`]) and the index holds, per kind and place, the last complete
//! list: a new list is put in force when it ends, at once, and one that breaks off never was. An object that cannot be read
//! leaves its last readable version where it is, is counted as refused, and hurts nothing else.

mod kept;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Diagnostic, GroupId, ObjectRef, Severity};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use translate::kind::{Kind, name, namespace};
use translate::{ByName, Changed, Located, Name, Objects, Store};

use shelf::Shelves;

pub use kept::Kept;
pub use shelf::Place;

/// The code of an object of the cluster that cannot be read.
const UNREADABLE: &str = "FB2013";

/// The cluster as it is known.
#[derive(Debug, Default)]
pub struct Index {
    objects: Objects,
    shelves: Shelves,
    /// Where a first complete list is still waited for.
    awaited: BTreeSet<(&'static str, Place)>,
    /// Everything that was ever waited for, and not gone on without.
    lists: BTreeSet<(&'static str, Place)>,
    unread: BTreeMap<ObjectRef, Unread>,
    load_balancer: Option<Vec<IngressLoadBalancerIngress>>,
    /// The Secrets that Ingresses name, as of the last [`Self::settle`].
    wanted: ByName<()>,
    /// Secrets whose content was thrown away because nothing named them.
    emptied: BTreeSet<Name>,
    ingresses_changed: bool,
    news: News,
}

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What translation reads.
    pub translate: Changed,
    /// `UpstreamGroup`s that are to be looked at, although perhaps nothing that is translated changed: their status did.
    pub groups: BTreeSet<GroupId>,
    /// Ingresses likewise.
    pub ingresses: BTreeSet<Name>,
    /// Where data planes are reached is another place.
    pub load_balancer: bool,
}

/// An object whose newest version cannot be read.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Its UID.
    pub uid: Arc<str>,
    /// Its generation.
    pub generation: i64,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}

/// An object as the API server told of it.
pub type Told<K> = DeserializeGuard<K>;

impl Index {
    /// An empty index that waits for a complete list of each of these kinds in each of these places.
    pub fn awaiting(lists: impl IntoIterator<Item = (&'static str, Place)>) -> Self {
        let lists: BTreeSet<_> = lists.into_iter().collect();
        Self { awaited: lists.clone(), lists, ..Self::default() }
    }

    /// Takes what a watch saw.
    pub fn take<K: Kept>(&mut self, place: &Place, event: Event<Told<K>>) {
        match event {
            Event::Init => drop(K::shelf(&mut self.shelves).begin(place)),
            Event::InitApply(told) => {
                let told = self.edge(told);
                K::shelf(&mut self.shelves).listed(place, told);
            }
            Event::InitDone => self.finish::<K>(place),
            Event::Apply(told) => {
                let told = self.edge(told);
                self.apply(told);
            }
            Event::Delete(told) => {
                let meta = K::meta_of(&told);
                self.delete::<K>(namespace(meta), name(meta));
            }
        }
    }

    /// Goes on without a kind that cannot be listed there.
    pub fn excuse(&mut self, kind: &'static str, place: &Place) {
        self.awaited.remove(&(kind, place.clone()));
        self.lists.remove(&(kind, place.clone()));
    }

    /// Waits for Secrets once more.
    pub fn await_secrets(&mut self) {
        self.awaited.extend(self.lists.iter().filter(|(kind, _)| *kind == Secret::KIND).cloned());
    }

    /// What is still waited for.
    pub fn awaited(&self) -> &BTreeSet<(&'static str, Place)> {
        &self.awaited
    }

    /// The objects.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The objects whose newest version cannot be read.
    pub fn unread(&self) -> &BTreeMap<ObjectRef, Unread> {
        &self.unread
    }

    /// Where data planes are reached, as the publishing Service says.
    pub fn load_balancer(&self) -> Option<&Vec<IngressLoadBalancerIngress>> {
        self.load_balancer.as_ref()
    }

    /// Notes where data planes are reached.
    pub fn set_load_balancer(&mut self, addresses: Option<Vec<IngressLoadBalancerIngress>>) {
        if self.load_balancer != addresses {
            self.load_balancer = addresses;
            self.news.load_balancer = true;
        }
    }

    /// Whether there is news.
    pub fn has_news(&self) -> bool {
        self.ingresses_changed || self.news != News::default()
    }

    /// What changed since the last call.
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Throws away the content of Secrets that no Ingress names any more. Whether Secrets must be listed anew, because an
    /// Ingress names one whose content was thrown away.
    pub fn settle(&mut self) -> Settled {
        if !std::mem::take(&mut self.ingresses_changed) {
            return Settled::Complete;
        }
        self.wanted = ByName::default();
        want(&mut self.wanted, &self.objects.ingresses);
        let is_wanted = |name: &Name| self.wanted.find(&name.0, &name.1).is_some();
        let held = self.objects.secrets.iter().filter(|(_, secret)| secret.data.is_some());
        let unwanted: Vec<Name> = held.map(|(name, _)| name).filter(|name| !is_wanted(name)).collect();
        let missed = self.emptied.iter().any(is_wanted);
        for (namespace, name) in unwanted {
            if let Some(secret) = self.objects.secrets.find_mut(&namespace, &name) {
                let mut bare = secret.object.clone();
                bare.data = None;
                *secret = Arc::new(Located::from(bare));
                self.emptied.insert((namespace, name));
            }
        }
        if missed { Settled::SecretsMissing } else { Settled::Complete }
    }

    /// Keeps the content of the Secrets, too, that these Ingresses name: of those that are listed from now on, until
    /// [`Self::settle`] looks anew.
    pub fn want(&mut self, ingresses: &Store<Ingress>) {
        want(&mut self.wanted, ingresses);
    }

    /// What is thrown away before anything is kept.
    fn edge<K: Kept>(&mut self, mut told: Told<K>) -> Told<K> {
        if let Ok(object) = &mut told.0 {
            object.trim();
            if K::is_private() && self.wanted.find(namespace(object.metadata()), name(object.metadata())).is_none() {
                object.empty();
            }
        }
        told
    }

    fn apply<K: Kept>(&mut self, told: Told<K>) {
        match told.0 {
            Ok(object) => self.put(object),
            Err(invalid) => {
                let meta = &invalid.metadata;
                let (namespace, name) = (namespace(meta).to_owned(), name(meta).to_owned());
                let uid = meta.uid.as_deref().unwrap_or_default();
                let held = K::store(&mut self.objects).find(&namespace, &name);
                if held.is_some_and(|held| held.metadata().uid.as_deref() != Some(uid)) {
                    self.delete::<K>(&namespace, &name);
                }
                let object = reference::<K>(&namespace, &name);
                let message = format!("the object cannot be read: {}", invalid.error);
                let diagnostic = Diagnostic::new(UNREADABLE, Severity::Error, message)
                    .object(object.clone())
                    .hint("its last readable version stays in force; kubectl explain shows what its kind allows");
                if self.unread.get(&object).is_none_or(|known| known.diagnostic != diagnostic) {
                    tracing::error!("{object}: {}", diagnostic.message);
                }
                let generation = meta.generation.unwrap_or_default();
                self.unread.insert(object.clone(), Unread { uid: uid.into(), generation, diagnostic });
                self.objects.refused.insert(object);
                self.note::<K>(&namespace, &name);
            }
        }
    }

    fn put<K: Kept>(&mut self, object: K) {
        let (namespace, name) = (namespace(object.metadata()).to_owned(), name(object.metadata()).to_owned());
        if K::is_private() {
            let key: Name = (namespace.as_str().into(), name.as_str().into());
            if object.is_empty() {
                self.emptied.insert(key)
            } else {
                self.emptied.remove(&key)
            };
        }
        let reference = reference::<K>(&namespace, &name);
        let was_refused = self.unread.remove(&reference).is_some() && self.objects.refused.remove(&reference);
        let object = Arc::new(Located::from(object));
        let last = K::store(&mut self.objects).insert(&namespace, &name, object.clone());
        match last {
            Some(last) if !was_refused && !last.differs(&object) => {
                if last.status_differs(&object) {
                    K::glance(&mut self.news, &namespace, &name);
                }
            }
            Some(_) | None => self.note::<K>(&namespace, &name),
        }
    }

    fn delete<K: Kept>(&mut self, namespace: &str, name: &str) {
        let reference = reference::<K>(namespace, name);
        let was_refused = self.unread.remove(&reference).is_some() && self.objects.refused.remove(&reference);
        let was_there = K::store(&mut self.objects).remove(namespace, name).is_some();
        self.emptied.remove(&(namespace.into(), name.into()));
        if was_there || was_refused {
            self.note::<K>(namespace, name);
        }
    }

    fn finish<K: Kept>(&mut self, place: &Place) {
        let listed = K::shelf(&mut self.shelves).finish(place);
        let here: BTreeSet<Name> = listed.iter().map(|told| key(K::meta_of(told))).collect();
        let held = K::store(&mut self.objects).iter().map(|(name, _)| name);
        let unread = self.unread.keys().filter(|object| &*object.kind == K::KIND);
        let known = held.chain(unread.map(|object| (object.namespace.clone(), object.name.clone())));
        let gone: Vec<Name> = known.filter(|name| place.holds(&name.0) && !here.contains(name)).collect();
        for (namespace, name) in gone {
            self.delete::<K>(&namespace, &name);
        }
        for told in listed {
            self.apply(told);
        }
        self.awaited.remove(&(K::KIND, place.clone()));
    }

    fn note<K: Kept>(&mut self, namespace: &str, name: &str) {
        if !K::is_private() || self.wanted.find(namespace, name).is_some() {
            K::note(&mut self.news, namespace, name);
        }
        self.ingresses_changed |= K::NAMES_SECRETS;
    }
}

/// Whether all that is named is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Complete,
    /// The content of a Secret was thrown away before an Ingress named it.
    SecretsMissing,
}

fn want(wanted: &mut ByName<()>, ingresses: &Store<Ingress>) {
    for ((namespace, _), ingress) in ingresses.iter() {
        let named = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten());
        for secret in named.filter_map(|tls| tls.secret_name.as_deref()) {
            wanted.insert(&namespace, secret, ());
        }
    }
}

fn reference<K: Kind>(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef { kind: K::KIND.into(), namespace: namespace.into(), name: name.into() }
}

fn key(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Name {
    (namespace(meta).into(), name(meta).into())
}

#[cfg(test)]
mod tests;
