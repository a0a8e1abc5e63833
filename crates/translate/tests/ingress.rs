//! Ingress v1: matching rules, precedence, defaults, classes, backends and conflicts.

mod common;

use common::{NOW, files, objects, routes, said};
use translate::{Classless, Options, Translation, translate};

const APP: &str = "
kind: Service
metadata: {name: app}
spec: {ports: [{name: http, port: 80}]}
---
kind: EndpointSlice
metadata: {name: app-1, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.0.0.1]}]
---
kind: UpstreamGroup
metadata: {name: group}
spec: {servers: [{name: a, address: '10.0.0.9:80'}]}
---
";

fn ingress(name: &str, meta: &str, spec: &str) -> String {
    format!("kind: Ingress\nmetadata: {{name: {name}{meta}}}\nspec: {spec}\n---\n")
}

fn class(name: &str, controller: &str, annotations: &str) -> String {
    format!("kind: IngressClass\nmetadata: {{name: {name}{annotations}}}\nspec: {{controller: {controller}}}\n---\n")
}

const OURS: &str = "forebay.dev/ingress-controller";
const SERVICE: &str = "backend: {service: {name: app, port: {number: 80}}}";
const BY_NAME: &str = "backend: {service: {name: app, port: {name: http}}}";
const RESOURCE: &str = "backend: {resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: group}}";

fn of(documents: &[String]) -> Translation {
    files(&format!("{APP}{}", documents.concat()))
}

#[test]
fn paths_of_every_type_lead_to_services_and_groups() {
    let translation = of(&[ingress(
        "web",
        "",
        &format!(
            "{{rules: [{{host: shop.example, http: {{paths: [
              {{path: /exact/, pathType: Exact, {SERVICE}}},
              {{path: /api/, pathType: Prefix, {RESOURCE}}},
              {{path: /, pathType: Prefix, {BY_NAME}}},
              {{pathType: ImplementationSpecific, path: /impl, {SERVICE}}}]}}}}]}}"
        ),
    )]);
    assert_eq!(said(&translation), Vec::<String>::new());
    assert_eq!(
        routes(&translation.config),
        [
            "shop.example =/exact/ -> default/app:80",
            "shop.example / -> default/app:80",
            "shop.example /api -> default/group",
            "shop.example /impl -> default/app:80"
        ]
    );
    assert_eq!(common::addresses(&translation.config, "default/app:80"), ["10.0.0.1:8080"]);
}

#[test]
fn hosts_may_be_wild_or_absent() {
    let rule = |host: &str| format!("{{{host}http: {{paths: [{{path: /, pathType: Prefix, {SERVICE}}}]}}}}");
    let rules = [rule(""), rule("host: '*.shop.example', "), rule("host: shop.example, ")].join(", ");
    let translation = of(&[ingress("web", "", &format!("{{rules: [{rules}]}}"))]);
    assert_eq!(
        routes(&translation.config),
        ["shop.example / -> default/app:80", "*.shop.example / -> default/app:80", "* / -> default/app:80"]
    );
}

#[test]
fn a_default_backend_without_rules_takes_everything_unmatched() {
    let translation = of(&[
        ingress("rest", "", "{defaultBackend: {service: {name: app, port: {number: 80}}}}"),
        ingress(
            "web",
            "",
            &format!("{{rules: [{{host: a.example, http: {{paths: [{{path: /x, pathType: Exact, {RESOURCE}}}]}}}}]}}"),
        ),
    ]);
    assert_eq!(routes(&translation.config), ["a.example =/x -> default/group", "* default -> default/app:80"]);
}

#[test]
fn a_default_backend_beside_rules_belongs_to_its_hosts_and_then_to_everybody() {
    let with_default = |host: &str, default: &str| {
        format!(
            "{{defaultBackend: {{{}}}, rules: [{{host: {host}, http: {{paths: [{{path: /x, pathType: Exact, {SERVICE}}}]}}}}]}}",
            default.trim_start_matches("backend: {").trim_end_matches('}').to_owned()
                + &"}".repeat(default.matches('{').count() - 1)
        )
    };
    let translation = of(&[
        ingress("b", "", &with_default("b.example", SERVICE)),
        ingress("a", "", &with_default("a.example", RESOURCE)),
        ingress("bare", "", "{rules: [{host: c.example}]}"),
    ]);
    assert_eq!(said(&translation), Vec::<String>::new());
    assert_eq!(
        routes(&translation.config),
        [
            "a.example =/x -> default/app:80",
            "a.example default -> default/group",
            "b.example =/x -> default/app:80",
            "b.example default -> default/app:80",
            "* default -> default/group"
        ]
    );
}

/// As the default of `a.example` it would take from the wildcard and from the rule without a host what those match.
#[test]
fn a_default_backend_without_rules_takes_no_request_that_another_ingress_has_a_rule_for() {
    let one = |name: &str, host: &str, path: &str| {
        let rule = format!("{host}http: {{paths: [{{path: {path}, pathType: Prefix, {RESOURCE}}}]}}");
        ingress(name, "", &format!("{{rules: [{{{rule}}}]}}"))
    };
    let ingresses = [
        one("a", "host: a.example, ", "/x"),
        one("b", "", "/y"),
        one("w", "host: '*.example', ", "/z"),
        ingress("c", "", "{defaultBackend: {service: {name: app, port: {number: 80}}}}"),
    ];
    assert_eq!(
        routes(&of(&ingresses).config),
        [
            "a.example /x -> default/group",
            "*.example /z -> default/group",
            "* /y -> default/group",
            "* default -> default/app:80"
        ]
    );
}

#[test]
fn the_default_of_an_ingress_for_any_host_comes_before_one_that_has_no_rules() {
    let own = format!(
        "{{defaultBackend: {}, rules: [{{http: {{paths: [{{path: /x, pathType: Exact, {SERVICE}}}]}}}}]}}",
        RESOURCE.trim_start_matches("backend: ")
    );
    let rest = "{defaultBackend: {service: {name: app, port: {number: 80}}}}";
    let translation = of(&[ingress("a-rest", "", rest), ingress("own", "", &own), ingress("rest", "", rest)]);
    assert_eq!(routes(&translation.config), ["* =/x -> default/app:80", "* default -> default/group"]);
    let shadowed = |name: &str| format!("FB5010 warning Ingress default/{name} spec.defaultBackend");
    assert_eq!(said(&translation), [shadowed("a-rest"), shadowed("rest")]);
}

fn simple(name: &str, meta: &str, class: &str) -> String {
    ingress(
        name,
        meta,
        &format!(
            "{{{class}rules: [{{host: {name}.example, http: {{paths: [{{path: /, pathType: Prefix, {SERVICE}}}]}}}}]}}"
        ),
    )
}

fn served(documents: &str, options: &Options) -> Vec<String> {
    let translation = translate(&objects(documents), options);
    routes(&translation.config).iter().map(|route| route.split('.').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn classes_by_field_annotation_and_default() {
    let annotated = |class: &str| format!(", annotations: {{kubernetes.io/ingress.class: {class}}}");
    let documents = format!(
        "{APP}{}{}{}{}{}{}{}",
        class("mine", OURS, ""),
        class("theirs", "k8s.io/ingress-nginx", ""),
        simple("field", "", "ingressClassName: mine, "),
        simple("foreign", "", "ingressClassName: theirs, "),
        simple("legacy", &annotated("mine"), ""),
        simple("both", &annotated("theirs"), "ingressClassName: mine, "),
        simple("none", "", ""),
    );
    assert_eq!(served(&documents, &Options::for_files(NOW)), ["both", "field", "legacy"]);
    let everybody = Options { classless: Classless::Serve, ..Options::for_files(NOW) };
    assert_eq!(served(&documents, &everybody), ["both", "field", "legacy", "none"]);
    let with_default = documents
        .replace("{name: mine}", "{name: mine, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}");
    assert_eq!(served(&with_default, &Options::for_cluster(NOW)), ["both", "field", "legacy", "none"]);
    let one = Options { ingress_class: Some("theirs".into()), ..Options::for_files(NOW) };
    assert_eq!(served(&documents, &one), ["foreign"]);
    assert_eq!(
        said(&files(&documents)),
        [
            "FB5003 note Ingress default/both metadata.annotations[kubernetes.io/ingress.class]",
            "FB5002 note Ingress default/foreign spec.ingressClassName",
            "FB5003 note Ingress default/legacy metadata.annotations[kubernetes.io/ingress.class]",
            "FB5002 note Ingress default/none spec"
        ]
    );
}

#[test]
fn without_any_class_a_laptop_is_served_and_a_cluster_is_not() {
    let documents = format!("{APP}{}", simple("plain", "", ""));
    assert_eq!(served(&documents, &Options::for_files(NOW)), ["plain"]);
    assert_eq!(served(&documents, &Options::for_cluster(NOW)), Vec::<String>::new());
}

#[test]
fn a_class_that_does_not_exist_is_said_unless_it_was_asked_for() {
    let documents = format!("{APP}{}", simple("web", "", "ingressClassName: nginx, "));
    assert_eq!(said(&files(&documents)), ["FB5001 warning Ingress default/web spec.ingressClassName"]);
    let asked = Options { ingress_class: Some("nginx".into()), ..Options::for_files(NOW) };
    assert_eq!(served(&documents, &asked), ["web"]);
}

#[test]
fn of_several_default_classes_the_newest_counts() {
    let default = |name: &str, controller: &str, year: u32| {
        class(
            name,
            controller,
            &format!(
                ", creationTimestamp: '{year}-01-01T00:00:00Z', annotations: {{ingressclass.kubernetes.io/is-default-class: 'true'}}"
            ),
        )
    };
    let documents = format!(
        "{APP}{}{}{}",
        default("old", "example.com/other", 2020),
        default("new", OURS, 2024),
        simple("web", "", "")
    );
    assert_eq!(served(&documents, &Options::for_cluster(NOW)), ["web"]);
    assert_eq!(said(&files(&documents)), ["FB5004 warning IngressClass old metadata.annotations"]);
}

#[test]
fn the_older_of_two_claims_holds() {
    let claim = |name: &str, age: &str, backend: &str, path: &str| {
        ingress(
            name,
            age,
            &format!(
                "{{rules: [{{host: a.example, http: {{paths: [{{path: {path}, pathType: Prefix, {backend}}}]}}}}]}}"
            ),
        )
    };
    let young = claim("m", ", creationTimestamp: '2026-01-02T00:00:00Z'", SERVICE, "/x");
    let old = claim("z", ", creationTimestamp: '2026-01-01T00:00:00Z'", RESOURCE, "/x/");
    let ageless = claim("a", "", SERVICE, "/x");
    let translation = of(&[young, old, ageless]);
    assert_eq!(routes(&translation.config), ["a.example /x -> default/group"]);
    assert_eq!(
        said(&translation),
        [
            "FB5010 warning Ingress default/a spec.rules[0].http.paths[0]",
            "FB5010 warning Ingress default/m spec.rules[0].http.paths[0]"
        ]
    );
    assert!(translation.diagnostics[0].message.contains("ingress default/z"));
}

#[test]
fn exact_and_prefix_of_one_path_do_not_conflict() {
    let both = ingress(
        "web",
        "",
        &format!(
            "{{rules: [{{http: {{paths: [{{path: /x, pathType: Prefix, {SERVICE}}}, {{path: /x, pathType: Exact, {RESOURCE}}}]}}}}]}}"
        ),
    );
    assert_eq!(routes(&of(&[both]).config), ["* =/x -> default/group", "* /x -> default/app:80"]);
}

#[test]
fn a_backend_that_does_not_resolve_answers_503_and_is_said() {
    let path = |path: &str, backend: &str| format!("{{path: /{path}, pathType: Exact, backend: {{{backend}}}}}");
    let paths = [
        path("a", "service: {name: gone, port: {number: 80}}"),
        path("b", "service: {name: app, port: {name: https}}"),
        path("c", "resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: grup}"),
        path("d", "resource: {apiGroup: k8s.example.com, kind: StorageBucket, name: x}"),
    ];
    let translation = of(&[ingress("web", "", &format!("{{rules: [{{http: {{paths: [{}]}}}}]}}", paths.join(", ")))]);
    assert!(routes(&translation.config).iter().all(|route| route.ends_with("-> 503")));
    assert_eq!(
        said(&translation),
        [
            "FB4001 warning Ingress default/web spec.rules[0].http.paths[0].backend.service.name",
            "FB4002 warning Ingress default/web spec.rules[0].http.paths[1].backend.service.port",
            "FB4004 warning Ingress default/web spec.rules[0].http.paths[2].backend.resource.name",
            "FB5008 warning Ingress default/web spec.rules[0].http.paths[3].backend.resource"
        ]
    );
    let hints: Vec<_> = translation.diagnostics.iter().filter_map(|d| d.hint.as_deref()).collect();
    assert_eq!(&hints[1..3], ["it has http (80)", "did you mean group?"]);
}

#[test]
fn an_ingress_with_an_error_is_refused_whole() {
    let path =
        |path: &str, kind: &str, backend: &str| format!("{{path: {path}, pathType: {kind}, backend: {{{backend}}}}}");
    let good = "service: {name: app, port: {number: 80}}";
    let paths = [
        path("/good", "Exact", good),
        path("relative", "Exact", good),
        path("/a//b", "Prefix", good),
        path("/x", "Regex", good),
        path("/y", "Exact", "service: {name: app}"),
        path("/z", "Exact", "service: {name: app, port: {number: 80}}, resource: {kind: A, name: b}"),
    ];
    let translation = of(&[
        ingress("bad", "", &format!("{{rules: [{{host: 10.0.0.1, http: {{paths: [{}]}}}}]}}", paths.join(", "))),
        ingress("empty", "", "{}"),
        simple("fine", "", ""),
    ]);
    assert_eq!(routes(&translation.config), ["fine.example / -> default/app:80"]);
    assert_eq!(
        said(&translation),
        [
            "FB5005 error Ingress default/bad spec.rules[0].host",
            "FB5006 error Ingress default/bad spec.rules[0].http.paths[1].path",
            "FB5006 error Ingress default/bad spec.rules[0].http.paths[2].path",
            "FB5006 error Ingress default/bad spec.rules[0].http.paths[3].pathType",
            "FB5008 error Ingress default/bad spec.rules[0].http.paths[4].backend.service.port",
            "FB5008 error Ingress default/bad spec.rules[0].http.paths[5].backend",
            "FB5009 error Ingress default/empty spec"
        ]
    );
    let hint = |nth: usize| translation.diagnostics[nth].hint.as_deref().unwrap();
    assert_eq!((hint(1), hint(2)), ("write an absolute path such as /api", "write it as $uri has it, such as /a/b"));
}

#[test]
fn habits_of_another_controller_are_pointed_out() {
    let migrated = ingress(
        "web",
        ", annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}",
        &format!(
            "{{rules: [{{http: {{paths: [{{path: '/api(/|$)(.*)', pathType: ImplementationSpecific, {SERVICE}}}]}}}}]}}"
        ),
    );
    assert_eq!(
        said(&of(&[migrated])),
        [
            "FB5011 note Ingress default/web metadata.annotations",
            "FB5007 warning Ingress default/web spec.rules[0].http.paths[0].path"
        ]
    );
}
