//! Host and path to a target: an Ingress's rules compiled for lookup.
//!
//! Precedence is the Ingress v1 API's: an exact host before a wildcard before any host; within a host an Exact path before the
//! longest Prefix; then the host's default. Where a host has neither a path for the request nor a default, the next pattern is
//! asked: its rules are for this host as well, and the default of any host is for what nobody's rules match.
//!
//! Paths are compared in the form of `$uri`, as nginx compares its locations: another spelling of a path is the same path.

use std::collections::HashMap;
use std::sync::Arc;

use config::{HostPattern, HostRoutes, PathMatch, Routes, Target};
use smallvec::SmallVec;

use crate::variables::normalise;

/// Every route, ready for lookup.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<Arc<str>, HostTable>,
    /// By suffix without the `*.`.
    wildcard: HashMap<Arc<str>, HostTable>,
    any: Option<HostTable>,
    /// What it was made of, for people.
    hosts: Vec<Arc<HostRoutes>>,
}

/// A matched route.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'a> {
    /// The host pattern (`$server_name`); `None` for any.
    pub server_name: Option<&'a Arc<str>>,
    /// Where it leads.
    pub target: &'a Target,
}

#[derive(Debug)]
struct HostTable {
    server_name: Option<Arc<str>>,
    exact: HashMap<Box<[u8]>, Target>,
    /// Without trailing slash; the root is the empty text.
    prefixes: HashMap<Box<[u8]>, Target>,
    /// Elements of the longest prefix, the empty one before the first slash included: what a path has beyond is not looked at.
    depth: usize,
    default: Option<Target>,
}

impl RouteTable {
    /// Compiles routes.
    pub fn new(routes: &Routes) -> Self {
        let mut table = Self { hosts: routes.hosts.clone(), ..Self::default() };
        for host in &routes.hosts {
            let compiled = HostTable::new(host);
            match &host.host {
                HostPattern::Exact(name) => {
                    table.exact.insert(name.clone(), compiled);
                }
                HostPattern::Wildcard(suffix) => {
                    table.wildcard.insert(suffix.clone(), compiled);
                }
                HostPattern::Any => table.any = Some(compiled),
            }
        }
        table
    }

    /// The routes as they were configured.
    pub fn hosts(&self) -> &[Arc<HostRoutes>] {
        &self.hosts
    }

    /// The route of a request to `host` (lower case, without port) for `path` (`$uri`).
    pub fn find(&self, host: &str, path: &[u8]) -> Option<Matched<'_>> {
        let suffix = host.split_once('.').map(|(_, suffix)| suffix);
        self.exact
            .get(host)
            .and_then(|table| table.find(path))
            .or_else(|| suffix.and_then(|suffix| self.wildcard.get(suffix)).and_then(|table| table.find(path)))
            .or_else(|| self.any.as_ref().and_then(|table| table.find(path)))
    }
}

impl HostTable {
    fn new(host: &HostRoutes) -> Self {
        let mut exact = HashMap::new();
        let mut prefixes = HashMap::new();
        for route in &host.paths {
            let target = route.target.clone();
            // Of two spellings of one path the first counts.
            match &route.path {
                PathMatch::Exact(path) => exact.entry(normal(path)).or_insert(target),
                PathMatch::Prefix(path) => prefixes.entry(normal(path.trim_end_matches('/'))).or_insert(target),
            };
        }
        let depth = prefixes.keys().map(|prefix| prefix.split(|byte| *byte == b'/').count()).max().unwrap_or(0);
        let server_name = match &host.host {
            HostPattern::Any => None,
            pattern @ (HostPattern::Exact(_) | HostPattern::Wildcard(_)) => Some(pattern.to_string().into()),
        };
        Self { server_name, exact, prefixes, depth, default: host.default.clone() }
    }

    fn find(&self, path: &[u8]) -> Option<Matched<'_>> {
        let target = self.exact.get(path).or_else(|| self.longest_prefix(path)).or(self.default.as_ref())?;
        Some(Matched { server_name: self.server_name.as_ref(), target })
    }

    /// Element-wise: a prefix ends where an element of the path ends. What it costs goes with the elements, not the prefixes.
    fn longest_prefix(&self, path: &[u8]) -> Option<&Target> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let ends: SmallVec<[usize; 16]> = slashes.chain([path.len()]).take(self.depth).collect();
        ends.into_iter().rev().find_map(|end| self.prefixes.get(&path[..end]))
    }
}

/// A configured path as requests have it. One that cannot be a request's is of no consequence.
fn normal(path: &str) -> Box<[u8]> {
    normalise(path).unwrap_or(path.as_bytes().into()).into()
}

#[cfg(test)]
mod tests {
    use config::{GroupId, PathRoute};

    use super::*;

    fn table(rules: &[(&str, &[&str], Option<&str>)]) -> RouteTable {
        let target = |name: &str| Target::Group(GroupId::new("t", name));
        let hosts = rules.iter().map(|(host, paths, default)| HostRoutes {
            host: host.parse().unwrap(),
            paths: paths
                .iter()
                .map(|path| PathRoute {
                    path: path
                        .strip_prefix('=')
                        .map_or_else(|| PathMatch::Prefix((*path).into()), |path| PathMatch::Exact(path.into())),
                    target: target(&format!("{host}{path}")),
                    origin: "test".into(),
                })
                .collect(),
            default: default.map(target),
        });
        RouteTable::new(&Routes { hosts: hosts.map(Arc::new).collect() })
    }

    fn found(table: &RouteTable, host: &str, path: &str) -> Option<String> {
        table.find(host, path.as_bytes()).map(|matched| match matched.target {
            Target::Group(id) => id.name().to_owned(),
            Target::Unavailable { reason } => reason.to_string(),
        })
    }

    #[test]
    fn the_examples_of_the_ingress_documentation() {
        let cases: &[(&str, &str, bool)] = &[
            ("/", "/foo", true),
            ("=/foo", "/foo", true),
            ("=/foo", "/bar", false),
            ("=/foo", "/foo/", false),
            ("=/foo/", "/foo", false),
            ("/foo", "/foo/", true),
            ("/foo/", "/foo", true),
            ("/aaa/bb", "/aaa/bbb", false),
            ("/aaa/bbb", "/aaa/bbb", true),
            ("/aaa/bbb/", "/aaa/bbb", true),
            ("/aaa/bbb", "/aaa/bbb/", true),
            ("/aaa/bbb", "/aaa/bbb/ccc", true),
            ("/aaa/bbb", "/aaa/bbbxyz", false),
        ];
        for (rule, path, matches) in cases {
            assert_eq!(found(&table(&[("h", &[rule], None)]), "h", path).is_some(), *matches, "{rule} {path}");
        }
    }

    #[test]
    fn exact_wins_over_the_longest_prefix() {
        let table = table(&[("h", &["/", "/a", "/a/b", "=/a/b"], None)]);
        assert_eq!(found(&table, "h", "/a/b").unwrap(), "h=/a/b");
        assert_eq!(found(&table, "h", "/a/b/").unwrap(), "h/a/b");
        assert_eq!(found(&table, "h", "/a/c").unwrap(), "h/a");
        assert_eq!(found(&table, "h", "/x").unwrap(), "h/");
    }

    #[test]
    fn a_rule_may_spell_its_path_as_it_likes() {
        let table = table(&[("h", &["/caf%C3%A9/", "=/a%20b", "=/a b", "/%zz"], None)]);
        assert_eq!(found(&table, "h", "/café/x").unwrap(), "h/caf%C3%A9/");
        assert_eq!(found(&table, "h", "/a b").unwrap(), "h=/a%20b");
        assert_eq!(found(&table, "h", "/caf%C3%A9"), None);
    }

    #[test]
    fn a_wildcard_is_exactly_one_label() {
        let table = table(&[("*.foo.com", &["/"], None), ("bar.foo.com", &["/"], None), ("*", &["/"], None)]);
        assert_eq!(found(&table, "x.foo.com", "/").unwrap(), "*.foo.com/");
        assert_eq!(found(&table, "bar.foo.com", "/").unwrap(), "bar.foo.com/");
        assert_eq!(found(&table, "x.y.foo.com", "/").unwrap(), "*/");
        assert_eq!(found(&table, "foo.com", "/").unwrap(), "*/");
    }

    #[test]
    fn the_default_of_a_host_takes_what_no_path_does() {
        let table = table(&[("h", &["/a"], Some("fallback")), ("*", &["/"], None)]);
        assert_eq!(found(&table, "h", "/b").unwrap(), "fallback");
        assert_eq!(found(&table, "other", "/b").unwrap(), "*/");
    }

    #[test]
    fn what_no_rule_of_a_host_takes_goes_to_the_next_pattern() {
        let table = table(&[("a.h", &["/x"], None), ("*.h", &["/y"], None), ("*", &["/z"], Some("fallback"))]);
        for (path, target) in [("/x", "a.h/x"), ("/y", "*.h/y"), ("/z", "*/z"), ("/", "fallback")] {
            assert_eq!(found(&table, "a.h", path).unwrap(), target, "{path}");
        }
    }
}
