//! Tokens to identities, through the API server's `TokenReview` (`authentication.k8s.io/v1`).
//!
//! The API server is spared: an answer is used again for seconds, several who show one token wait for one review, reviews at
//! once and per second are bounded, and an address that sends bad tokens is answered without asking. While the API server
//! cannot be asked, a token that it accepted within the last hour is believed, until its own end; others are told to come again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use config::Millis;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::budget::{Allowance, RefusalBudget};
use super::cache::{Cache, Key, Known, Lifetimes};
use super::{Denied, Identity, Policy, Token};
use crate::clock::Clock;
use crate::trouble::{Reason, Rule, Teller, Trouble};

/// What [`Tokens`] goes by. The defaults are meant for every installation; tests use smaller ones.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What tokens must be for.
    pub audience: Arc<str>,
    /// How long answers count.
    pub lifetimes: Lifetimes,
    /// What an address may get wrong.
    pub allowance: Allowance,
    /// How long the API server may take, waiting for a place included.
    pub patience: Duration,
    /// How long it may take to be asked again about a token that it accepted.
    pub patience_with_known: Duration,
    /// Reviews at once.
    pub places: usize,
    /// A place is free again after this time at the earliest, which bounds the reviews per second.
    pub pause: Duration,
}

/// Reviews tokens.
#[derive(Debug)]
pub struct Tokens {
    reviews: Api<TokenReview>,
    policy: Policy,
    terms: Terms,
    clock: Clock,
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    cache: Cache,
    budget: RefusalBudget,
    teller: Teller,
    /// Tokens that are being reviewed. Who comes second waits for the lock and finds the answer.
    asking: HashMap<Key, Weak<AsyncMutex<()>>>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            audience: "forebay.dev".into(),
            lifetimes: Lifetimes::default(),
            allowance: Allowance::default(),
            patience: Duration::from_secs(8),
            patience_with_known: Duration::from_secs(2),
            places: 32,
            pause: Duration::from_millis(50),
        }
    }
}

impl Tokens {
    /// Asks the API server of `client`.
    pub fn new(client: Client, policy: Policy, terms: Terms, clock: Clock) -> Self {
        let state = State {
            cache: Cache::new(terms.lifetimes),
            budget: RefusalBudget::new(terms.allowance),
            teller: Teller::default(),
            asking: HashMap::new(),
        };
        let places = Arc::new(Semaphore::new(terms.places));
        Self { reviews: Api::all(client), policy, terms, clock, places, state: Mutex::new(state) }
    }

    /// Who shows this token, for the first time on a stream, from `address`.
    pub async fn identify(&self, text: &str, address: IpAddr) -> Result<(Token, Arc<Identity>), Denied> {
        let token = Token::read(text, &self.terms.audience, self.epoch_seconds())?;
        let identity = self.known_or_reviewed(&token, Some(address)).await?;
        Ok((token, identity))
    }

    /// Who showed this token before, if that still holds.
    pub async fn again(&self, token: &Token) -> Result<Arc<Identity>, Denied> {
        if token.has_expired(self.epoch_seconds()) {
            return Err(super::TokenError::Expired.into());
        }
        self.known_or_reviewed(token, None).await
    }

    /// What tokens must be for.
    pub fn audience(&self) -> &Arc<str> {
        &self.terms.audience
    }

    /// What accounts may see.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    async fn known_or_reviewed(&self, token: &Token, address: Option<IpAddr>) -> Result<Arc<Identity>, Denied> {
        let key = token.digest();
        let patience = match self.look(&key) {
            Known::Fresh(answer) => return answer,
            Known::Stale(_) => self.terms.patience_with_known,
            Known::Nothing => self.terms.patience,
        };
        let turn = self.turn(key);
        let reviewed = timeout(patience, async {
            let _turn = turn.lock().await;
            let stale = match self.look(&key) {
                Known::Fresh(answer) => return answer,
                Known::Stale(_) => true,
                Known::Nothing => false,
            };
            // A token that was accepted before is nobody's guess.
            if let (false, Some(address)) = (stale, address) {
                let checked = self.state.lock().budget.check(address, self.clock.now());
                checked.map_err(|after| Denied::Throttled { after })?;
            }
            let answer = self.review(token).await;
            self.learn(key, &answer, address);
            answer
        });
        let answer = reviewed.await.unwrap_or_else(|_| Err(unavailable("it takes too long")));
        match (answer, self.look(&key)) {
            (Err(Denied::Unavailable { .. }), Known::Stale(identity)) => Ok(identity),
            (answer, _) => answer,
        }
    }

    fn look(&self, key: &Key) -> Known {
        self.state.lock().cache.look(key, self.clock.now())
    }

    fn turn(&self, key: Key) -> Arc<AsyncMutex<()>> {
        let mut state = self.state.lock();
        if let Some(turn) = state.asking.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        state.asking.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        state.asking.insert(key, Arc::downgrade(&turn));
        turn
    }

    fn learn(&self, key: Key, answer: &Result<Arc<Identity>, Denied>, address: Option<IpAddr>) {
        let now = self.clock.now();
        let state = &mut *self.state.lock();
        match answer {
            Err(Denied::Unavailable { .. }) => return,
            Err(_) => address.into_iter().for_each(|address| state.budget.spend(address, now)),
            Ok(_) => {}
        }
        state.cache.remember(key, answer.clone(), now);
    }

    async fn review(&self, token: &Token) -> Result<Arc<Identity>, Denied> {
        let place = self.places.clone().acquire_owned().await.map_err(|closed| unavailable(closed.to_string()))?;
        // Free again when nobody has it any more: neither the review nor, since a client that goes away must not make room for
        // the next review at once, a task of its own.
        let (place, pause) = (Arc::new(place), self.terms.pause);
        let paused = place.clone();
        tokio::spawn(async move {
            sleep(pause).await;
            drop(paused);
        });
        let spec = TokenReviewSpec {
            audiences: Some(vec![self.terms.audience.to_string()]),
            token: Some(token.reveal().to_owned()),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = self.reviews.create(&PostParams::default(), &review).await;
        drop(place);
        let answer = answer.map_err(|error| self.cannot_ask(&error))?;
        if self.state.lock().teller.well().is_some() {
            tracing::info!("tokens of data planes can be reviewed again");
        }
        self.judge(token, answer.status.unwrap_or_default()).map(Arc::new)
    }

    /// The log has all of it; whoever shows a token is told what concerns it.
    fn cannot_ask(&self, error: &kube::Error) -> Denied {
        let rule = Rule {
            role: "ClusterRole",
            group: "authentication.k8s.io",
            resource: "tokenreviews",
            name: None,
            verbs: &["create"],
        };
        let trouble = Trouble::of("cannot review the tokens of data planes", error, &rule);
        let reason = trouble.reason;
        if self.state.lock().teller.trouble(reason, Instant::now()) {
            tracing::warn!("{}", trouble.and("those that it accepted within the last hour are believed, others wait"));
        }
        unavailable(match reason {
            Reason::Forbidden => "it does not allow the controller to ask",
            Reason::Unauthorized => "it does not know the controller",
            Reason::Unreachable => "it cannot be reached",
            Reason::Broken => "it gives no answer that can be used",
            Reason::Missing | Reason::Expired | Reason::Refused => "it refuses",
        })
    }

    fn judge(&self, token: &Token, status: TokenReviewStatus) -> Result<Identity, Denied> {
        if !status.authenticated.unwrap_or(false) {
            return Err(Denied::Rejected(status.error.unwrap_or_else(|| "it does not say why".to_owned())));
        }
        // An API server that knows no audiences would accept tokens for itself (TokenReviewStatus.audiences).
        if !status.audiences.unwrap_or_default().iter().any(|audience| **audience == *self.terms.audience) {
            return Err(Denied::Rejected("it did not check the audience".to_owned()));
        }
        let left = token.left(self.epoch_seconds()).map(|seconds| Millis(seconds.saturating_mul(1000)));
        let ends = left.map(|left| left.after(self.clock.now()));
        Ok(self.policy.user(&status.user.unwrap_or_default(), ends)?)
    }

    fn epoch_seconds(&self) -> u64 {
        u64::try_from(self.clock.wall().as_second()).unwrap_or(0)
    }
}

fn unavailable(problem: impl Into<String>) -> Denied {
    Denied::Unavailable { problem: problem.into(), after: Millis::from_secs(5) }
}
