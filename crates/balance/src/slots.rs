//! The slab of peer states and the identity table that lets a state survive a change of configuration.
//!
//! Weight, tier and limits are attributes, not identity: editing a weight does not absolve a failing server (nginx keeps a
//! peer whose address matches in the same way, `ngx_http_upstream_zone_module.c`,
//! `ngx_http_upstream_zone_resolve_handler`). A vanished peer is retired, never picked and still released, and forgotten
//! only after a grace period, so that a readiness flap is no amnesty. Who returns later is new. Either starts slowly, where that
//! is asked for: it may have been restarted.

use std::{collections::HashMap, sync::Arc};

use crate::{Now, PeerKey, Plan, peer::PeerState, weight::UNIT};

/// A retired peer is remembered at least this long, milliseconds.
const GRACE: u64 = 60_000;

/// A peer's place in the group's slab. The generation makes releasing a recycled slot impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    index: u32,
    generation: u32,
}

/// One place of the slab.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) state: PeerState,
    /// Counts the holders of this address: an attempt made on an earlier one says nothing of the present one.
    pub(crate) epoch: u32,
    /// Position in the newest plan; none once retired.
    pub(crate) position: Option<u32>,
    generation: u32,
    identity: Option<Identity>,
}

/// All peer states of a group.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    entries: Vec<Entry>,
    free: Vec<u32>,
    known: HashMap<(Arc<str>, u16), u32>,
}

/// Who holds a place.
#[derive(Clone, Debug)]
struct Identity {
    key: (Arc<str>, u16),
    incarnation: Option<Arc<str>>,
    /// The full weight of the newest plan that named it.
    weight: i64,
    /// Milliseconds it is remembered once retired.
    grace: u64,
    retired_at: Option<Now>,
}

/// Whether peers that join may start slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// The group begins: everybody is new.
    AtOnce,
    /// The group is running: whoever is new, or was away, ramps if it has a `slow_start`.
    Slowly,
}

impl Slots {
    /// Takes over the servers of `plan` and returns their slots by position.
    pub(crate) fn reconcile(&mut self, plan: &Plan, arrivals: Arrivals, now: Now) -> Vec<Slot> {
        self.forget(now);
        for entry in &mut self.entries {
            entry.position = None;
        }
        let slots = (0_u32..).zip(plan.keys()).map(|(position, key)| {
            let server = plan.server_at(position);
            let identity = Identity {
                key: (Arc::clone(&key.address), key.nth),
                incarnation: key.incarnation.clone(),
                weight: server.full_weight(),
                grace: GRACE.max(u64::from(server.fail_timeout) * 2000),
                retired_at: None,
            };
            let known = self.known.get(&identity.key).copied();
            let index = known.unwrap_or_else(|| self.insert(identity.clone()));
            let entry = &mut self.entries[index as usize];
            let stayed = known.is_some() && entry.keep(identity, now);
            if !stayed && server.slow_start > 0 && arrivals == Arrivals::Slowly {
                entry.state.ramp = Some(now.millis());
            }
            entry.position = Some(position);
            Slot { index, generation: entry.generation }
        });
        let slots = slots.collect();
        self.retire(now);
        slots
    }

    /// What is behind `slot`, unless the place has been recycled.
    pub(crate) fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.index as usize).filter(|entry| entry.generation == slot.generation)
    }

    /// As [`Self::entry`], to be changed.
    pub(crate) fn entry_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.index as usize).filter(|entry| entry.generation == slot.generation)
    }

    /// The state behind `slot`, if it is still to be picked by anybody.
    pub(crate) fn live(&self, slot: Slot) -> Option<&PeerState> {
        self.entry(slot).filter(|entry| entry.position.is_some()).map(|entry| &entry.state)
    }

    /// Whether there is a state of this holder of an address, retired or not.
    pub(crate) fn remembers(&self, key: &PeerKey) -> bool {
        let index = self.known.get(&(Arc::clone(&key.address), key.nth));
        let held = index.and_then(|index| self.entries[*index as usize].identity.as_ref());
        held.is_some_and(|held| key.incarnation.is_none() || key.incarnation == held.incarnation)
    }

    /// As [`Self::live`], to be changed.
    pub(crate) fn live_mut(&mut self, slot: Slot) -> Option<&mut PeerState> {
        self.entry_mut(slot).filter(|entry| entry.position.is_some()).map(|entry| &mut entry.state)
    }

    /// Every entry, retired ones and free places included.
    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// The table and the slab agree, whoever is not in the newest plan is retired, and nobody is thought to be busier than it is.
    pub(crate) fn check_invariants(&self) {
        for (key, &index) in &self.known {
            let entry = &self.entries[index as usize];
            let identity = entry.identity.as_ref().expect("a known place is held");
            assert_eq!(&identity.key, key, "the table names the holder");
            assert_eq!(
                identity.retired_at.is_none(),
                entry.position.is_some(),
                "retired means: not in the newest plan"
            );
        }
        assert_eq!(self.known.len() + self.free.len(), self.entries.len(), "every place is known or free");
        for &index in &self.free {
            let entry = &self.entries[index as usize];
            assert!(entry.identity.is_none() && entry.state.conns == 0, "a free place is idle");
        }
        for PeerState { conns, averages, .. } in self.entries.iter().map(|entry| &entry.state) {
            assert!(averages.running() <= *conns, "what is weighed as running is in progress");
        }
    }

    fn insert(&mut self, identity: Identity) -> u32 {
        let state = PeerState::new(identity.weight);
        let index = if let Some(index) = self.free.pop() {
            index
        } else {
            self.entries.push(Entry { state: state.clone(), epoch: 0, position: None, generation: 0, identity: None });
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 peers")
        };
        self.known.insert(identity.key.clone(), index);
        let entry = &mut self.entries[index as usize];
        entry.state = state;
        entry.identity = Some(identity);
        index
    }

    /// Retires whoever the newest plan does not name.
    fn retire(&mut self, now: Now) {
        for entry in self.entries.iter_mut().filter(|entry| entry.position.is_none()) {
            if let Some(identity) = &mut entry.identity {
                identity.retired_at.get_or_insert(now);
            }
        }
    }

    /// Forgets those retired, idle and past their grace.
    fn forget(&mut self, now: Now) {
        for (index, entry) in (0_u32..).zip(&mut self.entries) {
            if entry.state.conns == 0
                && let Some(gone) = entry.identity.take_if(|identity| identity.is_past_grace(now))
            {
                self.known.remove(&gone.key);
                entry.generation = entry.generation.wrapping_add(1);
                self.free.push(index);
            }
        }
    }
}

impl Identity {
    /// Whether it was away for so long that whoever comes to its address is new.
    fn is_past_grace(&self, now: Now) -> bool {
        self.retired_at.is_some_and(|since| now.millis().saturating_sub(since.millis()) >= self.grace)
    }
}

impl Entry {
    /// Goes on under new attributes. A new holder of the address has a clean record; so has one who returns past its grace, and
    /// was not [forgotten](Slots::forget) for the attempts still in progress on it. Returns whether the same holder was there
    /// all along.
    fn keep(&mut self, identity: Identity, now: Now) -> bool {
        let Some(held) = &mut self.identity else { return false };
        let same_holder = match (&held.incarnation, &identity.incarnation) {
            (Some(old), Some(new)) => old == new,
            // Nothing says that the holder changed.
            (None, _) | (_, None) => true,
        };
        let same = same_holder && !held.is_past_grace(now);
        let stayed = same && held.retired_at.is_none();
        self.state.current = in_proportion(self.state.current, held.weight, identity.weight);
        if same {
            let full = self.state.effective >= held.weight;
            self.state.effective = if full { identity.weight } else { self.state.effective.min(identity.weight) };
        } else {
            // The attempts of the earlier holder are still in progress at this address; its current weight is its turn.
            let (current, conns) = (self.state.current, self.state.conns);
            self.state = PeerState { current, conns, ..PeerState::new(identity.weight) };
            self.epoch = self.epoch.wrapping_add(1);
        }
        let incarnation = identity.incarnation.clone().or_else(|| held.incarnation.take());
        *held = Identity { incarnation, ..identity };
        stayed
    }
}

/// A current weight as seen from a new weight. What is owed to a peer, or by it, is a number of its turns; under another
/// scale (weights are scaled as one when shared weights are divided anew) the old number would be worth many turns or none.
fn in_proportion(current: i64, old: i64, new: i64) -> i64 {
    if old == new {
        return current;
    }
    // Whole weights, as picks leave them.
    let whole = i128::from(current) * i128::from(new) / i128::from(old.max(1)) / i128::from(UNIT);
    i64::try_from(whole * i128::from(UNIT)).unwrap_or_default()
}
