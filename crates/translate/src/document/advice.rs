//! What is allowed and will still surprise: warnings on groups that are otherwise whole.

use std::collections::HashMap;

use api::UpstreamGroup;
use config::{Diagnostic, Severity};

use super::{SourceMap, codes};

/// Nothing surprises.
pub(super) fn none<T>(_: &T, _: &SourceMap) -> Vec<Diagnostic> {
    Vec::new()
}

/// nginx takes the first server of a route (`ngx_http_upstream_sticky_module.c`), and names those without one by a hash. A route of
/// a line that stands for several servers is that of each of them.
pub(super) fn routes(group: &UpstreamGroup, source: &SourceMap) -> Vec<Diagnostic> {
    let servers = &group.spec.servers;
    let warning = |field: String, message: String, hint: &str| {
        let at = source.locate(&field);
        Diagnostic::new(codes::ROUTE, Severity::Warning, message).field(field).at(at).hint(hint)
    };
    let by_route = group.spec.sticky.as_ref().is_some_and(|sticky| sticky.route.is_some());
    let mut warnings = Vec::new();
    let mut first = HashMap::new();
    for (index, server) in servers.iter().enumerate() {
        let Some(route) = &server.route else { continue };
        let many = match (&server.service, &server.dns) {
            (Some(service), _) => Some(format!("every endpoint of Service {}", service.name)),
            (None, Some(dns)) => Some(format!("every address of {}", dns.name)),
            (None, None) => None,
        };
        if let Some(many) = many.filter(|_| group.spec.sticky.is_some()) {
            let message = format!("{many} has the route {route}, and the first of them gets every session");
            let hint = if by_route {
                "name its servers by address, each with a route of its own, or tie sessions by a cookie"
            } else {
                "leave it out, so that each of them is known by the hash of its address"
            };
            warnings.push(warning(format!("spec.servers[{index}].route"), message, hint));
        }
        let named = first.entry(route).or_insert(&server.name);
        if **named != server.name {
            let message = format!("server {named} has the route {route} too, and gets every session of it");
            warnings.push(warning(
                format!("spec.servers[{index}].route"),
                message,
                "give each server a route of its own",
            ));
        }
    }
    if by_route && first.is_empty() {
        let message = "no server has a route, so that a session can name its server only by the hash of its address";
        let hint = "give each server a route, such as the one its application appends to the session's id";
        warnings.push(warning("spec.sticky.route".into(), message.into(), hint));
    }
    warnings
}
