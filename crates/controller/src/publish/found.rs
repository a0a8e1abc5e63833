//! What translation and publication found, object by object, written where status and events are made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Diagnostic, GroupId, Resource, ResourceKey, Severity};
use k8s_openapi::api::networking::v1::Ingress;
use tracing::{error, warn};
use translate::kind::{reference, reference_of};
use translate::{Name, Touched, Translator};

use crate::facts::{Facts, GroupFacts, IngressFacts, PublishedGroup, ServiceFacts};
use crate::hub::Hub;
use crate::index::{Index, News};

/// What was found, for those who write about it.
pub struct Found<'p> {
    /// The objects.
    pub index: &'p Index,
    /// What they came to.
    pub translator: &'p Translator,
    /// What of it is published.
    pub hub: &'p Hub,
    /// What cannot be, and what is said of it.
    pub unpublishable: &'p BTreeMap<ResourceKey, Diagnostic>,
}

impl Found<'_> {
    /// Writes the facts of everything that was touched, and marks what came out different.
    pub fn write(&self, facts: &Facts, news: &News, touched: &Touched) {
        let published = touched.resources.iter().filter_map(|key| match key {
            ResourceKey::Group(id) => Some(id),
            ResourceKey::Certificate(_) | ResourceKey::Route(_) => None,
        });
        let groups: BTreeSet<&GroupId> = touched.groups.iter().chain(&news.groups).chain(published).collect();
        // What is said of one that waits is said of a version before.
        let groups = groups.into_iter().filter(|id| !self.translator.is_waiting(id));
        let groups: Vec<_> = groups.map(|id| (id, self.group(id))).collect();
        let ingresses: BTreeSet<&Name> = touched.ingresses.iter().chain(&news.ingresses).collect();
        let ingresses: Vec<_> = ingresses.into_iter().map(|name| (name, self.ingress(name))).collect();
        let services: BTreeSet<&Name> = touched.services.iter().chain(&news.translate.services).collect();
        let services: Vec<_> = services.into_iter().map(|name| (name, self.service(name))).collect();
        facts.update(|board| {
            for (id, facts) in groups {
                settle(&mut board.groups, &mut board.dirty.groups, id, facts, is_object);
            }
            for (name, facts) in ingresses {
                settle(&mut board.ingresses, &mut board.dirty.ingresses, name, facts, is_object);
            }
            for (name, facts) in services {
                settle(&mut board.services, &mut board.dirty.services, name, facts, |last, next| last != next);
            }
            if touched.classes {
                let last = std::mem::take(&mut board.classes);
                board.classes = self.translator.said_of_classes().cloned().collect();
                for said in &board.classes {
                    say(said, last.contains(said));
                }
            }
            if news.load_balancer {
                board.load_balancer = self.index.load_balancer().cloned();
                board.dirty.ingresses.extend(board.ingresses.keys().cloned());
            }
        });
    }

    /// `None` if there is no such object.
    fn group(&self, id: &GroupId) -> Option<GroupFacts> {
        let object = self.index.objects().upstream_groups.find(id.namespace(), id.name());
        let unread = self.index.unread().get(&reference_of(id));
        let (uid, generation) = match (unread, object) {
            (Some(unread), _) => (unread.uid.clone(), unread.generation),
            (None, Some(object)) => {
                let meta = &object.metadata;
                (meta.uid.as_deref().unwrap_or_default().into(), meta.generation.unwrap_or_default())
            }
            (None, None) => return None,
        };
        let key = ResourceKey::Group(id.clone());
        let refusal = self.unpublishable.get(&key).cloned();
        let said = unread.map(|unread| unread.diagnostic.clone()).into_iter().chain(refusal);
        let published = self.hub.read(|published| {
            let encoded = published.resource(&key)?;
            match encoded.resource() {
                Resource::Group(_, group) => Some(PublishedGroup { group: group.clone(), version: encoded.version() }),
                Resource::Certificate(..) | Resource::Route(_) => None,
            }
        });
        Some(GroupFacts {
            uid,
            generation,
            diagnostics: said.chain(self.translator.said_of_group(id).iter().cloned()).collect(),
            published,
            status: object.and_then(|object| object.status.clone()).map(Arc::new),
        })
    }

    /// `None` if there is no such object, or it is not ours.
    fn ingress(&self, name: &Name) -> Option<IngressFacts> {
        let mut diagnostics = self.translator.said_of_ingress(name)?;
        let object = self.index.objects().ingresses.find(&name.0, &name.1)?;
        let unread = self.index.unread().get(&reference::<Ingress>(&name.0, &name.1));
        diagnostics.extend(unread.map(|unread| unread.diagnostic.clone()));
        let status = object.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.clone());
        let load_balancer = status.unwrap_or_default();
        let uid = object.metadata.uid.as_deref().unwrap_or_default().into();
        Some(IngressFacts { uid, diagnostics, load_balancer })
    }

    /// `None` if there is nothing to say.
    fn service(&self, name: &Name) -> Option<ServiceFacts> {
        let diagnostics = self.translator.said_of_service(name);
        let object = self.index.objects().services.find(&name.0, &name.1).filter(|_| !diagnostics.is_empty())?;
        Some(ServiceFacts { uid: object.metadata.uid.as_deref().unwrap_or_default().into(), diagnostics })
    }
}

/// Facts with something said.
trait Said {
    fn said(&self) -> &[Diagnostic];
}

impl Said for GroupFacts {
    fn said(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl Said for IngressFacts {
    fn said(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl Said for ServiceFacts {
    fn said(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

/// Puts the facts of one object in place of the last, logs what is newly said, and marks it if it `is_dirty`.
fn settle<K: Ord + Clone, F: Said>(
    map: &mut BTreeMap<K, Arc<F>>,
    dirty: &mut BTreeSet<K>,
    key: &K,
    facts: Option<F>,
    is_dirty: impl FnOnce(Option<&F>, Option<&F>) -> bool,
) {
    let last = map.remove(key);
    for said in facts.iter().flat_map(F::said) {
        say(said, last.as_ref().is_some_and(|last| last.said().contains(said)));
    }
    if is_dirty(last.as_deref(), facts.as_ref()) {
        dirty.insert(key.clone());
    }
    map.extend(facts.map(|facts| (key.clone(), Arc::new(facts))));
}

/// Whoever was touched is looked at again: what is published of it, or its status, may be another.
fn is_object<F>(last: Option<&F>, next: Option<&F>) -> bool {
    last.is_some() || next.is_some()
}

/// Logs what was not known. Notes come and go with endpoints; they are for `check` and for events.
fn say(diagnostic: &Diagnostic, known: bool) {
    if known || diagnostic.severity == Severity::Note {
        return;
    }
    let line = diagnostic.line();
    match diagnostic.severity {
        Severity::Error => error!("{line}"),
        Severity::Warning | Severity::Note => warn!("{line}"),
    }
}
