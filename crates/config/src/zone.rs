//! The part of a group that a zone uses: traffic stays where Kubernetes wants it (`hints.forZones` of EndpointSlices).
//!
//! A group is the same for every data plane and carries the hints with it, so a controller need not know who is where. Which
//! of its servers are used is decided by the one who knows its zone, line by line as kube-proxy does it Service by Service:
//! where every server of a line has hints and one of them is for the zone, those; otherwise all. Whatever is not certain
//! leaves everybody in.

use std::collections::BTreeMap;
use std::sync::Arc;

use balance::Availability;

use crate::{Group, Server, weigh};

impl Group {
    /// The group as a data plane in `zone` uses it; the very same where that is all of it. Weights that lines share are divided
    /// among the servers that are left. Where sessions are tied to servers, those of other zones keep the sessions they hold
    /// (nginx `drain`): the client of a session may come to any zone.
    #[must_use]
    pub fn for_zone(self: &Arc<Self>, zone: Option<&str>) -> Arc<Self> {
        let Some(used) = zone.and_then(|zone| self.used_in(zone)) else { return self.clone() };
        let mut group = Self::clone(self);
        if group.sticky.is_some() {
            let others = group.servers.iter_mut().zip(used).filter(|(_, used)| !used);
            others.for_each(|(server, _)| server.availability = Availability::Drain);
        } else {
            let mut used = used.into_iter();
            group.servers.retain(|_| used.next() == Some(true));
        }
        weigh(&mut group.servers, &group.method);
        Arc::new(group)
    }

    /// Which servers a data plane in `zone` uses, in their order; `None` is all of them. Servers that take no requests anyway
    /// are neither asked nor left out.
    pub fn used_in(&self, zone: &str) -> Option<Vec<bool>> {
        if self.servers.iter().all(|server| server.for_zones.is_empty()) {
            return None;
        }
        let is_near = |server: &Server| server.for_zones.iter().any(|hint| &**hint == zone);
        let mut lines = BTreeMap::<&str, Line>::new();
        for server in self.servers.iter().filter(|server| takes_requests(server)) {
            let line = lines.entry(&server.name).or_default();
            line.unhinted |= server.for_zones.is_empty();
            line.near |= is_near(server);
        }
        let narrows = |server: &Server| lines.get(&*server.name).is_some_and(|line| line.near && !line.unhinted);
        let is_used = |server: &Server| !takes_requests(server) || is_near(server) || !narrows(server);
        let used: Vec<bool> = self.servers.iter().map(is_used).collect();
        used.contains(&false).then_some(used)
    }
}

/// What the hints of a line come to.
#[derive(Default)]
struct Line {
    /// One server has none.
    unhinted: bool,
    /// One is for the zone.
    near: bool,
}

fn takes_requests(server: &Server) -> bool {
    server.availability == Availability::Up
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{LineWeight, Method, Sticky, StickyRoute, Template, Tier, WeightMode};

    /// A line as translation expands it: its weight, and of each endpoint whether it drains and what it is hinted for.
    #[derive(Clone, Debug)]
    struct Written {
        weight: LineWeight,
        tier: Tier,
        availability: Availability,
        endpoints: Vec<(bool, Vec<&'static str>)>,
    }

    fn line(weight: u32, mode: WeightMode, zones: &[&[&'static str]]) -> Written {
        let endpoints = zones.iter().map(|zones| (false, zones.to_vec())).collect();
        Written { weight: LineWeight { weight, mode }, tier: Tier::Primary, availability: Availability::Up, endpoints }
    }

    fn plain(zones: &[&[&'static str]]) -> Written {
        line(1, WeightMode::PerEndpoint, zones)
    }

    /// The group of the endpoints for which `keeps` is true.
    fn group(lines: &[Written], method: &Method, keeps: impl Fn(&Written, bool, &[&str]) -> bool) -> Arc<Group> {
        let mut servers = Vec::new();
        for (l, line) in lines.iter().enumerate() {
            for (e, (drains, zones)) in line.endpoints.iter().enumerate() {
                if !keeps(line, *drains, zones) {
                    continue;
                }
                let availability = match line.availability {
                    Availability::Up if *drains => Availability::Drain,
                    configured => configured,
                };
                servers.push(Server {
                    weight: line.weight.weight,
                    line_weight: Some(line.weight),
                    tier: line.tier,
                    availability,
                    for_zones: zones.iter().map(|zone| (*zone).into()).collect(),
                    ..Server::new(&format!("line-{l}"), format!("10.0.{l}.{e}:80").parse().unwrap())
                });
            }
        }
        weigh(&mut servers, method);
        Arc::new(Group { method: method.clone(), ..Group::with_defaults(servers) })
    }

    fn all(lines: &[Written]) -> Arc<Group> {
        group(lines, &Method::RoundRobin, |_, _, _| true)
    }

    fn shown(group: &Group) -> Vec<String> {
        let show = |server: &Server| format!("{} w{} {:?}", server.address, server.weight, server.availability);
        group.servers.iter().map(show).collect()
    }

    #[test]
    fn what_says_nothing_of_zones_is_the_very_same() {
        let unhinted = all(&[plain(&[&[], &[]])]);
        assert!(Arc::ptr_eq(&unhinted.for_zone(Some("a")), &unhinted));
        for group in [all(&[plain(&[&["a"], &["b"]])]), all(&[plain(&[&["a"], &["b", "a"]])])] {
            assert!(Arc::ptr_eq(&group.for_zone(None), &group), "no zone");
            assert!(Arc::ptr_eq(&group.for_zone(Some("c")), &group), "a zone without servers");
        }
        let near = all(&[plain(&[&["a"], &["b", "a"]])]);
        assert!(Arc::ptr_eq(&near.for_zone(Some("a")), &near), "all are near");
    }

    #[test]
    fn each_line_is_judged_alone() {
        let group = all(&[plain(&[&["a"], &["b"]]), plain(&[&["b"]]), plain(&[&["a"], &[]])]);
        let expected = ["10.0.0.0:80 w1 Up", "10.0.1.0:80 w1 Up", "10.0.2.0:80 w1 Up", "10.0.2.1:80 w1 Up"];
        assert_eq!(shown(&group.for_zone(Some("a"))), expected);
    }

    #[test]
    fn a_shared_weight_is_divided_among_those_who_are_left() {
        let lines = [
            line(90, WeightMode::Shared, &[&["a"], &["b"], &["b"]]),
            line(10, WeightMode::Shared, &[&["a"], &["a"], &["b"]]),
        ];
        let expected = ["10.0.0.0:80 w18 Up", "10.0.1.0:80 w1 Up", "10.0.1.1:80 w1 Up"];
        assert_eq!(shown(&all(&lines).for_zone(Some("a"))), expected);
        let expected = ["10.0.0.1:80 w9 Up", "10.0.0.2:80 w9 Up", "10.0.1.2:80 w2 Up"];
        assert_eq!(shown(&all(&lines).for_zone(Some("b"))), expected);
    }

    #[test]
    fn sessions_in_other_zones_are_kept() {
        let keys = vec![Template::parse("$cookie_a", crate::Phase::Request).unwrap()];
        let sticky = Some(Sticky::Route(StickyRoute { keys }));
        let group = Arc::new(Group { sticky, ..Group::clone(&all(&[plain(&[&["a"], &["b"]])])) });
        assert_eq!(shown(&group.for_zone(Some("b"))), ["10.0.0.0:80 w1 Drain", "10.0.0.1:80 w1 Up"]);
        assert_eq!(group.used_in("b"), Some(vec![false, true]));
    }

    #[test]
    fn who_takes_no_requests_stays_and_decides_nothing() {
        let mut draining = plain(&[&["a"], &["b"], &[]]);
        draining.endpoints[2].0 = true;
        let expected = ["10.0.0.0:80 w1 Up", "10.0.0.2:80 w1 Drain"];
        assert_eq!(shown(&all(&[draining]).for_zone(Some("a"))), expected);
        let down = Written { availability: Availability::Down, ..plain(&[&["a"], &["b"]]) };
        assert_eq!(all(&[down]).for_zone(Some("a")).servers.len(), 2);
    }

    fn any_line() -> impl Strategy<Value = Written> {
        let zones = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
        let endpoints = prop::collection::vec((prop::bool::weighted(0.2), zones), 0..8);
        let availability =
            prop_oneof![8 => Just(Availability::Up), 1 => Just(Availability::Down), 1 => Just(Availability::Drain)];
        let weight = prop_oneof![1..=100_u32, 1..=65_535_u32];
        (weight, any::<bool>(), any::<bool>(), availability, endpoints).prop_map(
            |(weight, is_shared, is_backup, availability, endpoints)| Written {
                weight: LineWeight {
                    weight,
                    mode: if is_shared { WeightMode::Shared } else { WeightMode::PerEndpoint },
                },
                tier: if is_backup { Tier::Backup } else { Tier::Primary },
                availability,
                endpoints,
            },
        )
    }

    proptest! {
        /// A zone's part is what a group would be of whose Services have those endpoints alone, weights and all; nobody is
        /// left without servers; what was narrowed once is narrow.
        #[test]
        fn a_part_is_the_group_of_those_endpoints(
            lines in prop::collection::vec(any_line(), 0..5),
            is_ring in any::<bool>(),
            zone in prop::sample::select(vec!["a", "b", "c", "d"]),
        ) {
            let key = Template::parse("$uri", crate::Phase::Request).unwrap();
            let method = if is_ring { Method::Hash { key, consistent: true } } else { Method::RoundRobin };
            let whole = group(&lines, &method, |_, _, _| true);
            let part = whole.for_zone(Some(zone));
            let expected = group(&lines, &method, |line, drains, zones| {
                let serving = || line.endpoints.iter().filter(|(drains, _)| !drains);
                let applies = line.availability == Availability::Up
                    && serving().all(|(_, zones)| !zones.is_empty())
                    && serving().any(|(_, zones)| zones.contains(&zone));
                drains || !applies || zones.contains(&zone)
            });
            prop_assert_eq!(&part, &expected);
            for server in &whole.servers {
                prop_assert!(part.servers.iter().any(|one| one.name == server.name), "a line without servers");
            }
            prop_assert!(Arc::ptr_eq(&part.for_zone(Some(zone)), &part));
            prop_assert_eq!(Arc::ptr_eq(&part, &whole), part.servers.len() == whole.servers.len());
        }
    }
}
