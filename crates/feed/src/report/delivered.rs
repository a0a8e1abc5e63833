//! What of the picture the leader does not know yet.
//!
//! What is gone is left to the next full report: a status lists what is published, so nobody sees it meanwhile, and in a
//! rollout something is always gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::GroupId;

use super::{Extent, GroupReport, Part, ServerReport};

/// Groups as a report lists them. Shared, because a picture is told, kept as what is known, and compared with the next.
pub type Groups = BTreeMap<GroupId, Arc<GroupReport>>;

/// What the leader knows of this instance.
#[derive(Clone, Debug, Default)]
pub struct Delivered(Groups);

impl Delivered {
    /// What a report of `part` says while the picture is `now`, and of what extent that is.
    pub fn report(&self, part: Part, now: &Groups) -> (Extent, Groups) {
        match part {
            Part::Everything => (Extent::Full, now.clone()),
            Part::Changes => (Extent::Changes, self.differing(now, |known, server| known != server)),
            Part::News => (Extent::Changes, self.differing(now, |known, server| known.state != server.state)),
        }
    }

    /// Such a report of the picture `now` was delivered.
    pub fn note(&mut self, part: Part, now: Groups, told: Groups) {
        match part {
            // What is gone is as unknown to the leader as what never was: if it comes again, it is told again.
            Part::Everything | Part::Changes => self.0 = now,
            Part::News => told.into_iter().for_each(|(id, told)| self.learn(id, told)),
        }
    }

    fn differing(&self, now: &Groups, differs: impl Fn(&ServerReport, &ServerReport) -> bool) -> Groups {
        let mut changes = Groups::new();
        for (id, group) in now {
            let Some(last) = self.0.get(id) else {
                changes.insert(id.clone(), group.clone());
                continue;
            };
            if last == group {
                continue;
            }
            let known: BTreeMap<_, _> = last.servers.iter().map(|server| (server.key(), server)).collect();
            let is_told = |server: &&ServerReport| known.get(&server.key()).is_none_or(|known| differs(known, server));
            let servers: Vec<_> = group.servers.iter().filter(is_told).cloned().collect();
            let same = servers.is_empty() && (last.version, last.active_tier) == (group.version, group.active_tier);
            if !same {
                let (version, active_tier) = (group.version, group.active_tier);
                changes.insert(id.clone(), Arc::new(GroupReport { version, active_tier, servers }));
            }
        }
        changes
    }

    fn learn(&mut self, id: GroupId, told: Arc<GroupReport>) {
        let Some(known) = self.0.get_mut(&id) else {
            self.0.insert(id, told);
            return;
        };
        let (known, told) = (Arc::make_mut(known), Arc::unwrap_or_clone(told));
        (known.version, known.active_tier) = (told.version, told.active_tier);
        let at: BTreeMap<_, _> = known.servers.iter().zip(0..).map(|(server, at)| (server.key(), at)).collect();
        let places: Vec<Option<usize>> = told.servers.iter().map(|server| at.get(&server.key()).copied()).collect();
        for (server, place) in told.servers.into_iter().zip(places) {
            match place {
                Some(at) => known.servers[at] = server,
                None => known.servers.push(server),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use config::{Revision, Tier};

    use super::*;
    use crate::report::Counters;
    use crate::report::ServerState::{self, Ejected, Up};

    /// A server: the end of its address, its state, its requests.
    type Brief = (u8, ServerState, u64);

    fn picture(groups: &[(&str, &[Brief])]) -> Groups {
        let server = |(number, state, requests): &Brief| ServerReport {
            name: "line".into(),
            address: format!("10.0.0.{number}:80").parse().unwrap(),
            state: *state,
            effective_weight: 1,
            active: 0,
            counters: Counters { requests: *requests, ..Counters::default() },
            last_failure: None,
        };
        let group = |servers: &&[_]| GroupReport {
            version: Some(Revision::of(b"app")),
            active_tier: Tier::Primary,
            servers: servers.iter().map(server).collect(),
        };
        groups.iter().map(|(name, servers)| (GroupId::new("shop", name), group(servers).into())).collect()
    }

    /// Tells `part` of `now`, and says which servers that named.
    fn tell(delivered: &mut Delivered, part: Part, now: &Groups) -> Vec<String> {
        let (extent, told) = delivered.report(part, now);
        assert_eq!(extent == Extent::Full, part == Part::Everything);
        let named = told.values().flat_map(|group| &group.servers).map(|server| server.address.to_string()).collect();
        delivered.note(part, now.clone(), told);
        named
    }

    #[test]
    fn news_are_states_and_the_rest_waits_for_changes() {
        let mut delivered = Delivered::default();
        let all = ["10.0.0.1:80", "10.0.0.2:80"];
        assert_eq!(tell(&mut delivered, Part::News, &picture(&[("a", &[(1, Up, 1), (2, Up, 1)])])), all);
        let now = picture(&[("a", &[(1, Ejected, 5), (2, Up, 5)])]);
        assert_eq!(tell(&mut delivered, Part::News, &now), all[..1]);
        assert_eq!(tell(&mut delivered, Part::News, &now), [""; 0]);
        assert_eq!(tell(&mut delivered, Part::Changes, &now), all[1..]);
        assert_eq!(tell(&mut delivered, Part::Changes, &now), [""; 0]);
        assert_eq!(tell(&mut delivered, Part::Everything, &now), all);
    }

    #[test]
    fn another_version_is_news_without_servers() {
        let mut now = picture(&[("a", &[(1, Up, 1)])]);
        let mut delivered = Delivered::default();
        tell(&mut delivered, Part::Everything, &now);
        for group in now.values_mut() {
            Arc::make_mut(group).version = Some(Revision::of(b"other"));
        }
        let (_, told) = delivered.report(Part::News, &now);
        assert!(told.len() == 1 && told.values().all(|group| group.servers.is_empty()));
        delivered.note(Part::News, now.clone(), told);
        assert_eq!(delivered.report(Part::News, &now).1, Groups::new());
    }

    #[test]
    fn what_is_gone_forces_nothing_and_is_told_anew_when_it_comes_again() {
        let (two, one) =
            (picture(&[("a", &[(1, Up, 1), (2, Up, 1)]), ("b", &[(3, Up, 1)])]), picture(&[("a", &[(1, Up, 1)])]));
        for part in [Part::Changes, Part::News] {
            let mut delivered = Delivered::default();
            tell(&mut delivered, Part::Everything, &two);
            assert_eq!(delivered.report(part, &one), (Extent::Changes, Groups::new()));
        }
        let mut delivered = Delivered::default();
        tell(&mut delivered, Part::Everything, &two);
        tell(&mut delivered, Part::Changes, &one);
        assert_eq!(tell(&mut delivered, Part::News, &two), ["10.0.0.2:80", "10.0.0.3:80"]);
    }
}
