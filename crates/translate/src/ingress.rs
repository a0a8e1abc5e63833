//! Ingress v1 to routes: hosts, paths, default backends, and who wins when two objects claim one place.
//!
//! By the API's book (`networking.k8s.io/v1`, "Multiple matches", "Wildcard certificates" and the field documentation):
//! `Exact` is compared as it stands, `Prefix` element by element. `ImplementationSpecific` is a `Prefix` here, which is what
//! most controllers make of it. Where two Ingresses claim one host and path the older keeps it, then the one first by
//! namespace and name; objects without an age, such as files, come after those with one.
//!
//! An Ingress with an error is refused whole before it claims anything, and one that names a Secret whose content is on its
//! way waits for it; the version before stays in force. If no version before it is known, what data planes may
//! have of one from an earlier controller is named, so that it need not be taken from them.

use std::collections::BTreeSet;
use std::sync::Arc;

use config::{CertificateId, Diagnostic, HostPattern, PathMatch, ResourceKey, Routes, Severity, Target};
use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressSpec};

use crate::backends::Backends;
use crate::by_name::Name;
use crate::classes::Classes;
use crate::codes;
use crate::document::{Located, Objects, Store};
use crate::kind::{name, namespace};
use crate::references;
use crate::report::{Reading, Report};
use crate::table::{Table, Taken};
use crate::tls::{self, Certificates};

/// Annotations of other controllers that people migrate from.
const FOREIGN_PREFIXES: [&str; 3] = ["nginx.ingress.kubernetes.io/", "nginx.org/", "nginx.com/"];

/// What one Ingress asks for, once nothing in it is refused.
struct Claims {
    rules: Vec<Rule>,
    /// `spec.defaultBackend`
    default: Option<Target>,
    /// `spec.tls`
    tls: Vec<tls::Entry>,
}

struct Rule {
    host: HostPattern,
    paths: Vec<Path>,
}

struct Path {
    field: String,
    matches: PathMatch,
    target: Target,
}

/// What the Ingresses come to.
pub struct Routed {
    /// The routes of every Ingress that is ours.
    pub routes: Routes,
    /// The Ingresses that are ours.
    pub served: BTreeSet<Name>,
    /// The last version of each that was not refused.
    pub good: Store<Ingress>,
    /// What those name of which no version can be used.
    pub unknown: BTreeSet<ResourceKey>,
}

/// Reads every Ingress that is ours. Of one that is refused, the version in `good` stays in force, if there is one.
pub fn routes(
    objects: &Objects,
    classes: &Classes<'_>,
    good: &Store<Ingress>,
    backends: &mut Backends<'_>,
    certificates: &mut Certificates<'_>,
    report: &mut Report,
) -> Routed {
    let mut ingresses: Vec<_> = objects.ingresses.iter().collect();
    ingresses.sort_by(|(a_name, a), (b_name, b)| {
        let age = |ingress: &Ingress| ingress.metadata.creation_timestamp.clone();
        let (a_age, b_age) = (age(a), age(b));
        (a_age.is_none(), a_age, a_name).cmp(&(b_age.is_none(), b_age, b_name))
    });
    let mut claims = Vec::new();
    let (mut served, mut next_good, mut unknown) = (BTreeSet::new(), Store::default(), BTreeSet::new());
    for (name, ingress) in ingresses {
        if !classes.serve(ingress, report) {
            continue;
        }
        say_foreign_annotations(ingress, report);
        let last = good.find(&name.0, &name.1).filter(|last| last.metadata.uid == ingress.metadata.uid);
        let mut read = |version: &'_ _, report: &mut Report| read(&mut report.read(version), backends, certificates);
        let in_force = if objects.fetching.has_any(&name.0, references::of_ingress(ingress)) {
            last.and_then(|last| Some((last, read(last, report)?)))
        } else if let Some(claims) = read(ingress, report) {
            Some((ingress, claims))
        } else {
            // Nothing new is wrong with what was found good.
            last.and_then(|last| Some((last, read(last, &mut Report::default())?)))
        };
        // Also if there is no other version and this one is refused: data planes may have its routes from an earlier controller.
        backends.keep();
        if let Some((version, mut claim)) = in_force {
            let hosts: Vec<_> = claim.rules.iter().map(|rule| &rule.host).collect();
            certificates.claim(version, std::mem::take(&mut claim.tls), &hosts, report);
            next_good.insert(&name.0, &name.1, version.clone());
            claims.push((version.clone(), claim));
        } else {
            unknown.extend(named(ingress));
        }
        served.insert(name);
    }
    Routed { routes: fill(claims, report), served, good: next_good, unknown }
}

/// The hosts and certificates that an Ingress names, as far as they can be read.
fn named(ingress: &Ingress) -> Vec<ResourceKey> {
    let Some(spec) = &ingress.spec else { return Vec::new() };
    let rules = spec.rules.iter().flatten();
    let hosts = rules.filter_map(|rule| rule.host.as_deref().unwrap_or_default().parse().ok());
    let default = spec.default_backend.as_ref().map(|_| HostPattern::Any);
    let secrets = spec.tls.iter().flatten().filter_map(|tls| tls.secret_name.as_deref());
    let certificates = secrets.map(|name| CertificateId::new(namespace(&ingress.metadata), name));
    let routes = hosts.chain(default).map(ResourceKey::Route);
    routes.chain(certificates.map(ResourceKey::Certificate)).collect()
}

/// Lets every Ingress claim its places, the oldest first.
fn fill(claims: Vec<(Arc<Located<Ingress>>, Claims)>, report: &mut Report) -> Routes {
    let mut table = Table::default();
    let mut conflict = |ingress: &Located<Ingress>, field: &str, place: &str, taken: Taken| {
        let message = format!("{place} is already routed by {}; this one is not used", taken.by);
        report.say(ingress, Diagnostic::new(codes::CONFLICT, Severity::Warning, message).field(field));
    };
    let mut defaults = Vec::new();
    for (ingress, Claims { rules, default, tls: _ }) in claims {
        let origin: Arc<str> = format!("ingress {}/{}", namespace(&ingress.metadata), name(&ingress.metadata)).into();
        let has_rules = !rules.is_empty();
        for Rule { host, paths } in rules {
            table.host(&host);
            for Path { field, matches, target } in paths {
                let place = format!("{host} {}", describe(&matches));
                let claimed = table.path(&host, matches, target, &origin);
                claimed.unwrap_or_else(|taken| conflict(&ingress, &field, &place, taken));
            }
            if let Some(default) = &default {
                let claimed = table.host_default(&host, default, &origin);
                let place = format!("the default of {host}");
                claimed.unwrap_or_else(|taken| conflict(&ingress, "spec.defaultBackend", &place, taken));
            }
        }
        defaults.extend(default.map(|default| (has_rules, ingress, origin, default)));
    }
    // What is left is that of any host alone: as the default of every host it would keep from wildcards, and from rules for any
    // host, what these match. An Ingress without rules is there for it, and precedes those that have rules besides.
    defaults.sort_by_key(|(has_rules, ..)| *has_rules);
    for (has_rules, ingress, origin, default) in defaults {
        if let Err(taken) = table.host_default(&HostPattern::Any, &default, &origin)
            && !has_rules
        {
            conflict(&ingress, "spec.defaultBackend", "every unmatched request", taken);
        }
    }
    table.finish()
}

fn describe(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(path) => format!("{path} (Exact)"),
        PathMatch::Prefix(path) => format!("{path} (Prefix)"),
    }
}

fn read(
    reading: &mut Reading<'_, Ingress>,
    backends: &mut Backends<'_>,
    certificates: &mut Certificates<'_>,
) -> Option<Claims> {
    backends.start_over();
    let spec = reading.located.spec.as_ref();
    let empty = IngressSpec::default();
    let spec = spec.unwrap_or(&empty);
    let default =
        (spec.default_backend.as_ref()).and_then(|backend| backends.target(reading, "spec.defaultBackend", backend));
    let rules = spec.rules.as_deref().unwrap_or_default();
    if rules.is_empty() && spec.default_backend.is_none() {
        reading.error(codes::EMPTY, "spec", "the Ingress has neither rules nor a defaultBackend", "add one of the two");
    }
    let tls = certificates.entries(reading, tls_host);
    let mut claims = Claims { rules: Vec::with_capacity(rules.len()), default, tls };
    for (index, rule) in rules.iter().enumerate() {
        let host = host(reading, &format!("spec.rules[{index}].host"), rule.host.as_deref().unwrap_or_default());
        let paths = rule.http.as_ref().map_or(&[][..], |http| &http.paths);
        let paths: Vec<_> = (paths.iter().enumerate())
            .map(|(path_index, path)| {
                let field = format!("spec.rules[{index}].http.paths[{path_index}]");
                let target = backends.target(reading, &format!("{field}.backend"), &path.backend);
                let matches = path_match(reading, &field, path);
                Some(Path { matches: matches?, target: target?, field })
            })
            .collect();
        if let (Some(host), Some(paths)) = (host, paths.into_iter().collect()) {
            claims.rules.push(Rule { host, paths });
        }
    }
    (!reading.is_refused()).then_some(claims)
}

fn host(reading: &mut Reading<'_, Ingress>, field: &str, text: &str) -> Option<HostPattern> {
    if text == "*" || text.parse::<std::net::IpAddr>().is_ok() {
        let message = format!("\"{text}\" is not a host; write a DNS name, or *.NAME for exactly one label more");
        reading.error(codes::HOST, field, message, "leave host out to match any host");
        return None;
    }
    text.parse()
        .map_err(|error: config::HostPatternError| reading.error(codes::HOST, field, error.to_string(), ""))
        .ok()
}

/// A host of `spec.tls`, which unlike a rule's cannot be left out. The API server takes an address, which no client asks for by
/// name (RFC 6066 section 3).
fn tls_host(reading: &mut Reading<'_, Ingress>, field: &str, text: &str) -> Option<HostPattern> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        let message = format!("\"{text}\" is an address, and TLS asks for certificates by name; it is passed over");
        let hint = "leave hosts out, in an Ingress for any host, to make this the default certificate";
        reading.say(Diagnostic::new(codes::TLS_ADDRESS, Severity::Warning, message).field(field).hint(hint));
        return None;
    }
    if text.is_empty() {
        reading.error(codes::HOST, field, "the host is empty", "write a DNS name, or leave hosts out");
        return None;
    }
    host(reading, field, text)
}

/// The path as it is compared; the checks are the API server's (`validateHTTPIngressPath`).
fn path_match(reading: &mut Reading<'_, Ingress>, field: &str, path: &HTTPIngressPath) -> Option<PathMatch> {
    let text = path.path.as_deref().unwrap_or_default();
    let kind = path.path_type.as_str();
    let is_specific = kind == "ImplementationSpecific";
    if !is_specific && !matches!(kind, "Exact" | "Prefix") {
        let message = format!("pathType \"{kind}\" is not one");
        let hint = "write Exact, Prefix or ImplementationSpecific";
        reading.error(codes::PATH, format!("{field}.pathType"), message, hint);
        return None;
    }
    let text = if is_specific && text.is_empty() { "/" } else { text };
    let wrong = if text.starts_with('/') {
        let never = ["//", "/./", "/../", "%2f", "%2F"].into_iter().find(|part| text.contains(part));
        let end = ["/..", "/."].into_iter().find(|end| text.ends_with(end));
        let part = never.or(end).filter(|_| !is_specific);
        part.map(|part| (format!("a path with \"{part}\" matches no request"), "write it as $uri has it, such as /a/b"))
    } else {
        Some((format!("the path \"{text}\" does not begin with a slash"), "write an absolute path such as /api"))
    };
    if let Some((message, hint)) = wrong {
        reading.error(codes::PATH, format!("{field}.path"), message, hint);
        return None;
    }
    if is_specific && text.contains(['(', ')', '[', ']', '*', '|', '$', '^', '\\', '+', '?']) {
        let message =
            format!("the path \"{text}\" looks like a regular expression; it is compared as a literal prefix");
        reading.say(
            Diagnostic::new(codes::PATH_REGEX, Severity::Warning, message)
                .field(format!("{field}.path"))
                .hint("write the prefixes as paths of their own"),
        );
    }
    Some(if kind == "Exact" {
        PathMatch::Exact(text.into())
    } else {
        let bare = text.trim_end_matches('/');
        PathMatch::Prefix(if bare.is_empty() { "/" } else { bare }.into())
    })
}

fn say_foreign_annotations(ingress: &Located<Ingress>, report: &mut Report) {
    let keys = ingress.metadata.annotations.iter().flatten().map(|(key, _)| key.as_str());
    let foreign: Vec<_> = keys.filter(|key| FOREIGN_PREFIXES.iter().any(|prefix| key.starts_with(prefix))).collect();
    if !foreign.is_empty() {
        let message = format!("annotations of another controller do nothing here: {}", foreign.join(", "));
        report.say(
            ingress,
            Diagnostic::new(codes::FOREIGN_ANNOTATIONS, Severity::Note, message)
                .field("metadata.annotations")
                .hint("what they set may be a field of an UpstreamGroup named by backend.resource"),
        );
    }
}
