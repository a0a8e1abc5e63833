//! From what changed to what data planes are told and what status is made of.
//!
//! One task owns the index and the translation. It applies what watches saw as it comes and publishes at the pace of
//! [`Pace`]; before every kind is known it publishes nothing, because what it did not see yet would look deleted. Time is a
//! change, too: when a certificate becomes valid or expires, its Ingresses are judged again.

mod found;
mod pace;
mod readiness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Diagnostic, ResourceKey};
use feed::{Change, Publication, Unpublishable};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info};
use translate::{Names, Objects, Translator, Unanswered, dns_names, look_again_in, not_in_force};

use crate::clock::Clock;
use crate::facts::Facts;
use crate::hub::Hub;
use crate::index::Index;
use crate::metrics::Metrics;
use crate::names::Resolver;
use crate::watch::{Asks, Step};

use found::Found;

pub use pace::{GATHER, Pace, SPACING};
pub use readiness::Readiness;

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
        let known: BTreeMap<_, _> =
            touched.resources.iter().filter_map(|key| self.unpublishable.remove_entry(key)).collect();
        for refusal in refused {
            let (Unpublishable::TooLarge { key, .. } | Unpublishable::TooMany { key, .. }) = &refusal;
            let said = not_in_force(key, &refusal);
            // What is said of objects is logged with all that is.
            if !has_object(key, index.objects()) && known.get(key) != Some(&said) {
                error!("{refusal}; the last version that could be sent stays in force");
            }
            self.unpublishable.insert(key.clone(), said);
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

/// Whether the resource is that of an `UpstreamGroup`, and not made of Services or Ingresses.
fn has_object(key: &ResourceKey, objects: &Objects) -> bool {
    match key {
        ResourceKey::Group(id) => objects.upstream_groups.find(id.namespace(), id.name()).is_some(),
        ResourceKey::Certificate(_) | ResourceKey::Route(_) => false,
    }
}

#[cfg(test)]
mod tests;
