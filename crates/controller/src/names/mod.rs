//! DNS names to addresses, followed as they change: nginx's `server NAME resolve` with its `resolver`.
//!
//! Whoever turns objects into configuration says which names the objects use, and translates again when an answer changed.
//! That is the controller in a cluster and `forebay run` with files, so this module knows neither. What to ask when, and what
//! an answer does, is [`Book`]'s; here are the tasks and the time.

mod book;
mod dns;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use config::Millis;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};
use translate::Names;

pub use book::{Answer, Book, Family, News, Question};
pub use dns::Dns;

use crate::clock::Clock;

/// What one look-up may take (nginx `resolver_timeout`).
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Look-ups under way at once.
const AT_ONCE: usize = 32;

/// Whoever answers questions. Cancelled by dropping the future.
pub trait LookUp: Send + Sync + 'static {
    /// Looks up one kind of record of one name.
    fn look_up(&self, question: &Question) -> impl Future<Output = Answer> + Send;
}

/// How names are looked up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which records are asked for.
    pub families: Vec<Family>,
    /// In place of how long records say they are valid (nginx `resolver ... valid=`).
    pub valid: Option<Millis>,
}

/// The names under watch. Dropping it ends the look-ups.
#[derive(Debug)]
pub struct Resolver {
    wanted: watch::Sender<Wanted>,
    known: watch::Receiver<Known>,
    task: JoinHandle<()>,
}

/// The names that are wanted, and the number of the wish.
#[derive(Clone, Debug, Default)]
struct Wanted {
    wish: u64,
    names: BTreeSet<Arc<str>>,
}

/// What is known, and the latest wish of which every name was answered or given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    settled: u64,
    names: Names,
}

impl Resolver {
    /// Begins, with no names. Call it within a runtime.
    pub fn start(look_up: impl LookUp, options: Options) -> Self {
        let (wanted, wishes) = watch::channel(Wanted::default());
        let (answers, known) = watch::channel(Known::default());
        Self { wanted, known, task: tokio::spawn(run(Arc::new(look_up), options, wishes, answers)) }
    }

    /// What is known now.
    pub fn known(&self) -> Names {
        self.known.borrow().names.clone()
    }

    /// From now on these names are wanted. Says whether they are others than before.
    pub fn want(&self, names: BTreeSet<Arc<str>>) -> bool {
        self.wanted.send_if_modified(|wanted| {
            let differs = wanted.names != names;
            if differs {
                *wanted = Wanted { wish: wanted.wish + 1, names };
            }
            differs
        })
    }

    /// Returns when every name that is wanted was answered, or was given up: 5 s after it was first wanted. Cancel-safe.
    pub async fn settled(&mut self) {
        let wish = self.wanted.borrow().wish;
        // An error: the task has ended by a panic that was logged, and nothing will ever be known.
        let _ = self.known.wait_for(|known| known.settled >= wish).await;
    }

    /// Returns when what is known is no longer `names`. Cancel-safe.
    pub async fn differs_from(&mut self, names: &Names) {
        if self.known.wait_for(|known| known.names != *names).await.is_err() {
            // The task has ended, which it does only with this handle or by a panic that was logged.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    look_up: Arc<impl LookUp>,
    options: Options,
    mut wanted: watch::Receiver<Wanted>,
    known: watch::Sender<Known>,
) {
    let clock = Clock::start();
    let mut book = Book::new(options.families, options.valid);
    let mut wish = 0;
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(question) = book.next(clock.now())
        {
            let look_up = look_up.clone();
            under_way.spawn(async move {
                let answer = timeout(TIMEOUT, look_up.look_up(&question)).await;
                (question, answer.unwrap_or_else(|_| Answer::Failed("timed out".to_owned())))
            });
        }
        let due = book.due().filter(|_| under_way.len() < AT_ONCE);
        let next = due.into_iter().chain(book.gives_up(clock.now())).min().map(|next| clock.instant(next));
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                let latest = wanted.borrow_and_update().clone();
                wish = latest.wish;
                book.want(&latest.names, clock.now());
            }
            Some(done) = under_way.join_next() => {
                // A look-up that panicked is asked again when it is overdue.
                let Ok((question, answer)) = done else { continue };
                if let Some(news) = book.answer(&question, answer, clock.now()) {
                    say(&question, &news);
                }
            }
            () = at(next) => {}
        }
        let names = book.names(clock.now());
        known.send_if_modified(|known| {
            let settled = if book.is_settled(&names) { wish } else { known.settled };
            let latest = Known { settled, names };
            let differs = latest != *known;
            *known = latest;
            differs
        });
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// As nginx words it.
fn say(question: &Question, news: &News) {
    let (name, records) = (&question.name, question.family.records());
    match news {
        News::Failing { reason, kept: 0 } => warn!("{name} could not be resolved ({reason}), {records}"),
        News::Failing { reason, kept } => {
            warn!("{name} could not be resolved ({reason}), {records}; the {kept} known address(es) stay in use");
        }
        News::Recovered => info!("{name} is resolved again, {records}"),
    }
}

impl Family {
    /// The kind of record that holds such addresses.
    pub fn records(self) -> &'static str {
        match self {
            Self::Ipv4 => "A",
            Self::Ipv6 => "AAAA",
        }
    }
}

#[cfg(test)]
mod tests;
