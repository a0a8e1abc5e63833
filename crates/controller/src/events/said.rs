//! From what was said against an object without conditions to what its owner must know: one event per reason.

use std::collections::{BTreeMap, BTreeSet};

use config::{Diagnostic, Severity};
use translate::Name;

use super::{Again, Event, EventReason, Kind, Regarding, list};
use crate::facts::{IngressFacts, ServiceFacts};

/// Of an Ingress.
pub fn of_ingress(name: &Name, IngressFacts { uid, diagnostics, .. }: &IngressFacts) -> Vec<Event> {
    let regarding =
        Regarding { kind: Kind::Ingress, namespace: name.0.clone(), name: name.1.clone(), uid: uid.clone() };
    events(&regarding, diagnostics, Diagnostic::sentence)
}

/// Of a Service, against its `EndpointSlice`s. Their names and the positions in them change as endpoints come and go, so they
/// are left to the log: the event stays the same for as long as what is wrong does.
pub fn of_service(name: &Name, ServiceFacts { uid, diagnostics }: &ServiceFacts) -> Vec<Event> {
    let regarding =
        Regarding { kind: Kind::Service, namespace: name.0.clone(), name: name.1.clone(), uid: uid.clone() };
    let placeless = |said: &Diagnostic| Diagnostic { field: None, ..said.clone() }.sentence();
    let mut events = events(&regarding, diagnostics, placeless);
    for event in &mut events {
        event.note.insert_str(0, "EndpointSlices: ");
    }
    events
}

fn events(regarding: &Regarding, said: &[Diagnostic], sentence: impl Fn(&Diagnostic) -> String) -> Vec<Event> {
    let mut notes: BTreeMap<EventReason, Vec<String>> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for problem in said.iter().filter(|problem| problem.severity >= Severity::Warning) {
        let sentence = sentence(problem);
        if told.insert(sentence.clone()) {
            notes.entry(EventReason::of(problem.code, problem.severity)).or_default().push(sentence);
        }
    }
    let event = |(reason, sentences): (_, Vec<String>)| Event {
        regarding: regarding.clone(),
        reason,
        note: list(&sentences),
        again: Again::IsKnown,
    };
    notes.into_iter().map(event).collect()
}
