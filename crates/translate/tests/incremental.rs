//! A translation that is kept up to date is the translation of what there is: after any sequence of changes, whatever was
//! read again and whatever was not. And what it says was touched is all that changed.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Config, Diagnostic, GroupId, Resource, ResourceKey};
use proptest::prelude::*;
use translate::kind::Kind;
use translate::{Changed, Name, Names, Objects, Options, Store, Touched, Translator, translate};

/// Documents by slot: at any time each slot holds one of its variants, or nothing.
const SLOTS: [&[&str]; 13] = [
    &["kind: IngressClass
metadata: {name: ours, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}
spec: {controller: forebay.dev/ingress-controller}", "kind: IngressClass
metadata: {name: ours}
spec: {controller: another}"],
    &["kind: Service
metadata: {name: app}
spec: {ports: [{name: http, port: 80}]}", "kind: Service
metadata: {name: app}
spec: {ports: [{name: http, port: 81}, {name: admin, port: 80}]}", "kind: Service
metadata: {name: app}
spec: {type: ExternalName}"],
    &["kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}"],
    &["kind: EndpointSlice
metadata: {name: s1, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}]", "kind: EndpointSlice
metadata: {name: s1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.0.0.1]}]", "kind: EndpointSlice
metadata: {name: s1, labels: {kubernetes.io/service-name: app}}
addressType: FQDN
endpoints: []"],
    &["kind: EndpointSlice
metadata: {name: s2, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: admin, port: 9090}]
endpoints: [{addresses: [10.0.0.3]}, {addresses: [127.0.0.1]}]", "kind: EndpointSlice
metadata: {name: s2}
addressType: IPv4
endpoints: []"],
    &["kind: UpstreamGroup
metadata: {name: g}
spec: {servers: [{name: a, service: {name: app, port: http}}, {name: b, service: {name: web, port: 80}, backup: true}]}", "kind: UpstreamGroup
metadata: {name: g}
spec: {servers: [{name: a, address: '10.1.0.1:80'}]}", "kind: UpstreamGroup
metadata: {name: g}
spec: {servers: [{name: a, service: {name: app, port: admin}, weight: 7}]}"],
    &["kind: UpstreamGroup
metadata: {name: h}
spec: {servers: [{name: a, service: {name: web, port: 80}}]}"],
    &["kind: UpstreamGroup
metadata: {name: bad}
spec: {servers: [{name: a, address: '10.0.0.1:80'}], protocol: H2}", "kind: UpstreamGroup
metadata: {name: bad}
spec: {servers: [{name: a, address: '127.0.0.1:80'}]}"],
    &["kind: Ingress
metadata: {name: i1, creationTimestamp: '2026-01-01T00:00:00Z'}
spec:
  ingressClassName: ours
  rules:
  - host: a.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app, port: {name: http}}}}]}", "kind: Ingress
metadata: {name: i1, creationTimestamp: '2026-01-01T00:00:00Z'}
spec:
  rules:
  - host: b.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}"],
    &["kind: Ingress
metadata: {name: i2}
spec:
  defaultBackend: {resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: g}}
  rules:
  - host: a.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}}]}", "kind: Ingress
metadata: {name: i2}
spec:
  defaultBackend: {resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: bed}}
  tls: [{hosts: [a.example], secretName: tls}]"],
    &["kind: Ingress
metadata: {name: i3, creationTimestamp: '2025-01-01T00:00:00Z'}
spec: {ingressClassName: ours, defaultBackend: {resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: bad}}}"],
    &["kind: Secret
metadata: {name: tls}
type: Opaque"],
    &["kind: IngressClass
metadata: {name: theirs, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}
spec: {controller: another}"],
];

/// The objects and the translation that follows them.
struct World {
    texts: BTreeMap<usize, &'static str>,
    translator: Translator,
    /// What somebody holds who is told of touched pieces alone.
    mirror: BTreeMap<ResourceKey, Resource>,
    /// And what was said against Services' slices and against classes.
    said: BTreeMap<Name, Vec<Diagnostic>>,
    said_of_classes: Vec<Diagnostic>,
}

impl World {
    fn new() -> Self {
        let translator = Translator::new(Options::for_cluster(common::NOW));
        let (said, said_of_classes) = (BTreeMap::new(), Vec::new());
        Self { texts: BTreeMap::new(), translator, mirror: BTreeMap::new(), said, said_of_classes }
    }

    fn objects(&self) -> Objects {
        common::objects(&self.texts.values().copied().collect::<Vec<_>>().join("\n---\n"))
    }

    /// Puts a variant into each of some slots, or nothing if there is no such variant, and translates once.
    fn change(&mut self, changes: &[(usize, usize)]) -> Touched {
        let mut changed = Changed::default();
        for (slot, variant) in changes {
            let before = self.objects();
            match SLOTS[*slot].get(*variant) {
                Some(text) => drop(self.texts.insert(*slot, text)),
                None => drop(self.texts.remove(slot)),
            }
            for objects in [before, self.objects()] {
                note(&mut changed, &objects, SLOTS[*slot][0]);
            }
        }
        let touched = self.translator.update(&self.objects(), &changed);
        for key in &touched.resources {
            match self.translator.resource(key) {
                Some(resource) => drop(self.mirror.insert(key.clone(), resource)),
                None => drop(self.mirror.remove(key)),
            }
        }
        for name in &touched.services {
            self.said.remove(name);
            let said = self.translator.said_of_service(name);
            self.said.extend((!said.is_empty()).then(|| (name.clone(), said)));
        }
        if touched.classes {
            self.said_of_classes = self.translator.said_of_classes().cloned().collect();
        }
        touched
    }
}

/// Notes every object of the kind that `text` is of.
fn note(changed: &mut Changed, objects: &Objects, text: &str) {
    fn names<T: Kind>(store: &Store<T>) -> impl Iterator<Item = Name> {
        store.iter().map(|(name, _)| name)
    }
    match text.split_whitespace().nth(1) {
        Some("UpstreamGroup") => {
            let ids = names(&objects.upstream_groups).map(|(namespace, name)| GroupId::new(&namespace, &name));
            changed.groups.extend(ids);
        }
        Some("Service") => changed.services.extend(names(&objects.services)),
        Some("EndpointSlice") => changed.slices.extend(names(&objects.endpoint_slices)),
        _ => changed.routes = true,
    }
}

proptest! {
    #[test]
    fn what_is_kept_up_to_date_is_what_there_is(
        steps in prop::collection::vec(prop::collection::vec((0..SLOTS.len(), 0_usize..4), 1..3), 1..24),
    ) {
        let mut world = World::new();
        for step in steps {
            world.change(&step);
            let fresh = translate(&world.objects(), &Options::for_cluster(common::NOW));
            let kept = world.translator.translation();
            prop_assert_eq!(&kept.config, &fresh.config);
            prop_assert_eq!(kept.diagnostics, fresh.diagnostics);
            let mirrored: Config = world.mirror.values().cloned().collect();
            prop_assert_eq!(mirrored.revision(), fresh.config.revision());

            let mut fresh = Translator::new(Options::for_cluster(common::NOW));
            fresh.update(&world.objects(), &Changed::everything(&world.objects()));
            let said = ["app", "web"].into_iter().filter_map(|name| {
                let name = (Arc::from("default"), Arc::from(name));
                Some(fresh.said_of_service(&name)).filter(|said| !said.is_empty()).map(|said| (name, said))
            });
            prop_assert_eq!(&world.said, &said.collect());
            prop_assert_eq!(&world.said_of_classes, &fresh.said_of_classes().cloned().collect::<Vec<_>>());
        }
    }
}

#[test]
fn an_endpoint_leads_to_the_groups_that_use_it_and_no_further() {
    let mut world = World::new();
    let all: Vec<_> = (0..SLOTS.len()).map(|slot| (slot, 0)).collect();
    world.change(&all);
    let touched = world.change(&[(4, 1)]);
    let keys: Vec<_> = touched.resources.iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["group/default/app:80", "group/default/g"]);
    let groups: Vec<_> = touched.groups.iter().map(ToString::to_string).collect();
    assert_eq!((groups, touched.ingresses.len()), (vec!["default/g".to_owned()], 0));
}

#[test]
fn what_is_said_of_slices_is_said_of_the_services_that_somebody_refers_to() {
    let mut world = World::new();
    let app = (Arc::from("default"), Arc::from("app"));
    let codes = |world: &World| world.said.get(&app).into_iter().flatten().map(|said| said.code).collect::<Vec<_>>();
    world.change(&[(1, 0), (3, 2), (4, 0)]);
    assert_eq!(codes(&world), [""; 0], "nobody refers to it");
    world.change(&[(5, 0)]);
    assert_eq!(codes(&world), ["FB4005", "FB4006"]);
    world.change(&[(3, 0)]);
    assert_eq!(codes(&world), ["FB4006"]);
    world.change(&[(5, 1)]);
    assert_eq!(codes(&world), [""; 0]);
    // A route refers to it, too.
    world.change(&[(0, 0), (8, 0)]);
    assert_eq!(codes(&world), ["FB4006"]);
    world.change(&[(4, 3)]);
    assert_eq!(codes(&world), [""; 0]);

    let codes = |world: &World| world.said_of_classes.iter().map(|said| said.code).collect::<Vec<_>>();
    world.change(&[(12, 0)]);
    assert_eq!(codes(&world), ["FB5004"]);
    world.change(&[(12, 1)]);
    assert_eq!(codes(&world), [""; 0]);
}

/// An update in words: the documents there are now, and those that are other than before.
fn update(translator: &mut Translator, yaml: &str, groups: &[&str]) -> Config {
    let objects = common::objects(yaml);
    let groups = groups.iter().map(|name| GroupId::new("default", name)).collect();
    let slices = objects.endpoint_slices.iter().map(|(name, _)| name).collect();
    translator.update(&objects, &Changed { groups, slices, routes: true, ..Changed::default() });
    translator.translation().config
}

#[test]
fn a_refused_version_leaves_the_last_good_one_in_force_and_its_endpoints_go_on() {
    let service = "kind: Service\nmetadata: {name: app}\nspec: {ports: [{name: http, port: 80}]}\n---\n";
    let slice = |address: &str| {
        format!(
            "kind: EndpointSlice\nmetadata: {{name: s, labels: {{kubernetes.io/service-name: app}}}}\naddressType: IPv4\n\
             ports: [{{name: http, port: 80}}]\nendpoints: [{{addresses: [{address}]}}]\n---\n"
        )
    };
    let group = |uid: &str, protocol: &str| {
        format!(
            "kind: UpstreamGroup\nmetadata: {{name: g, uid: {uid}}}\nspec: {{protocol: {protocol}, servers: [{{name: a, \
             service: {{name: app, port: http}}}}]}}"
        )
    };
    let mut translator = Translator::new(Options::for_cluster(common::NOW));
    let first = service.to_owned() + &slice("10.0.0.1") + &group("one", "HTTP1");
    assert_eq!(common::addresses(&update(&mut translator, &first, &["g"]), "default/g"), ["10.0.0.1:80"]);

    let refused = service.to_owned() + &slice("10.0.0.2") + &group("one", "H2");
    assert_eq!(common::addresses(&update(&mut translator, &refused, &["g"]), "default/g"), ["10.0.0.2:80"]);
    assert_eq!(translator.said_of_group(&GroupId::new("default", "g")).len(), 1);
    let moved = refused.replace("10.0.0.2", "10.0.0.3");
    assert_eq!(common::addresses(&update(&mut translator, &moved, &[]), "default/g"), ["10.0.0.3:80"]);

    // Deleted and made again: another object, of which nothing good is known.
    let other = service.to_owned() + &group("two", "H2");
    assert!(update(&mut translator, &other, &["g"]).groups.is_empty());
}

#[test]
fn a_refused_ingress_keeps_its_last_good_routes() {
    let class = "kind: IngressClass\nmetadata: {name: ours}\nspec: {controller: forebay.dev/ingress-controller}\n---\n";
    let group = "kind: UpstreamGroup\nmetadata: {name: g}\nspec: {servers: [{name: a, address: '10.0.0.1:80'}]}\n---\n";
    let ingress = |host: &str, path: &str| {
        format!(
            "kind: Ingress\nmetadata: {{name: i}}\nspec:\n  ingressClassName: ours\n  rules:\n  - host: {host}\n    http: \
             {{paths: [{{path: '{path}', pathType: Prefix, backend: {{resource: {{apiGroup: forebay.dev, kind: \
             UpstreamGroup, name: g}}}}}}]}}"
        )
    };
    let mut translator = Translator::new(Options::for_cluster(common::NOW));
    let mut routes = |ingress: &str| {
        let config = update(&mut translator, &(class.to_owned() + group + ingress), &["g"]);
        common::routes(&config)
    };
    assert_eq!(routes(&ingress("a.example", "/")), ["a.example / -> default/g"]);
    assert_eq!(routes(&ingress("b.example", "no-slash")), ["a.example / -> default/g"]);
    assert_eq!(routes(&ingress("b.example", "/x")), ["b.example /x -> default/g"]);
    assert_eq!(routes(""), [""; 0]);
}

#[test]
fn a_refused_ingress_needs_the_services_of_the_version_in_force() {
    let documents = |path: &str, service: &str| {
        format!(
            "kind: IngressClass\nmetadata: {{name: ours}}\nspec: {{controller: forebay.dev/ingress-controller}}\n---\n\
             kind: Service\nmetadata: {{name: one}}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
             kind: Service\nmetadata: {{name: two}}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
             kind: Ingress\nmetadata: {{name: i}}\nspec:\n  ingressClassName: ours\n  rules:\n  - http: {{paths: [{{path: \
             '{path}', pathType: Prefix, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}]}}"
        )
    };
    let mut translator = Translator::new(Options::for_cluster(common::NOW));
    let mut groups = |path: &str, service: &str| -> Vec<_> {
        let config = update(&mut translator, &documents(path, service), &[]);
        config.groups.keys().map(ToString::to_string).collect()
    };
    // Nothing else is known of it, and data planes may have its routes from an earlier controller.
    assert_eq!(groups("no-slash", "one"), ["default/one:80"]);
    assert_eq!(groups("/", "one"), ["default/one:80"]);
    assert_eq!(groups("no-slash", "two"), ["default/one:80"]);
    assert_eq!(groups("/", "two"), ["default/two:80"]);
}

#[test]
fn what_an_earlier_controller_may_have_told_of_a_refused_ingress_is_not_known() {
    let class = "kind: IngressClass\nmetadata: {name: ours}\nspec: {controller: forebay.dev/ingress-controller}\n---\n";
    let ingress = |name: &str, host: &str, path: &str| {
        format!(
            "kind: Ingress\nmetadata: {{name: {name}}}\nspec:\n  ingressClassName: ours\n  tls: [{{hosts: [{host}], secretName: \
             {name}}}]\n  rules:\n  - host: {host}\n    http: {{paths: [{{path: '{path}', pathType: Prefix, backend: {{resource: \
             {{apiGroup: forebay.dev, kind: UpstreamGroup, name: g}}}}}}]}}\n---\n"
        )
    };
    let mut translator = Translator::new(Options::for_cluster(common::NOW));
    let mut unknown = |ingresses: &[String]| {
        let objects = common::objects(&(class.to_owned() + &ingresses.concat()));
        let touched = translator.update(&objects, &Changed { routes: true, ..Changed::default() });
        let (unknown, known): (Vec<_>, Vec<_>) =
            touched.resources.iter().partition(|key| translator.is_unknown(key) && translator.resource(key).is_none());
        [unknown, known].map(|keys| keys.into_iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let none = || Vec::<String>::new();
    let (refused, shared) = (ingress("a", "a.example", "no-slash"), ingress("b", "b.example", "no-slash"));
    let held = ["cert/default/a", "cert/default/b", "route/a.example", "route/b.example"].map(str::to_owned).to_vec();
    // Another Ingress of the same host takes it.
    let other = ingress("c", "b.example", "/");
    assert_eq!(unknown(&[refused.clone(), shared.clone()]), [held, none()]);
    assert_eq!(unknown(&[refused.clone(), shared.clone(), other]), [none(), vec!["route/b.example".to_owned()]]);
    // With it goes what it told: that is known.
    assert_eq!(unknown(&[refused.clone(), shared]), [none(), vec!["route/b.example".to_owned()]]);
    // And what is refused later never was in force.
    assert_eq!(unknown(&[refused, ingress("d", "d.example", "no-slash")]), [none(), vec!["cert/default/b".to_owned()]]);
    assert_eq!(unknown(&[]), [none(), vec!["cert/default/a".to_owned(), "route/a.example".to_owned()]]);
}

#[test]
fn an_answer_of_the_dns_touches_who_uses_the_name() {
    let group = |name: &str, dns: &str, rest: &str| {
        let server = format!("{{name: a, dns: {{name: {dns}, port: 80}}}}");
        format!("kind: UpstreamGroup\nmetadata: {{name: {name}}}\nspec: {{servers: [{server}]{rest}}}")
    };
    let names = |ip: &str| [(Arc::from("one.example"), [ip.parse().unwrap()])].into_iter().collect::<Names>();
    let objects = common::objects(&[group("g", "one.example", ""), group("h", "two.example", "")].join("\n---\n"));
    let mut translator = Translator::new(Options::for_cluster(common::NOW));
    translator.update(&objects, &Changed::everything(&objects));
    assert_eq!(translator.names(), ["one.example", "two.example"].map(Arc::from).into());

    let id: GroupId = "default/g".parse().unwrap();
    assert_eq!(translator.resolve(names("10.0.0.1"), &objects).groups, [id.clone()].into());
    assert_eq!(translator.resolve(names("10.0.0.1"), &objects), Touched::default());
    let expected = translate(&objects, &Options { names: names("10.0.0.1"), ..Options::for_cluster(common::NOW) });
    assert_eq!(translator.translation().config, expected.config);

    // The version in force is followed while a newer one is refused.
    let objects = common::objects(&group("g", "three.example", ", protocol: H2"));
    translator.update(&objects, &Changed { groups: [id.clone()].into(), ..Changed::default() });
    assert!(translator.names().contains("one.example") && translator.names().contains("three.example"));
    translator.resolve(names("10.0.0.2"), &objects);
    let servers = &translator.group(&id).unwrap().servers;
    assert_eq!(servers.iter().map(|server| server.address.to_string()).collect::<Vec<_>>(), ["10.0.0.2:80"]);
}
