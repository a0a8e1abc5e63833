//! What the API server said of tokens lately. An answer is fresh for seconds, which spares it a data plane's reconnects; an
//! accepted token is believed for longer while the API server cannot be asked, and never beyond its own end.

use std::collections::HashMap;
use std::sync::Arc;

use config::Millis;

use super::{Denied, Identity};

/// What is remembered of a token, which is not kept.
pub(super) type Key = [u8; 32];

/// How long answers count.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// An answer is used without asking again.
    pub fresh: Millis,
    /// An accepted token is believed while the API server is out of reach.
    pub grace: Millis,
    /// Tokens remembered.
    pub tokens: usize,
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// This is what it would say again.
    Fresh(Result<Arc<Identity>, Denied>),
    /// It was accepted; enough if nobody can be asked.
    Stale(Arc<Identity>),
    /// It must be asked.
    Nothing,
}

/// Answers by token.
#[derive(Debug)]
pub(super) struct Cache {
    lifetimes: Lifetimes,
    answers: HashMap<Key, (Millis, Result<Arc<Identity>, Denied>)>,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { fresh: Millis::from_secs(10), grace: Millis::from_secs(3600), tokens: 8192 }
    }
}

impl Cache {
    /// Nothing is known.
    pub fn new(lifetimes: Lifetimes) -> Self {
        Self { lifetimes, answers: HashMap::new() }
    }

    /// What is known of a token.
    pub fn look(&self, key: &Key, now: Millis) -> Known {
        let Some((at, answer)) = self.answers.get(key) else { return Known::Nothing };
        let age = now.since(*at);
        match answer {
            Ok(identity) if identity.ends.is_some_and(|ends| ends <= now) => Known::Nothing,
            answer if age < self.lifetimes.fresh => Known::Fresh(answer.clone()),
            Ok(identity) if age < self.lifetimes.grace => Known::Stale(identity.clone()),
            Ok(_) | Err(_) => Known::Nothing,
        }
    }

    /// Remembers an answer. A cache that is full forgets what is of no use, then refusals, then the oldest: a flood of bad
    /// tokens cannot push out the good ones.
    pub fn remember(&mut self, key: Key, answer: Result<Arc<Identity>, Denied>, now: Millis) {
        if self.answers.len() >= self.lifetimes.tokens && !self.answers.contains_key(&key) {
            self.make_room(now);
        }
        self.answers.insert(key, (now, answer));
    }

    fn make_room(&mut self, now: Millis) {
        let useless: Vec<Key> =
            self.answers.keys().filter(|key| self.look(key, now) == Known::Nothing).copied().collect();
        for key in &useless {
            self.answers.remove(key);
        }
        if self.answers.len() >= self.lifetimes.tokens {
            let least = self.answers.iter().min_by_key(|(_, (at, answer))| (answer.is_ok(), *at)).map(|(key, _)| *key);
            least.map(|key| self.answers.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Policy;

    fn identity(ends: Option<Millis>) -> Arc<Identity> {
        Arc::new(Policy::default().identity("shop/web".parse().unwrap(), None, ends))
    }

    fn cache() -> Cache {
        Cache::new(Lifetimes { fresh: Millis(10), grace: Millis(100), tokens: 3 })
    }

    fn no() -> Result<Arc<Identity>, Denied> {
        Err(Denied::Rejected(String::new()))
    }

    #[test]
    fn answers_age() {
        let mut cache = cache();
        cache.remember([1; 32], Ok(identity(None)), Millis(0));
        cache.remember([2; 32], no(), Millis(0));
        cache.remember([3; 32], Ok(identity(Some(Millis(5)))), Millis(0));
        assert_eq!(cache.look(&[1; 32], Millis(9)), Known::Fresh(Ok(identity(None))));
        assert_eq!(cache.look(&[1; 32], Millis(10)), Known::Stale(identity(None)));
        assert_eq!(cache.look(&[1; 32], Millis(100)), Known::Nothing);
        assert_eq!(cache.look(&[2; 32], Millis(9)), Known::Fresh(no()));
        assert_eq!(cache.look(&[2; 32], Millis(10)), Known::Nothing);
        assert_eq!(cache.look(&[3; 32], Millis(4)), Known::Fresh(Ok(identity(Some(Millis(5))))));
        assert_eq!(cache.look(&[3; 32], Millis(5)), Known::Nothing);
        assert_eq!(cache.look(&[4; 32], Millis(0)), Known::Nothing);
    }

    #[test]
    fn a_flood_of_bad_tokens_does_not_push_out_good_ones() {
        let mut cache = cache();
        cache.remember([1; 32], Ok(identity(None)), Millis(0));
        for n in 2..200 {
            cache.remember([n; 32], no(), Millis(1));
        }
        assert_eq!(cache.answers.len(), 3);
        assert_eq!(cache.look(&[1; 32], Millis(1)), Known::Fresh(Ok(identity(None))));
    }
}
