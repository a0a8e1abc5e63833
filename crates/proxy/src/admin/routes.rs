//! The routes in force as JSON: whom each host and path leads to, and what its clients are shown in TLS.

use config::{CertificateId, HostRoutes, PathMatch, Target};
use serde::Serialize;

use crate::clock::Moment;
use crate::snapshot::Snapshot;
use crate::variables::rfc3339_utc;

/// The routes of one host.
#[derive(Debug, Serialize)]
pub(super) struct VirtualHost<'a> {
    /// `*` for any.
    host: String,
    /// What a TLS listener presents for it; `null` if it refuses the host, or nobody listens for TLS.
    certificate: Option<Certificate<'a>>,
    routes: Vec<Route<'a>>,
    /// Where a request goes that no path matches; `null` is to the next host pattern, and then 404.
    default: Option<Leads<'a>>,
}

#[derive(Debug, Serialize)]
struct Certificate<'a> {
    namespace: &'a str,
    name: &'a str,
    expires: String,
}

#[derive(Debug, Serialize)]
struct Route<'a> {
    path: &'a str,
    /// As an Ingress calls it.
    r#type: &'static str,
    #[serde(flatten)]
    leads: Leads<'a>,
    /// The object that it comes from.
    origin: &'a str,
}

/// Where a route leads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Leads<'a> {
    /// `NAMESPACE/NAME`.
    Group(String),
    /// Nowhere, which is answered with 503, and why.
    Unavailable(&'a str),
}

/// Every host, in the order of the patterns' text.
pub(super) fn hosts(snapshot: &Snapshot) -> Vec<VirtualHost<'_>> {
    let presented = snapshot.certificates.presented();
    let hosts = snapshot.routes.hosts().iter();
    let mut hosts: Vec<_> = hosts.map(|routes| host(routes, presented(&routes.host))).collect();
    hosts.sort_unstable_by(|a, b| a.host.cmp(&b.host));
    hosts
}

/// A host that is presented this certificate, which expires so many seconds after the epoch.
fn host<'a>(routes: &'a HostRoutes, presented: Option<(&'a CertificateId, i64)>) -> VirtualHost<'a> {
    let certificate = |(id, expiry): (&'a CertificateId, i64)| {
        let micros = u64::try_from(expiry).unwrap_or(0).saturating_mul(1_000_000);
        Certificate { namespace: id.namespace(), name: id.name(), expires: rfc3339_utc(Moment::from(micros)) }
    };
    VirtualHost {
        host: routes.host.to_string(),
        certificate: presented.map(certificate),
        routes: routes.paths.iter().map(route).collect(),
        default: routes.default.as_ref().map(Leads::from),
    }
}

fn route(route: &config::PathRoute) -> Route<'_> {
    let (path, kind) = match &route.path {
        PathMatch::Exact(path) => (path, "Exact"),
        PathMatch::Prefix(path) => (path, "Prefix"),
    };
    Route { path, r#type: kind, leads: (&route.target).into(), origin: &route.origin }
}

impl<'a> From<&'a Target> for Leads<'a> {
    fn from(target: &'a Target) -> Self {
        match target {
            Target::Group(id) => Self::Group(id.to_string()),
            Target::Unavailable { reason } => Self::Unavailable(reason),
        }
    }
}
