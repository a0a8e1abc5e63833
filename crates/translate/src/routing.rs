//! The routes as they were read last, with what belongs to them alone: the certificates of hosts, the implicit groups of plain
//! Services, what is said of Ingresses and classes. Routes are read all at once, because who holds a host and path depends on
//! every Ingress; implicit groups one by one, because endpoints come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Certificate, CertificateId, Diagnostic, Group, GroupId, HostPattern, HostRoutes, ObjectRef, ResourceKey};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use crate::backends::{Backends, Needs};
use crate::by_name::Name;
use crate::changes::Touched;
use crate::classes::Classes;
use crate::dependents::Dependents;
use crate::document::{Objects, Store};
use crate::ingress::{self, Routed};
use crate::kind::{Kind as _, reference};
use crate::report::{self, Report};
use crate::services::Services;
use crate::slices::Slices;
use crate::tls::Certificates;
use crate::verdict::Verdict;
use crate::{Options, References, references};

/// What routes are read of.
#[derive(Clone, Copy)]
pub struct Given<'t> {
    pub objects: &'t Objects,
    pub options: &'t Options,
    pub slices: &'t Slices,
    pub groups: &'t BTreeMap<GroupId, Verdict>,
    pub dependents: &'t Dependents,
}

/// The routes, kept up to date.
#[derive(Debug, Default)]
pub struct Routing {
    routes: Routes,
    implicit: BTreeMap<GroupId, Arc<Group>>,
    /// What is said of implicit groups, by the object whose reference is the first.
    notes: Notes,
    /// What an earlier controller may have told data planes of Ingresses of which no version can be used here; `None` before
    /// Ingresses are read. What was told or taken back since is known, so nothing is added later.
    held: Option<BTreeSet<ResourceKey>>,
}

type Notes = BTreeMap<ObjectRef, BTreeMap<GroupId, Diagnostic>>;

/// What all Ingresses come to.
#[derive(Debug, Default)]
struct Routes {
    hosts: BTreeMap<HostPattern, Arc<HostRoutes>>,
    certificates: BTreeMap<CertificateId, Arc<Certificate>>,
    served: BTreeSet<Name>,
    good: Store<Ingress>,
    needs: Needs,
    said: BTreeMap<ObjectRef, Vec<Diagnostic>>,
    /// When the validity of a certificate changes.
    until: Option<Timestamp>,
}

impl Routing {
    /// Reads all routes again, and the implicit groups with them.
    pub fn route(&mut self, given: Given<'_>, touched: &mut Touched) {
        let (next, unknown) = Routes::read(given, &self.routes.good);
        let last = std::mem::replace(&mut self.routes, next);
        let notes = std::mem::take(&mut self.notes);
        self.hold(unknown, given, touched);
        let all = self.implicit.keys().chain(self.routes.needs.implicit.keys()).cloned().collect();
        self.fill(all, given, touched);
        last.compare(&self.routes, touched);
        for object in differing(&last.said, &self.routes.said).chain(differing(&notes, &self.notes)) {
            if &*object.kind == Ingress::KIND {
                touched.ingresses.insert((object.namespace.clone(), object.name.clone()));
            }
            touched.classes |= &*object.kind == IngressClass::KIND;
        }
        let is_other = |service: &Name| last.needs_service(service) != self.routes.needs_service(service);
        touched.services.extend(given.slices.faulty().filter(is_other));
    }

    /// Reads the implicit groups of these Services again.
    pub fn refill(&mut self, services: &BTreeSet<Name>, given: Given<'_>, touched: &mut Touched) {
        let implicit = services.iter().flat_map(|name| self.routes.needs.implicit_of(name)).collect();
        let annotated = self.fill(implicit, given, touched);
        touched.ingresses.extend(annotated.into_iter().map(|object| (object.namespace, object.name)));
    }

    /// Whether Ingresses were read.
    pub fn is_read(&self) -> bool {
        self.held.is_some()
    }

    /// Whether an earlier controller may have told of it, and what it should be is not known.
    pub fn is_held(&self, key: &ResourceKey) -> bool {
        self.held.as_ref().is_some_and(|held| held.contains(key))
    }

    /// Whether a route names the Service.
    pub fn needs_service(&self, service: &Name) -> bool {
        self.routes.needs_service(service)
    }

    /// When the validity of a certificate changes.
    pub fn until(&self) -> Option<Timestamp> {
        self.routes.until
    }

    /// What Ingresses name, in the versions in force.
    pub fn references(&self) -> References {
        self.routes.references()
    }

    /// The routes by host.
    pub fn hosts(&self) -> &BTreeMap<HostPattern, Arc<HostRoutes>> {
        &self.routes.hosts
    }

    /// The certificates of hosts.
    pub fn certificates(&self) -> &BTreeMap<CertificateId, Arc<Certificate>> {
        &self.routes.certificates
    }

    /// The implicit groups.
    pub fn implicit(&self) -> &BTreeMap<GroupId, Arc<Group>> {
        &self.implicit
    }

    /// Everything that is said.
    pub fn said(&self) -> impl Iterator<Item = &Diagnostic> {
        self.routes.said.values().flatten().chain(self.notes.values().flat_map(BTreeMap::values))
    }

    /// What is said against an Ingress; `None` if it is not ours.
    pub fn said_of_ingress(&self, name: &Name) -> Option<Vec<Diagnostic>> {
        self.routes.served.contains(name).then(|| {
            let object = reference::<Ingress>(&name.0, &name.1);
            let mut said = self.routes.said.get(&object).cloned().unwrap_or_default();
            said.extend(self.notes.get(&object).into_iter().flat_map(BTreeMap::values).cloned());
            report::sort(&mut said);
            said
        })
    }

    /// What is said against `IngressClass`es.
    pub fn said_of_classes(&self) -> impl Iterator<Item = &Diagnostic> {
        let classes = self.routes.said.iter().filter(|(object, _)| &*object.kind == IngressClass::KIND);
        classes.flat_map(|(_, said)| said)
    }

    /// Holds what Ingresses name of which nothing can be used.
    fn hold(&mut self, unknown: BTreeSet<ResourceKey>, given: Given<'_>, touched: &mut Touched) {
        let last = self.held.take();
        let was = |key: &ResourceKey| last.as_ref().is_none_or(|last| last.contains(key));
        let next: BTreeSet<_> = unknown.into_iter().filter(|key| was(key) && !self.is_there(key, given)).collect();
        touched.resources.extend(last.unwrap_or_default().symmetric_difference(&next).cloned());
        self.held = Some(next);
    }

    fn is_there(&self, key: &ResourceKey, given: Given<'_>) -> bool {
        match key {
            ResourceKey::Certificate(id) => {
                self.routes.certificates.contains_key(id) || given.dependents.shown(id, given.groups).is_some()
            }
            ResourceKey::Group(id) => {
                given.groups.get(id).is_some_and(|verdict| verdict.group.is_some()) || self.implicit.contains_key(id)
            }
            ResourceKey::Route(host) => self.routes.hosts.contains_key(host),
        }
    }

    /// Reads implicit groups again; returns the objects of which something else is said now.
    fn fill(&mut self, ids: BTreeSet<GroupId>, given: Given<'_>, touched: &mut Touched) -> BTreeSet<ObjectRef> {
        let services = Services::new(given.objects, given.slices);
        let mut annotated = BTreeSet::new();
        for id in ids {
            let needed = self.routes.needs.implicit.get(&id);
            let (group, note) = needed.and_then(|implicit| implicit.read(&id, services)).unzip();
            let last = self.implicit.remove(&id);
            if last.as_deref() != group.as_ref() {
                touched.resources.insert(ResourceKey::Group(id.clone()));
            }
            if let Some(place) = needed.and_then(|implicit| implicit.place.as_ref()) {
                let notes = self.notes.entry(place.object.clone()).or_default();
                let last = notes.remove(&id);
                let note = note.flatten();
                if last != note {
                    annotated.insert(place.object.clone());
                }
                notes.extend(note.map(|note| (id.clone(), note)));
                if notes.is_empty() {
                    self.notes.remove(&place.object);
                }
            }
            self.implicit.extend(group.map(|group| (id, Arc::new(group))));
        }
        annotated
    }
}

impl Routes {
    /// Reads all Ingresses, with the `good` versions of those that are refused now. Besides, what those name of which nothing can
    /// be used.
    fn read(given: Given<'_>, good: &Store<Ingress>) -> (Self, BTreeSet<ResourceKey>) {
        let Given { objects, options, slices, groups, dependents: _ } = given;
        let mut report = Report::default();
        let classes = Classes::read(objects, options, &mut report);
        let mut backends = Backends::new(Services::new(objects, slices), groups);
        let mut certificates = Certificates::new(objects, options);
        let Routed { routes, served, good, unknown } =
            ingress::routes(objects, &classes, good, &mut backends, &mut certificates, &mut report);
        let hosts = routes.hosts.into_iter().map(|host| (host.host.clone(), host)).collect();
        let mut said = BTreeMap::<_, Vec<_>>::new();
        for diagnostic in report.finish() {
            said.entry(diagnostic.object.clone()).or_default().push(diagnostic);
        }
        let said = said.into_iter().filter_map(|(object, said)| Some((object?, said))).collect();
        let (until, certificates) = (certificates.until(), certificates.finish());
        (Self { hosts, certificates, served, good, needs: backends.into_needs(), said, until }, unknown)
    }

    /// Notes what came out different in `next`.
    fn compare(&self, next: &Self, touched: &mut Touched) {
        let hosts = differing(&self.hosts, &next.hosts).cloned().map(ResourceKey::Route);
        let certificates = differing(&self.certificates, &next.certificates).cloned().map(ResourceKey::Certificate);
        touched.resources.extend(hosts.chain(certificates));
        touched.ingresses.extend(self.served.symmetric_difference(&next.served).cloned());
        touched.references |= self.references() != next.references();
    }

    fn needs_service(&self, (namespace, name): &Name) -> bool {
        self.needs.services.find(namespace, name).is_some()
    }

    fn references(&self) -> References {
        let mut all = References::default();
        for ((namespace, _), ingress) in self.good.iter() {
            all.extend(&namespace, references::of_ingress(ingress));
        }
        all
    }
}

/// The keys whose values differ, or that only one of the two has.
fn differing<'m, K: Ord, V: PartialEq>(a: &'m BTreeMap<K, V>, b: &'m BTreeMap<K, V>) -> impl Iterator<Item = &'m K> {
    let changed = a.iter().filter(|(key, value)| b.get(key) != Some(value)).map(|(key, _)| key);
    changed.chain(b.keys().filter(|key| !a.contains_key(key)))
}
