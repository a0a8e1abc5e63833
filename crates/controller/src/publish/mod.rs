//! From what changed to what data planes are told and what status is made of.
//!
//! One task owns the index and the translation. It applies what watches saw as it comes and publishes at the pace of
//! [`Pace`]; before every kind is known it publishes nothing, because what it did not see yet would look deleted. Time is a
//! change, too: when a certificate becomes valid or expires, its Ingresses are judged again.

mod pace;
mod readiness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Diagnostic, GroupId, ObjectRef, ResourceKey, Severity};
use feed::{Change, Publication};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info, warn};
use translate::{Name, Names, Touched, Translator, Unanswered, dns_names, look_again_in};

use crate::clock::Clock;
use crate::facts::{Facts, GroupFacts, IngressFacts, PublishedGroup, ServiceFacts};
use crate::hub::Hub;
use crate::index::{Index, News};
use crate::metrics::Metrics;
use crate::names::Resolver;
use crate::watch::{Asks, Step};

pub use pace::{GATHER, Pace, SPACING};
pub use readiness::Readiness;

/// A group that reads well and still cannot be put in force.
const NOT_IN_FORCE: &str = "FB3900";
/// Steps applied before the clock is looked at again.
const AT_ONCE: usize = 256;

/// What a publisher works with.
pub struct Parts {
    /// What is known; it says which lists are waited for.
    pub index: Index,
    /// The translation, of nothing yet.
    pub translator: Translator,
    /// Where data planes look.
    pub hub: Arc<Hub>,
    /// Where status looks.
    pub facts: Arc<Facts>,
    /// What operators look at.
    pub metrics: Metrics,
    /// Asks for the content of what is named.
    pub asks: Asks,
}

/// Publishes a cluster.
pub struct Publisher {
    parts: Parts,
    unpublishable: BTreeMap<ResourceKey, Diagnostic>,
    /// What is newly known of DNS names.
    names: Option<Names>,
    readiness: watch::Sender<Readiness>,
}

impl Publisher {
    /// Of what `parts` hold; the receiver says how far the cluster is known.
    pub fn new(mut parts: Parts) -> (Self, watch::Receiver<Readiness>) {
        // It follows names, so it can wait for their answers.
        parts.translator.options.unanswered = Unanswered::Wait;
        let (readiness, receiver) = watch::channel(Readiness::Lists(parts.index.awaited().clone()));
        (Self { parts, unpublishable: BTreeMap::new(), names: None, readiness }, receiver)
    }

    /// Applies steps and publishes until no watch is left.
    pub async fn run(mut self, mut steps: mpsc::Receiver<Step>, mut resolver: Resolver, clock: Clock) {
        let (mut pace, mut batch) = (Pace::default(), Vec::new());
        // When the first of the changes that are not published was noticed.
        let mut noticed = None;
        loop {
            let due = pace.due().map(|due| clock.instant(due));
            let rest = self.parts.translator.until().map(|until| look_again_in(until, clock.wall()));
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if !self.is_published() {
                        // Nothing is held that will be known in a moment: a data plane that has nothing wants it now.
                        let groups = self.parts.index.objects().upstream_groups.values();
                        resolver.want(dns_names(groups.map(|group| &group.object)));
                        resolver.settled().await;
                        self.names = Some(resolver.known());
                    }
                    let began = clock.now();
                    let told = self.publish(clock.wall()) > 0;
                    resolver.want(self.parts.translator.names());
                    pace.published(began, clock.now(), told);
                    if let Some(noticed) = noticed.take().filter(|_| told) {
                        self.parts.metrics.published(Instant::elapsed(&noticed).as_secs_f64());
                    }
                }
                count = steps.recv_many(&mut batch, AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    let first = batch.iter().map(Step::noticed).min();
                    batch.drain(..).for_each(|step| step.apply(&mut self.parts.index));
                    if !self.is_published() {
                        self.ask();
                    }
                    self.tell_readiness();
                    if self.is_due(clock.wall()) {
                        noticed = noticed.or(first);
                        pace.changed(clock.now());
                    }
                }
                () = resolver.differs_from(&self.parts.translator.options.names), if self.names.is_none() => {
                    self.names = Some(resolver.known());
                    if self.is_due(clock.wall()) {
                        pace.changed(clock.now());
                    }
                }
                () = sleep(rest.unwrap_or_default()), if rest.is_some() => {
                    if self.is_due(clock.wall()) {
                        pace.changed(clock.now());
                    }
                }
            }
        }
    }

    /// What is known.
    pub fn index(&mut self) -> &mut Index {
        &mut self.parts.index
    }

    /// Asks for the content of what is named, once that is known, and lets go of what is named no more.
    fn ask(&mut self) {
        let Parts { index, translator, asks, .. } = &mut self.parts;
        if index.knows_references() && index.is_unsettled() {
            index.settle(&translator.references());
            asks.tell(index.wishes());
        }
    }

    fn is_published(&self) -> bool {
        self.readiness.borrow().is_published()
    }

    /// Says what is still waited for before the first publication.
    fn tell_readiness(&self) {
        let index = &self.parts.index;
        self.readiness.send_if_modified(|readiness| {
            let next = match readiness {
                Readiness::Published => return false,
                Readiness::Lists(_) | Readiness::Contents | Readiness::Names => {
                    match (index.awaited().is_empty(), index.objects().fetching.is_empty()) {
                        (false, _) => Readiness::Lists(index.awaited().clone()),
                        (true, false) => Readiness::Contents,
                        (true, true) => Readiness::Names,
                    }
                }
            };
            let differs = *readiness != next;
            *readiness = next;
            differs
        });
    }

    /// Whether there is something to publish and it may be published. To publish first without certificates that are on their
    /// way would take them from data planes that have them; later, those who name them wait.
    fn is_due(&self, now: Timestamp) -> bool {
        let Parts { index, translator, .. } = &self.parts;
        let is_news = || index.has_news() || self.names.is_some() || translator.is_outdated(now);
        let is_first = || index.objects().fetching.is_empty();
        index.awaited().is_empty() && if self.is_published() { is_news() } else { is_first() }
    }

    /// Publishes what changed, if every kind is known, and says how many resources that were. `now` is for the validity of
    /// certificates.
    pub fn publish(&mut self, now: Timestamp) -> usize {
        let start = std::time::Instant::now();
        self.ask();
        if !self.is_due(now) {
            return 0;
        }
        let Parts { index, translator, hub, facts, metrics, asks } = &mut self.parts;
        let news = index.take_news();
        let mut touched = translator.advance(now, index.objects());
        touched.extend(translator.update(index.objects(), &news.translate));
        if let Some(names) = self.names.take() {
            touched.extend(translator.resolve(names, index.objects()));
        }
        if touched.references {
            index.settle(&translator.references());
            asks.tell(index.wishes());
        }
        let groups = touched.groups.iter().map(|id| ResourceKey::Group(id.clone()));
        let keys: BTreeSet<_> = touched.resources.iter().cloned().chain(groups).collect();
        let changes = keys.into_iter().map(|key| match translator.resource(&key) {
            Some(resource) => Change::Put(resource),
            None if translator.is_unknown(&key) => Change::Hold(key),
            None => Change::Delete(key),
        });
        let Publication { changed, refused } = hub.publish(changes.collect::<Vec<_>>());
        self.unpublishable.retain(|key, _| !touched.resources.contains(key));
        for refusal in refused {
            error!("{refusal}; the last version that could be sent stays in force");
            let key = match &refusal {
                feed::Unpublishable::TooLarge { key, .. } | feed::Unpublishable::TooMany { key, .. } => key.clone(),
            };
            let diagnostic = Diagnostic::new(NOT_IN_FORCE, Severity::Error, refusal.to_string());
            self.unpublishable.insert(key, diagnostic);
        }
        let found = Found { index, translator, hub, unpublishable: &self.unpublishable };
        found.write(facts, &news, &touched);
        metrics.known(index.objects(), index.unread().len());
        let resources = hub.read(|published| published.resources().count());
        metrics.reconciled(start.elapsed().as_secs_f64(), changed, resources);
        if !self.readiness.send_replace(Readiness::Published).is_published() {
            info!("the cluster is known: {resources} resource(s) published");
        }
        changed
    }
}

/// What was found, for those who write about it.
struct Found<'p> {
    index: &'p Index,
    translator: &'p Translator,
    hub: &'p Hub,
    unpublishable: &'p BTreeMap<ResourceKey, Diagnostic>,
}

impl Found<'_> {
    /// Writes the facts of everything that was touched, and marks what came out different.
    fn write(&self, facts: &Facts, news: &News, touched: &Touched) {
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
                for said in facts.iter().flat_map(|facts| &facts.diagnostics) {
                    let known = board.groups.get(id).is_some_and(|known| known.diagnostics.contains(said));
                    say(said, known);
                }
                let is_object = facts.is_some() || board.groups.contains_key(id);
                match facts {
                    Some(facts) => drop(board.groups.insert(id.clone(), Arc::new(facts))),
                    None => drop(board.groups.remove(id)),
                }
                if is_object {
                    board.dirty.groups.insert(id.clone());
                }
            }
            for (name, facts) in ingresses {
                for said in facts.iter().flat_map(|facts| &facts.diagnostics) {
                    let known = board.ingresses.get(name).is_some_and(|known| known.diagnostics.contains(said));
                    say(said, known);
                }
                let is_object = facts.is_some() || board.ingresses.contains_key(name);
                match facts {
                    Some(facts) => drop(board.ingresses.insert(name.clone(), Arc::new(facts))),
                    None => drop(board.ingresses.remove(name)),
                }
                if is_object {
                    board.dirty.ingresses.insert(name.clone());
                }
            }
            for (name, facts) in services {
                let last = board.services.remove(name);
                for said in facts.iter().flat_map(|facts| &facts.diagnostics) {
                    say(said, last.as_ref().is_some_and(|last| last.diagnostics.contains(said)));
                }
                if last.as_deref() != facts.as_ref() {
                    board.dirty.services.insert(name.clone());
                }
                board.services.extend(facts.map(|facts| (name.clone(), Arc::new(facts))));
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
        let reference = ObjectRef { kind: api::KIND.into(), namespace: id.namespace().into(), name: id.name().into() };
        let object = self.index.objects().upstream_groups.find(id.namespace(), id.name());
        let unread = self.index.unread().get(&reference);
        let (uid, generation) = match (unread, object) {
            (Some(unread), _) => (unread.uid.clone(), unread.generation),
            (None, Some(object)) => {
                let meta = &object.metadata;
                (meta.uid.as_deref().unwrap_or_default().into(), meta.generation.unwrap_or_default())
            }
            (None, None) => return None,
        };
        let key = ResourceKey::Group(id.clone());
        let refusal = self.unpublishable.get(&key).map(|said| said.clone().object(reference));
        let said = unread.map(|unread| unread.diagnostic.clone()).into_iter().chain(refusal);
        let published = self.hub.read(|published| {
            let encoded = published.resource(&key)?;
            match encoded.resource() {
                config::Resource::Group(_, group) => {
                    Some(PublishedGroup { group: group.clone(), version: encoded.version() })
                }
                config::Resource::Certificate(..) | config::Resource::Route(_) => None,
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
        let reference = ObjectRef { kind: "Ingress".into(), namespace: name.0.clone(), name: name.1.clone() };
        diagnostics.extend(self.index.unread().get(&reference).map(|unread| unread.diagnostic.clone()));
        let status = object.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.clone());
        let load_balancer: Vec<IngressLoadBalancerIngress> = status.unwrap_or_default();
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

/// Logs what was not known. Notes come and go with endpoints; they are for `check` and for events.
fn say(diagnostic: &Diagnostic, known: bool) {
    if known || diagnostic.severity == Severity::Note {
        return;
    }
    let object = diagnostic.object.as_ref().map(ToString::to_string).unwrap_or_default();
    let field = diagnostic.field.as_deref().unwrap_or("-");
    let (code, message) = (diagnostic.code, &diagnostic.message);
    match diagnostic.severity {
        Severity::Error => error!("{object}: {field}: {message} [{code}]"),
        Severity::Warning | Severity::Note => warn!("{object}: {field}: {message} [{code}]"),
    }
}

#[cfg(test)]
mod tests;
