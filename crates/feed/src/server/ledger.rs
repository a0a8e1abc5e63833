//! What one subscriber has, what it is due, and in which order.
//!
//! What is referred to is made before what refers to it, and broken after it, so that every prefix of what is sent is sound.
//! What is due is taken in rounds: a round ends, whatever changes meanwhile, and values are looked up when they are sent. So
//! a subscriber that reads more slowly than things change gets on with everything, deletions included, and what is kept
//! for it stays within a few times the resources there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use config::{ResourceKey, Revision};

use crate::frames::{Del, ServerFrame};
use crate::published::{Changes, Encoded, Published};
use crate::scope::View;

type Keys = BTreeSet<Arc<ResourceKey>>;

/// The state of one subscriber's resources: O(resources) and nothing else.
#[derive(Debug)]
pub(super) struct Ledger {
    view: View,
    protocol: u32,
    sent: BTreeMap<Arc<ResourceKey>, Sent>,
    /// Names of kinds this end does not know, which the subscriber has from a newer controller: to be deleted.
    foreign: Vec<String>,
    seen: Option<u64>,
    round: Round,
    /// For the next round.
    due: Keys,
}

/// What a subscriber has of one name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub version: Revision,
    /// The commit that put it in force; 0 was in the `hello`.
    pub commit: u64,
    pub refused: bool,
}

/// What is being sent.
#[derive(Debug, Default)]
struct Round {
    /// What no route is, and there was when the round began.
    makes: Keys,
    /// Routes, new, changed or gone.
    routes: Keys,
    /// What others refer to, and there was not, nor has been since: nothing sent in this round needs it.
    breaks: Keys,
}

impl Ledger {
    /// For a subscriber that says it has `have`.
    pub fn new(view: View, protocol: u32, have: BTreeMap<String, Revision>) -> Self {
        let (mut sent, mut foreign) = (BTreeMap::new(), Vec::new());
        for (name, version) in have {
            match name.parse::<ResourceKey>() {
                Ok(key) => drop(sent.insert(Arc::new(key), Sent { version, commit: 0, refused: false })),
                Err(_) => foreign.push(name),
            }
        }
        Self { view, protocol, sent, foreign, seen: None, round: Round::default(), due: Keys::new() }
    }

    /// Takes note of what was published since the last look. `false`: nothing ever was.
    pub fn catch_up(&mut self, published: &Published) -> bool {
        match published.changes_since(self.seen) {
            Changes::NotReady => return false,
            Changes::Keys(keys) => keys.into_iter().for_each(|key| self.look_at(key, published)),
            Changes::Everything => self.look_at_everything(published),
        }
        self.seen = Some(published.sequence());
        true
    }

    /// Begins the next round. `false`: nothing is due.
    pub fn begin_round(&mut self, published: &Published) -> bool {
        let any = !self.due.is_empty();
        for key in std::mem::take(&mut self.due) {
            let there = self.wanted(&key, published).is_some();
            let place = match *key {
                ResourceKey::Route(_) => &mut self.round.routes,
                ResourceKey::Certificate(_) | ResourceKey::Group(_) if there => &mut self.round.makes,
                ResourceKey::Certificate(_) | ResourceKey::Group(_) => &mut self.round.breaks,
            };
            place.insert(key);
        }
        any
    }

    /// The next line of this round; it will be in force with commit `commit`.
    pub fn next(&mut self, published: &Published, commit: u64) -> Option<Bytes> {
        while let Some(key) = self.round.makes.pop_first() {
            match self.wanted(&key, published) {
                Some(encoded) if self.differs(&key, encoded) => {
                    if let Some((first, encoded)) = self.missing(encoded, published) {
                        self.round.makes.insert(key);
                        return Some(self.put(first, encoded, commit));
                    }
                    return Some(self.put(key, encoded, commit));
                }
                // It went within the round: routes sent before may still need it.
                None if self.sent.contains_key(&key) => drop(self.due.insert(key)),
                Some(_) | None => {}
            }
        }
        while let Some(key) = self.round.routes.first() {
            match self.wanted(key, published) {
                Some(encoded) if self.differs(key, encoded) => {
                    if let Some((key, encoded)) = self.missing(encoded, published) {
                        return Some(self.put(key, encoded, commit));
                    }
                    let key = self.round.routes.pop_first()?;
                    return Some(self.put(key, encoded, commit));
                }
                Some(_) => drop(self.round.routes.pop_first()),
                None => {
                    let key = self.round.routes.pop_first()?;
                    if self.is_gone(&key, published) {
                        self.sent.remove(&key);
                        return Some(del(key.to_string()));
                    }
                }
            }
        }
        while let Some(key) = self.round.breaks.pop_last() {
            if matches!(*key, ResourceKey::Certificate(_)) && self.has_group_due() {
                self.due.insert(key);
                continue;
            }
            if self.is_gone(&key, published) {
                self.sent.remove(&key);
                return Some(del(key.to_string()));
            }
        }
        self.foreign.pop().map(del)
    }

    /// What the subscriber has of a name, counting what is on its way.
    pub fn sent(&self, key: &ResourceKey) -> Option<Sent> {
        self.sent.get(key).copied()
    }

    /// Notes that the subscriber refused the version it was sent. `false`: it was sent another one meanwhile, or none.
    pub fn refuse(&mut self, key: &ResourceKey, version: Revision) -> bool {
        match self.sent.get_mut(key) {
            Some(sent) if sent.version == version => {
                sent.refused = true;
                true
            }
            Some(_) | None => false,
        }
    }

    pub fn view(&self) -> &View {
        &self.view
    }

    /// Resources the subscriber has.
    pub fn holdings(&self) -> usize {
        self.sent.len()
    }

    /// Everything that is kept, in entries.
    pub fn entries(&self) -> usize {
        let Round { makes, routes, breaks } = &self.round;
        self.sent.len() + self.foreign.len() + makes.len() + routes.len() + breaks.len() + self.due.len()
    }

    fn look_at(&mut self, key: &Arc<ResourceKey>, published: &Published) {
        if !self.view.sees(key) || self.round.makes.contains(key) || self.round.routes.contains(key) {
            return;
        }
        // It has been there since the round began: a route that was sent may need it.
        self.round.breaks.remove(key);
        let differs = match self.wanted(key, published) {
            Some(encoded) => self.differs(key, encoded),
            None => self.is_gone(key, published),
        };
        if differs {
            self.due.insert(key.clone());
        } else {
            self.due.remove(key);
        }
    }

    /// Compares what the subscriber has with what there is, in one walk through both, since both are sorted. What it has of
    /// what there is goes by the store's name from then on: names are kept once, not once for each subscriber.
    fn look_at_everything(&mut self, published: &Published) {
        let mut there = published.resources().filter(|(key, _)| self.view.sees(key)).peekable();
        let (mut due, mut kept) = (Vec::new(), Vec::with_capacity(self.sent.len()));
        for (key, sent) in std::mem::take(&mut self.sent) {
            while let Some((new, _)) = there.next_if(|(next, _)| **next < key) {
                due.push(new.clone());
            }
            if let Some((name, encoded)) = there.next_if(|(next, _)| **next == key) {
                if sent.version != encoded.version() {
                    due.push(name.clone());
                }
                kept.push((name.clone(), sent));
            } else {
                if !self.view.sees(&key) || !published.is_held(&key) {
                    due.push(key.clone());
                }
                kept.push((key, sent));
            }
        }
        due.extend(there.map(|(new, _)| new.clone()));
        (self.sent, self.due) = (kept.into_iter().collect(), due.into_iter().collect());
        self.round.breaks.clear();
    }

    /// What there is of a name, for this subscriber: the one way to look into the store.
    fn wanted<'a>(&self, key: &ResourceKey, published: &'a Published) -> Option<&'a Encoded> {
        if self.view.sees(key) { published.resource(key) } else { None }
    }

    /// Whether the subscriber has what there is no more, for it at least.
    fn is_gone(&self, key: &ResourceKey, published: &Published) -> bool {
        let stays = self.view.sees(key) && (published.resource(key).is_some() || published.is_held(key));
        !stays && self.sent.contains_key(key)
    }

    /// Whether a group that the subscriber has changed within the round: the version it has may still show a certificate that
    /// the newest one does not.
    fn has_group_due(&self) -> bool {
        self.due.iter().any(|key| matches!(**key, ResourceKey::Group(_)) && self.sent.contains_key(key))
    }

    fn differs(&self, key: &ResourceKey, encoded: &Encoded) -> bool {
        self.sent.get(key).is_none_or(|sent| sent.version != encoded.version())
    }

    /// Something that a route or a group refers to and the subscriber has nothing of; what that refers to first.
    fn missing<'a>(&self, from: &Encoded, published: &'a Published) -> Option<(Arc<ResourceKey>, &'a Encoded)> {
        let mut absent = from.resource().references().filter(|key| !self.sent.contains_key(key));
        absent.find_map(|key| {
            let (key, encoded) = (published.interned(&key)?, self.wanted(&key, published)?);
            Some(self.missing(encoded, published).unwrap_or((key, encoded)))
        })
    }

    fn put(&mut self, key: Arc<ResourceKey>, encoded: &Encoded, commit: u64) -> Bytes {
        self.sent.insert(key, Sent { version: encoded.version(), commit, refused: false });
        encoded.line(self.protocol).clone()
    }
}

fn del(key: String) -> Bytes {
    ServerFrame::Del(Del { key }).to_line()
}
