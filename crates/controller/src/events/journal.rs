//! What was told and what waits to be told, within bounds: per object a few events and then one every half minute, over all
//! objects a few per second. What is beyond is not told, nor what the API server does not take when it is asked again: the
//! status says it anyway.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use api::{ServerStatus, UpstreamGroupStatus};
use config::{GroupId, Millis};
use translate::Name;

use super::out::{Moved, Out};
use super::said::{of_ingress, of_service};
use super::transitions::of_group;
use super::{Event, EventReason, Kind};
use crate::facts::{IngressFacts, ServiceFacts};

/// Events that wait at most.
const WAITING: usize = 256;

/// Objects whose spending is remembered at most.
const OBJECTS: usize = 4_096;

/// Of one object at once.
const BURST: u64 = 8;

/// Of one object, then.
const EVERY: Millis = Millis::from_secs(30);

/// Over all objects: five a second, five at once after a pause.
const APART: Millis = Millis(200);
const PAUSE: Millis = Millis(1_000);

/// How often one is told to an API server that does not take it, and the time between: a restart is over by then.
const TRIES: u32 = 3;
const AGAIN: Millis = Millis::from_secs(5);

/// Events.
#[derive(Debug, Default)]
pub struct Journal {
    waiting: VecDeque<Event>,
    next_at: Millis,
    /// How often the next one was not taken.
    failures: u32,
    /// When each object's bucket would be full again.
    spent: BTreeMap<Arc<str>, Millis>,
    /// What was told against each Ingress and Service and is still so.
    told: BTreeMap<(Kind, Name), Told>,
    /// The servers of each group that are out, with its UID.
    out: BTreeMap<GroupId, (Arc<str>, Out)>,
}

#[derive(Debug)]
struct Told {
    uid: Arc<str>,
    what: BTreeSet<(EventReason, String)>,
}

impl Journal {
    /// Nothing told yet.
    pub fn new(now: Millis) -> Self {
        Self { next_at: now, ..Self::default() }
    }

    /// A group was looked at that has this status.
    pub fn met_group(&mut self, id: &GroupId, uid: &str, has: Option<&UpstreamGroupStatus>, servers: &[ServerStatus]) {
        if self.out.get(id).is_none_or(|(known, _)| **known != *uid) {
            self.out.insert(id.clone(), (uid.into(), Out::found(has, servers)));
        }
    }

    /// A group is gone.
    pub fn forget_group(&mut self, id: &GroupId) {
        self.out.remove(id);
    }

    /// A group's status was written in place of another. `servers` are all there are; `None` if the fleet was not heard.
    pub fn group(
        &mut self,
        id: &GroupId,
        uid: &Arc<str>,
        (before, written): (Option<&UpstreamGroupStatus>, &UpstreamGroupStatus),
        servers: Option<&[ServerStatus]>,
        now: Millis,
    ) {
        let mut moved = Moved::default();
        if let Some(servers) = servers {
            self.met_group(id, uid, before, servers);
            moved = self.out.get_mut(id).map(|(_, out)| out.advance(servers)).unwrap_or_default();
        }
        for event in of_group(id, uid, before, written, &moved) {
            self.offer(event, now);
        }
    }

    /// An Ingress was looked at; `None` if it is gone.
    pub fn ingress(&mut self, name: &Name, facts: Option<&IngressFacts>, now: Millis) {
        let events = facts.map(|facts| (&facts.uid, of_ingress(name, facts)));
        self.standing((Kind::Ingress, name.clone()), events, now);
    }

    /// A Service was looked at; `None` if there is nothing to say.
    pub fn service(&mut self, name: &Name, facts: Option<&ServiceFacts>, now: Millis) {
        let events = facts.map(|facts| (&facts.uid, of_service(name, facts)));
        self.standing((Kind::Service, name.clone()), events, now);
    }

    /// Tells what was not told.
    fn standing(&mut self, object: (Kind, Name), events: Option<(&Arc<str>, Vec<Event>)>, now: Millis) {
        let known = self.told.remove(&object);
        let Some((uid, events)) = events else { return };
        let known = known.filter(|told| told.uid == *uid).map(|told| told.what).unwrap_or_default();
        let mut still = BTreeSet::new();
        for event in events {
            let what = (event.reason, event.note.clone());
            if known.contains(&what) || self.offer(event, now) {
                still.insert(what);
            }
        }
        if !still.is_empty() {
            self.told.insert(object, Told { uid: uid.clone(), what: still });
        }
    }

    /// The event to tell now.
    pub fn next(&mut self, now: Millis) -> Option<Event> {
        if now < self.next_at {
            return None;
        }
        let event = self.waiting.pop_front()?;
        self.next_at = APART.after(self.next_at.max(now.since(PAUSE)));
        Some(event)
    }

    /// It came to nothing: it is told again, before all others.
    pub fn failed(&mut self, event: Event, now: Millis) {
        self.failures += 1;
        if self.failures < TRIES {
            self.waiting.push_front(event);
            self.next_at = AGAIN.after(now);
        } else {
            self.failures = 0;
        }
    }

    /// It was told.
    pub fn told(&mut self) {
        self.failures = 0;
    }

    /// Forgets everything: another replica tells from here on.
    pub fn clear(&mut self) {
        *self = Self::new(self.next_at);
    }

    /// Whether it will be told.
    fn offer(&mut self, event: Event, now: Millis) -> bool {
        if self.spent.len() >= OBJECTS {
            self.spent.retain(|_, full_at| *full_at > now);
        }
        let uid = &event.regarding.uid;
        let full_at = self.spent.get(uid).copied().unwrap_or_default().max(now);
        let is_known = self.spent.contains_key(uid);
        let empty = full_at.0 - now.0 > (BURST - 1) * EVERY.0;
        if empty || self.waiting.len() >= WAITING || (!is_known && self.spent.len() >= OBJECTS) {
            return false;
        }
        self.spent.insert(uid.clone(), EVERY.after(full_at));
        self.waiting.push_back(event);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Again, Regarding};
    use super::*;

    fn event(note: &str) -> Event {
        let regarding =
            Regarding { kind: Kind::Ingress, namespace: "shop".into(), name: "web".into(), uid: "uid-1".into() };
        Event { regarding, reason: EventReason::SecretUnusable, note: note.into(), again: Again::IsKnown }
    }

    #[test]
    fn what_is_not_taken_is_told_again_a_few_times() {
        let mut journal = Journal::new(Millis(0));
        assert!(journal.offer(event("first"), Millis(0)) && journal.offer(event("second"), Millis(0)));
        let mut tries = Vec::new();
        for seconds in 0..60 {
            let now = Millis::from_secs(seconds);
            while let Some(event) = journal.next(now) {
                tries.push((seconds, event.note.clone()));
                if event.note == "second" { journal.told() } else { journal.failed(event, now) }
            }
        }
        let first = [0, 5, 10].map(|at| (at, "first".to_owned()));
        assert_eq!(tries, [&first[..], &[(11, "second".to_owned())]].concat());
    }
}
