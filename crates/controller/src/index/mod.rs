//! What is known of the cluster: objects as translation needs them, and what changed about them since somebody asked.
//!
//! Nothing here waits. Watches tell of objects ([`Index::take`]) and the index holds, per kind and place, the last complete
//! list: a new list is put in force when it ends, at once, and one that breaks off never was. An object that cannot be read
//! leaves its last readable version where it is, is counted as refused, and hurts nothing else.

mod kept;
mod private;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::UpstreamGroup;
use config::{Diagnostic, GroupId, ObjectRef, Severity};
use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use translate::kind::{Kind, name, namespace, reference};
use translate::{ByName, Changed, Located, Name, Objects, References, codes};

use private::Privates;
use shelf::Shelves;

pub use kept::Kept;
pub use private::Wishes;
pub use shelf::Place;

/// The cluster as it is known.
#[derive(Debug, Default)]
pub struct Index {
    objects: Objects,
    shelves: Shelves,
    /// Where a first complete list is still waited for.
    awaited: BTreeSet<(&'static str, Place)>,
    unread: BTreeMap<ObjectRef, Unread>,
    load_balancer: Option<Vec<IngressLoadBalancerIngress>>,
    /// Secrets and `ConfigMap`s: which are named, as of the last [`Self::settle`], and which have no content here.
    privates: Privates,
    /// Whether what is named, or has no content here, is other than at the last [`Self::settle`].
    is_unsettled: bool,
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
        Self { awaited: lists.into_iter().collect(), is_unsettled: true, ..Self::default() }
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
    }

    /// Takes what was fetched for a wish; `None` if there is no such object.
    pub fn fetched<K: Kept>(&mut self, name: &Name, round: u64, told: Option<Told<K>>) {
        if !K::private(&mut self.privates).is_some_and(|private| private.is_lacking(name, round)) {
            return;
        }
        self.has_content::<K>(name);
        match told {
            Some(told) => {
                let told = self.edge(told);
                self.apply(told);
            }
            None => self.delete::<K>(&name.0, &name.1),
        }
    }

    /// Goes on without what is wished for, until it is fetched after all.
    pub fn give_up<K: Kept>(&mut self, name: &Name, round: u64) {
        if K::private(&mut self.privates).is_some_and(|private| private.give_up(name, round)) {
            self.is_unsettled = true;
            self.note::<K>(&name.0, &name.1);
        }
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
        self.is_unsettled || self.news != News::default()
    }

    /// What changed since the last call.
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Whether all that names Secrets and `ConfigMap`s was listed.
    pub fn knows_references(&self) -> bool {
        !self.awaited.iter().any(|(kind, _)| [UpstreamGroup::KIND, Ingress::KIND].contains(kind))
    }

    /// Whether [`Self::settle`] would find anything else than the last time, for all that objects say.
    pub fn is_unsettled(&self) -> bool {
        self.is_unsettled
    }

    /// Throws away the content of Secrets and `ConfigMap`s that nothing names any more: no object, and nothing that is
    /// `in_force`, which may be of versions before those of the objects.
    pub fn settle(&mut self, in_force: &References) {
        self.is_unsettled = false;
        let mut named = References::of(&self.objects);
        named.add(in_force);
        let Privates { secrets, config_maps } = &mut self.privates;
        (secrets.wanted, config_maps.wanted) = (named.secrets, named.config_maps);
        secrets.drop_unwanted(&mut self.objects.secrets);
        config_maps.drop_unwanted(&mut self.objects.config_maps);
        self.objects.fetching = References {
            secrets: secrets.awaited(&self.objects.secrets),
            config_maps: config_maps.awaited(&self.objects.config_maps),
        };
    }

    /// The Secrets, and the `ConfigMap`s, that are to be fetched.
    pub fn wishes(&self) -> [Wishes; 2] {
        [self.privates.secrets.wishes(), self.privates.config_maps.wishes()]
    }

    /// The `ConfigMap`s that are named, as of the last [`Self::settle`].
    pub fn wanted_config_maps(&self) -> &ByName<()> {
        &self.privates.config_maps.wanted
    }

    /// What is thrown away before anything is kept.
    fn edge<K: Kept>(&mut self, mut told: Told<K>) -> Told<K> {
        if let Ok(object) = &mut told.0 {
            object.told();
            if self.is_unwanted::<K>(namespace(object.metadata()), name(object.metadata())) {
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
                let diagnostic = Diagnostic::new(codes::UNREADABLE, Severity::Error, message)
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
        let is_unwanted = self.is_unwanted::<K>(&namespace, &name);
        let key: Name = (namespace.as_str().into(), name.as_str().into());
        if !object.is_empty() {
            self.has_content::<K>(&key);
        } else if let Some(private) = K::private(&mut self.privates) {
            private.lack(key);
            if !is_unwanted {
                self.is_unsettled = true;
                // What is known of it stays until it is fetched.
                let known = K::store(&mut self.objects).find(&namespace, &name);
                if known.is_some_and(|known| !known.is_empty()) {
                    return;
                }
            }
        }
        let reference = reference::<K>(&namespace, &name);
        let was_refused = self.unread.remove(&reference).is_some() && self.objects.refused.remove(&reference);
        let object = Arc::new(Located::from(object));
        let last = K::store(&mut self.objects).insert(&namespace, &name, object.clone());
        self.is_unsettled |= object.named() != last.as_ref().map(|last| last.named()).unwrap_or_default();
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
        let last = K::store(&mut self.objects).remove(namespace, name);
        self.is_unsettled |= last.as_ref().is_some_and(|last| !last.named().is_empty());
        self.has_content::<K>(&(namespace.into(), name.into()));
        if last.is_some() || was_refused {
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
        if !self.is_unwanted::<K>(namespace, name) {
            K::note(&mut self.news, namespace, name);
        }
    }

    /// Whether the content of the object is nobody's business.
    fn is_unwanted<K: Kept>(&mut self, namespace: &str, name: &str) -> bool {
        K::private(&mut self.privates).is_some_and(|private| private.wanted.find(namespace, name).is_none())
    }

    /// Whatever the content is, it lacks no longer.
    fn has_content<K: Kept>(&mut self, name: &Name) {
        self.is_unsettled |= K::private(&mut self.privates).is_some_and(|private| private.lacks_no_longer(name));
    }
}

fn key(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Name {
    (namespace(meta).into(), name(meta).into())
}

#[cfg(test)]
mod tests;
