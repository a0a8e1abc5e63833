//! One watch: its events become steps, and what goes wrong with it is said and waited over.

use std::time::Duration;

use feed::Backoff;
use futures_util::{Stream, StreamExt as _};
use kube::runtime::watcher::{self, Event};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{Step, Watches};
use crate::index::{Kept, Place};
use crate::trouble::{GRACE, Reason, Teller, Trouble};

/// A watch that hears of no trouble for so long goes on: longer than an API server that was asked may be silent
/// ([`crate::connect`]). One that is resumed and has nothing to tell says so by nothing else.
const GOES_ON: Duration = Duration::from_mins(1);

/// Passes the events of one watch on, and what goes wrong with it.
pub(super) struct Relay<'w> {
    watches: &'w Watches,
    place: Place,
    /// What its lines of the log begin with.
    about: String,
    backoff: Backoff,
    teller: Teller,
}

impl<'w> Relay<'w> {
    pub(super) fn new(watches: &'w Watches, place: Place) -> Self {
        Self { watches, place, about: String::new(), backoff: Backoff::default(), teller: Teller::default() }
    }

    /// For whom it watches.
    pub(super) fn about(mut self, whom: &str) -> Self {
        self.about = format!("{whom}: ");
        self
    }

    /// Hands on what `step` makes of each event. Returns when nobody listens any more.
    pub(super) async fn run<K: Kept, T>(
        mut self,
        events: impl Stream<Item = watcher::Result<Event<T>>>,
        mut step: impl FnMut(Event<T>) -> Option<Step>,
    ) {
        let mut events = std::pin::pin!(events);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = sleep(GOES_ON), if !self.teller.is_well() => {
                    self.recovered::<K>();
                    continue;
                }
            };
            let step = match event {
                Some(Ok(event)) => {
                    // That a list begins proves nothing.
                    if !matches!(event, Event::Init) {
                        self.recovered::<K>();
                    }
                    self.watches.metrics.event(K::KIND);
                    step(event)
                }
                Some(Err(error)) => {
                    let is_excused = self.trouble::<K>(&error);
                    self.rest().await;
                    let place = self.place.clone();
                    is_excused.then(|| Step::new(move |index| index.excuse(K::KIND, &place)))
                }
                None => return,
            };
            if let Some(step) = step
                && self.watches.steps.send(step).await.is_err()
            {
                return;
            }
        }
    }

    /// Waits until it is time to try again.
    pub(super) async fn rest(&mut self) {
        sleep(self.backoff.next(rand::random()).as_duration()).await;
    }

    pub(super) fn recovered<K: Kept>(&mut self) {
        self.backoff.reset();
        match self.teller.well() {
            Some(Reason::Unreachable | Reason::Expired) | None => {}
            Some(_) => info!("{}watching {} {} again", self.about, K::KIND, self.place),
        }
    }

    /// Says what is wrong. Whether to go on without the kind.
    pub(super) fn trouble<K: Kept>(&mut self, error: &watcher::Error) -> bool {
        let trouble = Trouble::of_watch::<K>(error, &self.place);
        self.watches.metrics.watch_error(K::KIND, trouble.reason.name());
        let now = Instant::now();
        if self.teller.trouble(trouble.reason, now) {
            match trouble.reason {
                // No matter of one watch: the connection says it.
                Reason::Unreachable => {}
                // A history that was compacted is the API server's housekeeping.
                Reason::Expired => info!("{}{trouble}", self.about),
                Reason::Forbidden | Reason::Unauthorized | Reason::Missing | Reason::Refused | Reason::Broken => {
                    warn!("{}{trouble}", self.about);
                }
            }
        }
        self.watches.scope.dispenses(K::KIND, trouble.reason) && self.teller.lasts(now) >= GRACE
    }
}
