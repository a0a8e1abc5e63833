//! Objects from YAML, what is left of them in a cluster, and the parts of a translation that tests look at.
#![allow(dead_code, clippy::missing_panics_doc, reason = "every test binary uses another part; a test panics to fail")]

pub mod trimmed;

use config::{Availability, Config, Group, Severity, Target};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use translate::{Located, Objects, Options, Translation, translate};

use trimmed::{assert_same, trimmed};

/// When all of this happens.
pub const NOW: Timestamp = Timestamp::constant(1_795_341_600, 0);

/// Objects from documents separated by `---`. A namespace that is left out is `default`.
pub fn objects(yaml: &str) -> Objects {
    let mut objects = Objects::default();
    for text in yaml.split("\n---\n").filter(|text| !text.trim().is_empty()) {
        let mut value: Value = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let kind = value["kind"].as_str().expect("a kind").to_owned();
        if kind != "IngressClass" && value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = "default".into();
        }
        match kind.as_str() {
            "UpstreamGroup" => drop(objects.upstream_groups.put(object(value))),
            "Ingress" => drop(objects.ingresses.put(object(value))),
            "IngressClass" => drop(objects.ingress_classes.put(object(value))),
            "Secret" => drop(objects.secrets.put(object(value))),
            "ConfigMap" => drop(objects.config_maps.put(object(value))),
            "Service" => drop(objects.services.put(object(value))),
            "EndpointSlice" => drop(objects.endpoint_slices.put(object(value))),
            other => panic!("{other} is no kind of ours"),
        }
    }
    objects
}

fn object<T: DeserializeOwned>(value: Value) -> Located<T> {
    let text = value.to_string();
    serde_json::from_value::<T>(value).unwrap_or_else(|error| panic!("{error}: {text}")).into()
}

pub fn files(yaml: &str) -> Translation {
    let (objects, options) = (objects(yaml), Options::for_files(NOW));
    let translation = translate(&objects, &options);
    assert_same(&translation, &translate(&trimmed(&objects), &options));
    translation
}

/// The servers of a group as `address` in order, `address!` for draining ones.
pub fn addresses(config: &Config, id: &str) -> Vec<String> {
    let mark = |availability| match availability {
        Availability::Up => "",
        Availability::Down => "-",
        Availability::Drain => "!",
    };
    group(config, id).servers.iter().map(|s| format!("{}{}", s.address, mark(s.availability))).collect()
}

pub fn group<'c>(config: &'c Config, id: &str) -> &'c Group {
    let id = id.parse().expect("NAMESPACE/NAME");
    config.groups.get(&id).unwrap_or_else(|| panic!("no {id} in {:?}", config.groups.keys()))
}

/// Every diagnostic as `CODE severity Kind ns/name field`.
pub fn said(translation: &Translation) -> Vec<String> {
    (translation.diagnostics.iter())
        .map(|d| {
            let object = d.object.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} {} {object} {}", d.code, d.severity, d.field.as_deref().unwrap_or_default())
        })
        .collect()
}

pub fn errors(translation: &Translation) -> usize {
    translation.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
}

/// The routes as `host path -> target`, one a line.
pub fn routes(config: &Config) -> Vec<String> {
    let show = |target: &Target| match target {
        Target::Group(id) => id.to_string(),
        Target::Unavailable { .. } => "503".to_owned(),
    };
    let mut lines = Vec::new();
    for host in &config.routes.hosts {
        for route in &host.paths {
            let path = match &route.path {
                config::PathMatch::Exact(path) => format!("={path}"),
                config::PathMatch::Prefix(path) => path.to_string(),
            };
            lines.push(format!("{} {path} -> {}", host.host, show(&route.target)));
        }
        if let Some(default) = &host.default {
            lines.push(format!("{} default -> {}", host.host, show(default)));
        }
    }
    lines
}
