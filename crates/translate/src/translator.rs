//! The translation as something that lives with a cluster: it is told which objects changed, reads again what depends on
//! them, and says what came out different. Told that everything changed it is [`crate::translate`], so the two cannot differ.
//!
//! What changes all the time is cheap: an `EndpointSlice` leads to the groups that use its Service and no further. What
//! people change is simple: an Ingress, a class, a Secret or a Service that routes name has all routes read again, because
//! who holds a host and path depends on every Ingress.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Certificate, CertificateId, Config, Diagnostic, Group, GroupId, Resource, ResourceKey, Routes};
use jiff::Timestamp;

use crate::by_name::Name;
use crate::changes::{Changed, Touched};
use crate::dependents::Dependents;
use crate::report;
use crate::routing::{Given, Routing};
use crate::services::Services;
use crate::slices::Slices;
use crate::verdict::Verdict;
use crate::{Names, Objects, Options, References, Translation, references};

/// A translation that is kept up to date.
#[derive(Debug)]
pub struct Translator {
    /// What the objects do not say. Whoever changes it tells [`Translator::update`] what is affected.
    pub options: Options,
    slices: Slices,
    groups: BTreeMap<GroupId, Verdict>,
    dependents: Dependents,
    routing: Routing,
}

impl Translator {
    /// Of no objects.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            slices: Slices::default(),
            groups: BTreeMap::new(),
            dependents: Dependents::default(),
            routing: Routing::default(),
        }
    }

    /// Reads again what depends on the objects that changed.
    pub fn update(&mut self, objects: &Objects, changed: &Changed) -> Touched {
        let mut touched = Touched::default();
        for slice in &changed.slices {
            let affected = self.slices.update(slice, objects, &self.options);
            let affected = affected.into_iter().map(|service| (slice.0.clone(), service));
            touched.services.extend(affected);
        }
        let services = &changed.services | &touched.services;
        let mut groups = self.dependents.affected_by(&services, &changed.secrets, &changed.config_maps);
        groups.extend(changed.groups.iter().cloned());
        groups.extend(self.dependents.take_waiting());
        let mut reroute = changed.routes;
        for id in groups {
            if must_wait(&id, objects) {
                let verdict = self.groups.get(&id);
                self.dependents.wait(id, verdict);
            } else {
                reroute |= self.judge(id, objects, &mut touched);
            }
        }
        let given = Given {
            objects,
            options: &self.options,
            slices: &self.slices,
            groups: &self.groups,
            dependents: &self.dependents,
        };
        if reroute || changed.services.iter().any(|service| self.routing.needs_service(service)) {
            self.routing.route(given, &mut touched);
        } else {
            self.routing.refill(&services, given, &mut touched);
        }
        touched
    }

    /// Takes what is known of DNS names now, and reads again the groups that use one of which something else is.
    pub fn resolve(&mut self, names: Names, objects: &Objects) -> Touched {
        let last = std::mem::replace(&mut self.options.names, names);
        let differs = |name: &Arc<str>| last.of(name) != self.options.names.of(name);
        let users = self.groups.iter().filter(|(_, verdict)| verdict.names.iter().any(differs));
        let groups = users.map(|(id, _)| id.clone()).collect();
        self.update(objects, &Changed { groups, ..Changed::default() })
    }

    /// Takes the present, and reads again what the validity of a certificate has changed for.
    pub fn advance(&mut self, now: Timestamp, objects: &Objects) -> Touched {
        self.options.now = now;
        let groups = self.dependents.outdated(now);
        let routes = self.routing.until().is_some_and(|until| until <= now);
        self.update(objects, &Changed { groups, routes, ..Changed::default() })
    }

    /// Whether the validity of a certificate has changed by `now`.
    pub fn is_outdated(&self, now: Timestamp) -> bool {
        self.until().is_some_and(|until| until <= now)
    }

    /// The next moment at which the validity of a certificate changes; [`crate::look_again_in`] says how to wait for it.
    pub fn until(&self) -> Option<Timestamp> {
        self.dependents.until().into_iter().chain(self.routing.until()).min()
    }

    /// The Secrets and `ConfigMap`s that groups name, in the versions judged and in those in force, and that Ingresses name in
    /// the versions in force.
    pub fn references(&self) -> References {
        let mut references = self.dependents.references();
        references.add(&self.routing.references());
        references
    }

    /// Whether what is known of a group is not of the newest version of its object, which names something whose content is
    /// on its way.
    pub fn is_waiting(&self, id: &GroupId) -> bool {
        self.dependents.is_waiting(id)
    }

    /// The DNS names that groups use, in the versions judged and in those in force.
    pub fn names(&self) -> BTreeSet<Arc<str>> {
        self.groups.values().flat_map(|verdict| &verdict.names).cloned().collect()
    }

    /// A piece of the configuration.
    pub fn resource(&self, key: &ResourceKey) -> Option<Resource> {
        match key {
            ResourceKey::Certificate(id) => {
                self.certificate(id).map(|certificate| Resource::Certificate(id.clone(), certificate.clone()))
            }
            ResourceKey::Group(id) => self.group(id).map(|group| Resource::Group(id.clone(), group.clone())),
            ResourceKey::Route(host) => self.routing.hosts().get(host).cloned().map(Resource::Route),
        }
    }

    /// A group, of an object or implicit.
    pub fn group(&self, id: &GroupId) -> Option<&Arc<Group>> {
        self.groups.get(id).and_then(|verdict| verdict.group.as_ref()).or_else(|| self.routing.implicit().get(id))
    }

    /// A certificate: as Ingresses have it, who name hosts for it, else as a group shows it to its servers.
    fn certificate(&self, id: &CertificateId) -> Option<&Arc<Certificate>> {
        self.routing.certificates().get(id).or_else(|| self.dependents.shown(id, &self.groups))
    }

    /// What was said against an `UpstreamGroup`.
    pub fn said_of_group(&self, id: &GroupId) -> &[Diagnostic] {
        self.groups.get(id).map_or(&[], |verdict| &verdict.diagnostics)
    }

    /// What was said against an Ingress; `None` if it is not ours.
    pub fn said_of_ingress(&self, name: &Name) -> Option<Vec<Diagnostic>> {
        self.routing.said_of_ingress(name)
    }

    /// What was said against the slices of a Service. Nothing if no group and no route refers to it: in a cluster most Services
    /// are others' business.
    pub fn said_of_service(&self, service: &Name) -> Vec<Diagnostic> {
        let is_used = self.dependents.has_users(service) || self.routing.needs_service(service);
        let said = is_used.then(|| self.slices.said_of(&service.0, &service.1));
        said.into_iter().flatten().cloned().collect()
    }

    /// What was said against `IngressClass`es.
    pub fn said_of_classes(&self) -> impl Iterator<Item = &Diagnostic> {
        self.routing.said_of_classes()
    }

    /// Everything at once.
    pub fn translation(&self) -> Translation {
        let read = self.groups.iter().filter_map(|(id, verdict)| Some((id, verdict.group.as_ref()?)));
        let groups = read.chain(self.routing.implicit()).map(|(id, group)| (id.clone(), group.clone())).collect();
        let hosts = self.routing.hosts().values().cloned().collect();
        let of_groups = self.groups.values().flat_map(|verdict| &verdict.diagnostics);
        let said = self.slices.diagnostics().chain(of_groups).chain(self.routing.said());
        let mut diagnostics: Vec<_> = said.cloned().collect();
        report::sort(&mut diagnostics);
        let shown = self.groups.values().filter_map(|verdict| verdict.found.shown());
        let mut certificates: BTreeMap<_, _> = shown.cloned().collect();
        certificates.extend(self.routing.certificates().iter().map(|(id, one)| (id.clone(), one.clone())));
        let config = Config { groups, routes: Arc::new(Routes { hosts }), certificates };
        Translation { config, diagnostics, until: self.until() }
    }

    /// Whether there is an object to this piece of the configuration and neither it nor a version before it could be used
    /// since the first update: it is not known then what the piece should be. What was known once is known to be gone when
    /// an object that is made anew under its name is refused.
    pub fn is_unknown(&self, key: &ResourceKey) -> bool {
        match key {
            ResourceKey::Group(id) => self.groups.get(id).is_some_and(|verdict| verdict.is_unknown),
            ResourceKey::Certificate(id) => {
                let users = self.dependents.users_of_certificate(id);
                let mut unknown = users.filter_map(|user| Some(self.groups.get(user)?.unknown(user.namespace())));
                self.routing.is_held(key) || unknown.any(|mut unknown| unknown.any(|unknown| unknown == *id))
            }
            ResourceKey::Route(_) => self.routing.is_held(key),
        }
    }

    /// Reads one group again and puts what comes out in place of what was. Whether routes must be read, too.
    fn judge(&mut self, id: GroupId, objects: &Objects, touched: &mut Touched) -> bool {
        let last = self.groups.remove(&id);
        let next = self.read(&id, last.as_ref(), objects);
        let reroute = compare(&id, last.as_ref(), next.as_ref(), touched);
        if let Some(last) = &last {
            self.dependents.leave(&id, last);
        }
        if let Some(next) = next {
            self.dependents.enter(&id, &next);
            self.groups.insert(id, next);
        }
        reroute
    }

    /// The verdict on a group; `None` if there is no such object.
    fn read(&self, id: &GroupId, last: Option<&Verdict>, objects: &Objects) -> Option<Verdict> {
        let services = Services::new(objects, &self.slices);
        let mut next = match objects.upstream_groups.find(id.namespace(), id.name()) {
            Some(object) => Verdict::of(object, last, objects, services, &self.options),
            None if objects.is_refused(api::KIND, id.namespace(), id.name()) => Verdict::default(),
            None => return None,
        };
        let was_unknown = last.map_or(!self.routing.is_read(), |last| last.is_unknown);
        next.is_unknown = next.group.is_none() && was_unknown;
        Some(next)
    }
}

/// Notes what is other about a group. Whether routes must be read again: they ask whether a group is there, is refused, or is
/// not.
fn compare(id: &GroupId, last: Option<&Verdict>, next: Option<&Verdict>, touched: &mut Touched) -> bool {
    let reroute = last.map(Verdict::is_refused) != next.map(Verdict::is_refused);
    let none = Verdict::default();
    let (last, next) = (last.unwrap_or(&none), next.unwrap_or(&none));
    touched.groups.insert(id.clone());
    if last.group != next.group {
        touched.resources.insert(ResourceKey::Group(id.clone()));
    }
    let named = last.services.union(&next.services);
    touched.services.extend(named.map(|name| (Arc::from(id.namespace()), name.clone())));
    touched.references |= (&last.secrets, &last.config_maps) != (&next.secrets, &next.config_maps);
    let (shown_last, shown_next) = (last.found.shown(), next.found.shown());
    if shown_last != shown_next {
        let shown = shown_last.into_iter().chain(shown_next);
        touched.resources.extend(shown.map(|(id, _)| ResourceKey::Certificate(id.clone())));
    }
    let unknown = last.unknown(id.namespace()).chain(next.unknown(id.namespace()));
    touched.resources.extend(unknown.map(ResourceKey::Certificate));
    reroute
}

/// Whether the group's object names something whose content is on its way.
fn must_wait(id: &GroupId, objects: &Objects) -> bool {
    let object = objects.upstream_groups.find(id.namespace(), id.name());
    object.is_some_and(|object| objects.fetching.has_any(id.namespace(), references::of_group(object)))
}
