//! The translation as something that lives with a cluster: it is told which objects changed, reads again what depends on
//! them, and says what came out different. Told that everything changed it is [`crate::translate`], so the two cannot differ.
//!
//! What changes all the time is cheap: an `EndpointSlice` leads to the groups that use its Service and no further. What
//! people change is simple: an Ingress, a class, a Secret or a Service that routes name has all routes read again, because
//! who holds a host and path depends on every Ingress.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{
    Certificate, CertificateId, Config, Diagnostic, Group, GroupId, HostPattern, HostRoutes, ObjectRef, Resource,
    ResourceKey, Routes,
};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use crate::backends::{Backends, Needs};
use crate::by_name::{ByName, Name};
use crate::classes::Classes;
use crate::document::Store;
use crate::ingress::{self, Routed};
use crate::kind::{Kind as _, reference};
use crate::report::{self, Report};
use crate::services::Services;
use crate::slices::Slices;
use crate::tls::Certificates;
use crate::verdict::Verdict;
use crate::{Names, Objects, Options, References, Translation, references};

/// A translation that is kept up to date.
#[derive(Debug)]
pub struct Translator {
    /// What the objects do not say. Whoever changes it tells [`Translator::update`] what is affected.
    pub options: Options,
    slices: Slices,
    groups: BTreeMap<GroupId, Verdict>,
    /// The groups of objects that name a Service, a Secret, a `ConfigMap`.
    users: Users,
    users_of_secrets: Users,
    users_of_config_maps: Users,
    /// Groups that are not read again before the content of what they name is here.
    waiting: BTreeSet<GroupId>,
    /// Groups by when the validity of a certificate of theirs changes.
    expiring: BTreeSet<(Timestamp, GroupId)>,
    routing: Routing,
    /// What an earlier controller may have told data planes of Ingresses of which no version can be used here; `None` before
    /// Ingresses are read. What was told or taken back since is known, so nothing is added later.
    held: Option<BTreeSet<ResourceKey>>,
    implicit: BTreeMap<GroupId, Arc<Group>>,
    /// What is said of implicit groups, by the object whose reference is the first.
    notes: BTreeMap<ObjectRef, BTreeMap<GroupId, Diagnostic>>,
}

/// Groups by what they name.
type Users = ByName<BTreeSet<GroupId>>;

/// Which objects are new, different or gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// `UpstreamGroup`s.
    pub groups: BTreeSet<GroupId>,
    /// Services.
    pub services: BTreeSet<Name>,
    /// `EndpointSlice`s.
    pub slices: BTreeSet<Name>,
    /// Secrets that groups name.
    pub secrets: BTreeSet<Name>,
    /// `ConfigMap`s.
    pub config_maps: BTreeSet<Name>,
    /// Some Ingress, `IngressClass` or Secret that an Ingress names.
    pub routes: bool,
}

/// What may have come out different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Pieces of the configuration.
    pub resources: BTreeSet<ResourceKey>,
    /// `UpstreamGroup`s whose verdict is another.
    pub groups: BTreeSet<GroupId>,
    /// Ingresses of which something else is said, or that are ours no longer or only now.
    pub ingresses: BTreeSet<Name>,
    /// Services of whose slices something else may be said, or that somebody refers to only now or no longer.
    pub services: BTreeSet<Name>,
    /// Whether something else is said of `IngressClass`es.
    pub classes: bool,
    /// [`Translator::references`] are others.
    pub references: bool,
}

#[derive(Debug, Default)]
struct Routing {
    hosts: BTreeMap<HostPattern, Arc<HostRoutes>>,
    certificates: BTreeMap<CertificateId, Arc<Certificate>>,
    served: BTreeSet<Name>,
    good: Store<Ingress>,
    needs: Needs,
    said: BTreeMap<ObjectRef, Vec<Diagnostic>>,
    /// When the validity of a certificate changes.
    until: Option<Timestamp>,
}

impl Changed {
    /// Every object there is.
    pub fn everything(objects: &Objects) -> Self {
        let unread = objects.refused.iter().filter(|object| &*object.kind == api::KIND);
        let unread = unread.map(|object| (object.namespace.clone(), object.name.clone()));
        let groups = objects.upstream_groups.iter().map(|(name, _)| name).chain(unread);
        Self {
            groups: groups.map(|(namespace, name)| GroupId::new(&namespace, &name)).collect(),
            services: objects.services.iter().map(|(name, _)| name).collect(),
            slices: objects.endpoint_slices.iter().map(|(name, _)| name).collect(),
            secrets: objects.secrets.iter().map(|(name, _)| name).collect(),
            config_maps: objects.config_maps.iter().map(|(name, _)| name).collect(),
            routes: true,
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        let Self { groups, services, slices, secrets, config_maps, routes } = self;
        let held = secrets.is_empty() && config_maps.is_empty();
        groups.is_empty() && services.is_empty() && slices.is_empty() && held && !routes
    }
}

impl Touched {
    /// Adds what another update touched.
    pub fn extend(&mut self, other: Self) {
        let Self { resources, groups, ingresses, services, classes, references } = other;
        self.resources.extend(resources);
        self.groups.extend(groups);
        self.ingresses.extend(ingresses);
        self.services.extend(services);
        self.classes |= classes;
        self.references |= references;
    }
}

impl Translator {
    /// Of no objects.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            slices: Slices::default(),
            groups: BTreeMap::new(),
            users: Users::default(),
            users_of_secrets: Users::default(),
            users_of_config_maps: Users::default(),
            waiting: BTreeSet::new(),
            expiring: BTreeSet::new(),
            routing: Routing::default(),
            held: None,
            implicit: BTreeMap::new(),
            notes: BTreeMap::new(),
        }
    }

    /// Reads again what depends on the objects that changed.
    pub fn update(&mut self, objects: &Objects, changed: &Changed) -> Touched {
        let mut touched = Touched::default();
        let mut services = changed.services.clone();
        for slice in &changed.slices {
            let affected = self.slices.update(slice, objects, &self.options);
            let affected = affected.into_iter().map(|service| (slice.0.clone(), service));
            touched.services.extend(affected);
        }
        services.extend(touched.services.iter().cloned());
        let mut groups = changed.groups.clone();
        for (users, changed) in [
            (&self.users, &services),
            (&self.users_of_secrets, &changed.secrets),
            (&self.users_of_config_maps, &changed.config_maps),
        ] {
            let users = changed.iter().filter_map(|(namespace, name)| users.find(namespace, name));
            groups.extend(users.flatten().cloned());
        }
        groups.append(&mut self.waiting);
        let mut reroute = changed.routes;
        for id in groups {
            if must_wait(&id, objects) {
                if let Some(until) = self.groups.get(&id).and_then(|verdict| verdict.found.until) {
                    self.expiring.remove(&(until, id.clone()));
                }
                self.waiting.insert(id);
            } else {
                reroute |= self.judge(id, objects, &mut touched);
            }
        }
        let needs = &self.routing.needs.services;
        if reroute || changed.services.iter().any(|(namespace, name)| needs.find(namespace, name).is_some()) {
            self.route(objects, &mut touched);
        } else {
            let implicit = services.iter().flat_map(|name| self.routing.needs.implicit_of(name)).collect();
            let annotated = self.fill(implicit, objects, &mut touched);
            touched.ingresses.extend(annotated.into_iter().map(|object| (object.namespace, object.name)));
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
        let groups = self.expiring.iter().take_while(|(until, _)| *until <= now).map(|(_, id)| id.clone()).collect();
        let routes = self.routing.until.is_some_and(|until| until <= now);
        self.update(objects, &Changed { groups, routes, ..Changed::default() })
    }

    /// Whether the validity of a certificate has changed by `now`.
    pub fn is_outdated(&self, now: Timestamp) -> bool {
        self.until().is_some_and(|until| until <= now)
    }

    /// The next moment at which the validity of a certificate changes; [`crate::look_again_in`] says how to wait for it.
    pub fn until(&self) -> Option<Timestamp> {
        let first = self.expiring.first().map(|(until, _)| *until);
        first.into_iter().chain(self.routing.until).min()
    }

    /// The Secrets and `ConfigMap`s that groups name, in the versions judged and in those in force, and that Ingresses name in
    /// the versions in force.
    pub fn references(&self) -> References {
        let names = |users: &Users| {
            let mut names = ByName::default();
            for ((namespace, name), _) in users.iter() {
                names.insert(&namespace, &name, ());
            }
            names
        };
        let mut references =
            References { secrets: names(&self.users_of_secrets), config_maps: names(&self.users_of_config_maps) };
        references.add(&self.routing.references());
        references
    }

    /// Whether what is known of a group is not of the newest version of its object, which names something whose content is
    /// on its way.
    pub fn is_waiting(&self, id: &GroupId) -> bool {
        self.waiting.contains(id)
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
            ResourceKey::Route(host) => self.routing.hosts.get(host).cloned().map(Resource::Route),
        }
    }

    /// A group, of an object or implicit.
    pub fn group(&self, id: &GroupId) -> Option<&Arc<Group>> {
        self.groups.get(id).and_then(|verdict| verdict.group.as_ref()).or_else(|| self.implicit.get(id))
    }

    /// A certificate: as Ingresses have it, who name hosts for it, else as a group shows it to its servers.
    fn certificate(&self, id: &CertificateId) -> Option<&Arc<Certificate>> {
        let users = || self.users_of_secrets.find(id.namespace(), id.name()).into_iter().flatten();
        let shown = || users().filter_map(|user| self.groups.get(user)?.found.shown()).find(|(shown, _)| shown == id);
        self.routing.certificates.get(id).or_else(|| Some(&shown()?.1))
    }

    /// What was said against an `UpstreamGroup`.
    pub fn said_of_group(&self, id: &GroupId) -> &[Diagnostic] {
        self.groups.get(id).map_or(&[], |verdict| &verdict.diagnostics)
    }

    /// What was said against an Ingress; `None` if it is not ours.
    pub fn said_of_ingress(&self, name: &Name) -> Option<Vec<Diagnostic>> {
        self.routing.served.contains(name).then(|| {
            let object = reference::<Ingress>(&name.0, &name.1);
            let mut said = self.routing.said.get(&object).cloned().unwrap_or_default();
            said.extend(self.notes.get(&object).into_iter().flat_map(BTreeMap::values).cloned());
            report::sort(&mut said);
            said
        })
    }

    /// What was said against the slices of a Service. Nothing if no group and no route refers to it: in a cluster most Services
    /// are others' business.
    pub fn said_of_service(&self, (namespace, name): &Name) -> Vec<Diagnostic> {
        let is_used = self.users.find(namespace, name).is_some_and(|users| !users.is_empty())
            || self.routing.needs.services.find(namespace, name).is_some();
        let said = is_used.then(|| self.slices.said_of(namespace, name));
        said.into_iter().flatten().cloned().collect()
    }

    /// What was said against `IngressClass`es.
    pub fn said_of_classes(&self) -> impl Iterator<Item = &Diagnostic> {
        let classes = self.routing.said.iter().filter(|(object, _)| &*object.kind == IngressClass::KIND);
        classes.flat_map(|(_, said)| said)
    }

    /// Everything at once.
    pub fn translation(&self) -> Translation {
        let read = self.groups.iter().filter_map(|(id, verdict)| Some((id, verdict.group.as_ref()?)));
        let groups = read.chain(&self.implicit).map(|(id, group)| (id.clone(), group.clone())).collect();
        let hosts = self.routing.hosts.values().cloned().collect();
        let groups_said = self.groups.values().flat_map(|verdict| &verdict.diagnostics);
        let routes_said = self.routing.said.values().flatten();
        let notes = self.notes.values().flat_map(BTreeMap::values);
        let said = self.slices.diagnostics().chain(groups_said).chain(routes_said).chain(notes);
        let mut diagnostics: Vec<_> = said.cloned().collect();
        report::sort(&mut diagnostics);
        let shown = self.groups.values().filter_map(|verdict| verdict.found.shown());
        let mut certificates: BTreeMap<_, _> = shown.cloned().collect();
        certificates.extend(self.routing.certificates.iter().map(|(id, one)| (id.clone(), one.clone())));
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
                let users = self.users_of_secrets.find(id.namespace(), id.name()).into_iter().flatten();
                let mut unknown = users.filter_map(|user| Some(self.groups.get(user)?.unknown(user.namespace())));
                self.is_held(key) || unknown.any(|mut unknown| unknown.any(|unknown| unknown == *id))
            }
            ResourceKey::Route(_) => self.is_held(key),
        }
    }

    fn is_held(&self, key: &ResourceKey) -> bool {
        self.held.as_ref().is_some_and(|held| held.contains(key))
    }

    /// Reads one group again. Whether routes must be, too: they ask whether a group is there, is refused, or is not.
    fn judge(&mut self, id: GroupId, objects: &Objects, touched: &mut Touched) -> bool {
        let services = Services::new(objects, &self.slices);
        let last = self.groups.remove(&id);
        let object = objects.upstream_groups.find(id.namespace(), id.name());
        let mut next = match object {
            Some(object) => Some(Verdict::of(object, last.as_ref(), objects, services, &self.options)),
            None if objects.is_refused(api::KIND, id.namespace(), id.name()) => Some(Verdict::default()),
            None => None,
        };
        if let Some(next) = &mut next {
            let was_unknown = last.as_ref().map_or(self.held.is_none(), |last| last.is_unknown);
            next.is_unknown = next.group.is_none() && was_unknown;
        }
        let group = |verdict: &Option<Verdict>| verdict.as_ref().and_then(|verdict| verdict.group.clone());
        let (group_before, group_after) = (group(&last), group(&next));
        let standing = |verdict: &Option<Verdict>| verdict.as_ref().map(Verdict::is_refused);
        let reroute = standing(&last) != standing(&next);
        if group_before != group_after {
            touched.resources.insert(ResourceKey::Group(id.clone()));
        }
        touched.groups.insert(id.clone());
        let named = [&last, &next].into_iter().flatten().flat_map(|verdict| &verdict.services);
        touched.services.extend(named.map(|name| (Arc::from(id.namespace()), name.clone())));
        let shown = |verdict: &Option<Verdict>| verdict.as_ref().and_then(|verdict| verdict.found.shown().cloned());
        let named = |verdict: &Option<Verdict>| {
            verdict.as_ref().map(|verdict| (verdict.secrets.clone(), verdict.config_maps.clone())).unwrap_or_default()
        };
        touched.references |= named(&last) != named(&next);
        if shown(&last) != shown(&next) {
            let shown = [shown(&last), shown(&next)].into_iter().flatten();
            touched.resources.extend(shown.map(|(id, _)| ResourceKey::Certificate(id)));
        }
        let unknown = [&last, &next].into_iter().flatten().flat_map(|verdict| verdict.unknown(id.namespace()));
        touched.resources.extend(unknown.map(ResourceKey::Certificate));
        if let Some(last) = &last {
            for (users, named) in self.users_of(last) {
                for name in named {
                    if let Some(of_name) = users.find_mut(id.namespace(), name) {
                        of_name.remove(&id);
                        if of_name.is_empty() {
                            users.remove(id.namespace(), name);
                        }
                    }
                }
            }
            if let Some(until) = last.found.until {
                self.expiring.remove(&(until, id.clone()));
            }
        }
        if let Some(next) = &next {
            for (users, named) in self.users_of(next) {
                for name in named {
                    users.entry(id.namespace(), name).insert(id.clone());
                }
            }
            self.expiring.extend(next.found.until.map(|until| (until, id.clone())));
        }
        self.groups.extend(next.map(|verdict| (id, verdict)));
        reroute
    }

    /// What a group names, with the users of each kind.
    fn users_of<'v>(&mut self, verdict: &'v Verdict) -> [(&mut Users, &'v BTreeSet<Arc<str>>); 3] {
        [
            (&mut self.users, &verdict.services),
            (&mut self.users_of_secrets, &verdict.secrets),
            (&mut self.users_of_config_maps, &verdict.config_maps),
        ]
    }

    /// Reads all routes again, and the implicit groups with them.
    fn route(&mut self, objects: &Objects, touched: &mut Touched) {
        let mut report = Report::default();
        let classes = Classes::read(objects, &self.options, &mut report);
        let services = Services::new(objects, &self.slices);
        let mut backends = Backends::new(services, &self.groups);
        let mut certificates = Certificates::new(objects, &self.options);
        let Routed { routes, served, good, unknown } =
            ingress::routes(objects, &classes, &self.routing.good, &mut backends, &mut certificates, &mut report);
        let hosts = routes.hosts.into_iter().map(|host| (host.host.clone(), host)).collect();
        let mut said = BTreeMap::<_, Vec<_>>::new();
        for diagnostic in report.finish() {
            said.entry(diagnostic.object.clone()).or_default().push(diagnostic);
        }
        let said = said.into_iter().filter_map(|(object, said)| Some((object?, said))).collect();
        let (until, certificates) = (certificates.until(), certificates.finish());
        let next = Routing { hosts, certificates, served, good, needs: backends.into_needs(), said, until };
        let last = std::mem::replace(&mut self.routing, next);
        let notes = std::mem::take(&mut self.notes);
        self.hold(unknown, touched);

        let all = self.implicit.keys().chain(self.routing.needs.implicit.keys()).cloned().collect();
        self.fill(all, objects, touched);
        let next = &self.routing;
        touched.resources.extend(differing(&last.hosts, &next.hosts).cloned().map(ResourceKey::Route));
        touched
            .resources
            .extend(differing(&last.certificates, &next.certificates).cloned().map(ResourceKey::Certificate));
        touched.ingresses.extend(last.served.symmetric_difference(&next.served).cloned());
        touched.references |= last.references() != next.references();
        for object in differing(&last.said, &next.said).chain(differing(&notes, &self.notes)) {
            if &*object.kind == Ingress::KIND {
                touched.ingresses.insert((object.namespace.clone(), object.name.clone()));
            }
            touched.classes |= &*object.kind == IngressClass::KIND;
        }
        let needs =
            |routing: &Routing, (namespace, name): &Name| routing.needs.services.find(namespace, name).is_some();
        touched.services.extend(self.slices.faulty().filter(|service| needs(&last, service) != needs(next, service)));
    }

    /// Holds what Ingresses name of which nothing can be used.
    fn hold(&mut self, unknown: BTreeSet<ResourceKey>, touched: &mut Touched) {
        let last = self.held.take();
        let may_be =
            |key: &ResourceKey| last.as_ref().is_none_or(|last| last.contains(key)) && self.resource(key).is_none();
        let next: BTreeSet<_> = unknown.into_iter().filter(may_be).collect();
        touched.resources.extend(last.unwrap_or_default().symmetric_difference(&next).cloned());
        self.held = Some(next);
    }

    /// Reads implicit groups again; returns the objects of which something else is said now.
    fn fill(&mut self, ids: BTreeSet<GroupId>, objects: &Objects, touched: &mut Touched) -> BTreeSet<ObjectRef> {
        let services = Services::new(objects, &self.slices);
        let mut annotated = BTreeSet::new();
        for id in ids {
            let needed = self.routing.needs.implicit.get(&id);
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

impl Routing {
    fn references(&self) -> References {
        let mut all = References::default();
        for ((namespace, _), ingress) in self.good.iter() {
            all.extend(&namespace, references::of_ingress(ingress));
        }
        all
    }
}

/// Whether the group's object names something whose content is on its way.
fn must_wait(id: &GroupId, objects: &Objects) -> bool {
    let object = objects.upstream_groups.find(id.namespace(), id.name());
    object.is_some_and(|object| objects.fetching.has_any(id.namespace(), references::of_group(object)))
}

/// The keys whose values differ, or that only one of the two has.
fn differing<'m, K: Ord, V: PartialEq>(a: &'m BTreeMap<K, V>, b: &'m BTreeMap<K, V>) -> impl Iterator<Item = &'m K> {
    let changed = a.iter().filter(|(key, value)| b.get(key) != Some(value)).map(|(key, _)| key);
    changed.chain(b.keys().filter(|key| !a.contains_key(key)))
}
