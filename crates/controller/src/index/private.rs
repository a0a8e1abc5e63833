//! Of Secrets and `ConfigMap`s the content is kept of those alone that something names: here is which, what is thrown away, and
//! what is to be fetched.

use std::collections::BTreeMap;
use std::sync::Arc;

use translate::{ByName, Located, Name, Store};

use super::Kept;

/// The kinds of which only a part is kept.
#[derive(Debug, Default)]
pub struct Privates {
    /// Secrets.
    pub secrets: Private,
    /// `ConfigMap`s.
    pub config_maps: Private,
}

/// One of them.
#[derive(Debug, Default)]
pub struct Private {
    /// What is named.
    pub wanted: ByName<()>,
    lacking: BTreeMap<Name, Lack>,
    /// Counts what came without content.
    rounds: u64,
}

/// What is to be fetched. Each time an object comes without its content the number beside its name is another: what was fetched
/// for an earlier one may be older than what the watch has told since.
pub type Wishes = BTreeMap<Name, u64>;

/// An object of which the newest version came without its content.
#[derive(Debug)]
struct Lack {
    round: u64,
    /// Whether nobody waits for it any more.
    is_given_up: bool,
}

impl Private {
    /// An object came without its content.
    pub fn lack(&mut self, name: Name) {
        self.rounds += 1;
        self.lacking.insert(name, Lack { round: self.rounds, is_given_up: false });
    }

    /// The content is here, or the object is gone. Whether it was lacking.
    pub fn lacks_no_longer(&mut self, name: &Name) -> bool {
        self.lacking.remove(name).is_some()
    }

    /// Whether what was fetched for this round is still lacking.
    pub fn is_lacking(&self, name: &Name, round: u64) -> bool {
        self.lacking.get(name).is_some_and(|lack| lack.round == round)
    }

    /// Waits for it no more, though it is still wished for. Whether somebody waited.
    pub fn give_up(&mut self, name: &Name, round: u64) -> bool {
        let lack = self.lacking.get_mut(name).filter(|lack| lack.round == round);
        lack.is_some_and(|lack| !std::mem::replace(&mut lack.is_given_up, true))
    }

    /// Drops the content of what nothing names.
    pub fn drop_unwanted<K: Kept>(&mut self, store: &mut Store<K>) {
        let held = store.iter().filter(|(_, object)| !object.is_empty()).map(|(name, _)| name);
        let unwanted: Vec<Name> = held.filter(|name| !self.is_wanted(name)).collect();
        for (namespace, name) in unwanted {
            if let Some(object) = store.find_mut(&namespace, &name) {
                let mut bare = object.object.clone();
                bare.empty();
                *object = Arc::new(Located::from(bare));
                self.lack((namespace, name));
            }
        }
    }

    /// What is named and has no content here, or none of its newest version.
    pub fn wishes(&self) -> Wishes {
        self.lacks().map(|(name, lack)| (name, lack.round)).collect()
    }

    /// What is waited for: it is named, and nothing is known of its content.
    pub fn awaited<K: Kept>(&self, store: &Store<K>) -> ByName<()> {
        let mut awaited = ByName::default();
        for ((namespace, name), _) in self.lacks().filter(|(_, lack)| !lack.is_given_up) {
            if store.find(&namespace, &name).is_some_and(|object| object.is_empty()) {
                awaited.insert(&namespace, &name, ());
            }
        }
        awaited
    }

    /// What is named and lacks its content; most of what lacks it is named by nothing.
    fn lacks(&self) -> impl Iterator<Item = (Name, &Lack)> {
        self.wanted.iter().filter_map(|(name, ())| self.lacking.get(&name).map(|lack| (name, lack)))
    }

    fn is_wanted(&self, (namespace, name): &Name) -> bool {
        self.wanted.find(namespace, name).is_some()
    }
}
