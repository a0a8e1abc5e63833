//! What was told and what waits to be told, within bounds: per object a few events and then one every half minute, over all
//! objects a few per second. What is beyond is not told; the status says it anyway.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use api::UpstreamGroupStatus;
use config::{GroupId, Millis};

use super::{Event, EventReason, of_group, of_ingress};
use crate::facts::{IngressFacts, ObjectName};

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

/// Events.
#[derive(Debug, Default)]
pub struct Journal {
    waiting: VecDeque<Event>,
    next_at: Millis,
    /// When each object's bucket would be full again.
    spent: BTreeMap<Arc<str>, Millis>,
    /// What was told against each Ingress and is still so.
    told: BTreeMap<ObjectName, Told>,
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

    /// A group's status was written.
    pub fn group(
        &mut self,
        id: &GroupId,
        uid: &Arc<str>,
        before: Option<&UpstreamGroupStatus>,
        written: &UpstreamGroupStatus,
        now: Millis,
    ) {
        for event in of_group(id, uid, before, written) {
            self.offer(event, now);
        }
    }

    /// An Ingress was looked at; `None` if it is gone.
    pub fn ingress(&mut self, name: &ObjectName, facts: Option<&IngressFacts>, now: Millis) {
        let Some(facts) = facts else {
            self.told.remove(name);
            return;
        };
        let events = of_ingress(name, facts);
        let known = self.told.remove(name).filter(|told| told.uid == facts.uid);
        let known = known.map(|told| told.what).unwrap_or_default();
        let mut still = BTreeSet::new();
        for event in events {
            let what = (event.reason, event.note.clone());
            if known.contains(&what) || self.offer(event, now) {
                still.insert(what);
            }
        }
        if !still.is_empty() {
            self.told.insert(name.clone(), Told { uid: facts.uid.clone(), what: still });
        }
    }

    /// The event to tell now.
    pub fn next(&mut self, now: Millis) -> Option<Event> {
        if now < self.next_at {
            return None;
        }
        let event = self.waiting.pop_front()?;
        self.next_at = after(self.next_at.max(Millis(now.0.saturating_sub(PAUSE.0))), APART);
        Some(event)
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
        self.spent.insert(uid.clone(), after(full_at, EVERY));
        self.waiting.push_back(event);
        true
    }
}

fn after(at: Millis, time: Millis) -> Millis {
    Millis(at.0.saturating_add(time.0))
}
