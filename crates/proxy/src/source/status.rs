//! How a data plane stands with its controllers: told by the feed, shown by the admin interface and the metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::Millis;
use feed::Rejection;
use parking_lot::Mutex;

use super::address::Candidate;
use super::fault::Fault;
use crate::clock::Moment;
use crate::stats::Counter;

/// How a data plane stands with its controllers.
#[derive(Debug, Default)]
pub struct FeedStatus {
    /// Beyond this age it is not ready; `None`: it is, however old.
    max_stale: Option<Duration>,
    state: Mutex<Standing>,
    synced: Counter,
    faults: [Counter; Fault::LABELS.len()],
    /// Reports taken by a leader.
    pub reports_delivered: Counter,
    /// Reports that were not.
    pub reports_failed: Counter,
    /// Times the last good configuration was written.
    pub writes: Counter,
    /// Times it could not be.
    pub writes_failed: Counter,
}

/// How it stands now.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Whom it is connected to.
    pub controller: Option<Controller>,
    /// Whether that controller keeps the configuration current.
    pub synced: bool,
    /// As of when the configuration is known to be right.
    pub currency: Currency,
    /// What was sent and cannot be used, by the resource's name.
    pub rejected: Arc<BTreeMap<String, Rejection>>,
    /// Why there is no controller.
    pub problem: Option<String>,
    /// When the last good configuration was written or what it says, milliseconds since 1970.
    pub last_good_at: Option<Millis>,
    /// Why the last good configuration could not be read or written.
    pub last_good_problem: Option<String>,
}

/// A controller that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// As it was configured.
    pub url: String,
    /// The one of its addresses.
    pub address: SocketAddr,
    /// What it calls itself, once it did.
    pub name: Option<Arc<str>>,
}

/// As of when a configuration is known to be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Currency {
    /// There is none, or not a whole one.
    #[default]
    Never,
    /// A controller keeps it so.
    Current,
    /// Then, milliseconds since 1970.
    AsOf(Millis),
}

impl Currency {
    /// Without a controller, from an age as [`feed::Client::age`] says it. Never [`Self::Current`], not even of an age of
    /// zero: from now on it ages.
    pub(super) fn alone(age: Option<Millis>, now: Millis) -> Self {
        age.map_or(Self::Never, |age| Self::AsOf(now.since(age)))
    }

    /// The moment, at `now`.
    pub(super) fn at(self, now: Millis) -> Option<Millis> {
        match self {
            Self::Never => None,
            Self::Current => Some(now),
            Self::AsOf(then) => Some(then),
        }
    }
}

impl FeedStatus {
    /// Of a data plane that has heard nobody yet. Older than `max_stale`, a configuration is not ready; `None`: it always is.
    pub fn new(max_stale: Option<Duration>) -> Self {
        Self { max_stale, ..Self::default() }
    }

    /// How it stands now.
    pub fn standing(&self) -> Standing {
        self.state.lock().clone()
    }

    /// How old the configuration may be: zero while a controller keeps it current; `None` before a whole one.
    pub fn age(&self, now: Moment) -> Option<Duration> {
        let now = millis(now);
        let then = self.state.lock().currency.at(now)?;
        Some(now.since(then).as_duration())
    }

    /// Why the configuration is too old to be ready with, if it is.
    pub fn stale(&self, now: Moment) -> Option<String> {
        let (limit, age) = (self.max_stale?, self.age(now)?);
        let problem = self.state.lock().problem.clone();
        let why = problem.map(|problem| format!(": {problem}")).unwrap_or_default();
        (age > limit).then(|| {
            let (age, limit) = (age.as_secs(), limit.as_secs_f32());
            format!("the configuration may be {age} s old, --max-stale allows {limit} s{why}")
        })
    }

    /// Times that a controller synchronised this data plane.
    pub fn synchronisations(&self) -> u64 {
        self.synced.value()
    }

    /// Times that a controller could not be used, or was lost, by why.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Fault::LABELS.into_iter().zip(self.faults.iter().map(Counter::value))
    }

    /// One of which everything can be said.
    #[cfg(test)]
    pub(crate) fn sample() -> Arc<Self> {
        let status = Self::new(None);
        let url = "https://forebay-controller.forebay.svc:9902".parse().expect("a URL");
        status.connected(&Candidate { url, address: ([10, 0, 0, 9], 9902).into() });
        status.welcomed("controller-0".into());
        status.last_good(Ok(Millis(1_795_341_600_123)));
        status.synced();
        Arc::new(status)
    }

    pub(super) fn connected(&self, to: &Candidate) {
        let controller = Controller { url: to.url.to_string(), address: to.address, name: None };
        self.state.lock().controller = Some(controller);
    }

    pub(super) fn welcomed(&self, name: Arc<str>) {
        if let Some(controller) = &mut self.state.lock().controller {
            controller.name = Some(name);
        }
    }

    pub(super) fn synced(&self) {
        self.synced.inc();
        let mut state = self.state.lock();
        (state.synced, state.currency, state.problem) = (true, Currency::Current, None);
    }

    /// A controller could not be used, or was lost.
    pub(super) fn failed(&self, whom: &str, fault: &Fault) {
        if let Some(place) = Fault::LABELS.iter().position(|label| *label == fault.label()) {
            self.faults[place].inc();
        }
        self.state.lock().problem = Some(format!("{whom}: {fault}"));
    }

    /// The stream is gone.
    pub(super) fn disconnected(&self, currency: Currency) {
        let mut state = self.state.lock();
        (state.controller, state.synced, state.currency) = (None, false, currency);
    }

    pub(super) fn restored(&self, currency: Currency) {
        self.state.lock().currency = currency;
    }

    pub(super) fn rejected(&self, rejected: Arc<BTreeMap<String, Rejection>>) {
        self.state.lock().rejected = rejected;
    }

    /// What became of reading or writing the last good configuration.
    pub(super) fn last_good(&self, outcome: Result<Millis, String>) {
        let mut state = self.state.lock();
        match outcome {
            Ok(at) => (state.last_good_at, state.last_good_problem) = (Some(at), None),
            Err(problem) => state.last_good_problem = Some(problem),
        }
    }
}

/// A moment as the feed counts.
pub(super) const fn millis(moment: Moment) -> Millis {
    Millis(moment.micros() / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from(seconds * 1_000_000)
    }

    #[test]
    fn a_configuration_ages_once_nobody_keeps_it_current() {
        let status = FeedStatus::new(Some(Duration::from_mins(1)));
        assert_eq!((status.age(at(5)), status.stale(at(5))), (None, None));
        status.synced();
        assert_eq!(status.age(at(500)), Some(Duration::ZERO));
        status.disconnected(Currency::alone(Some(Millis(2000)), millis(at(502))));
        status.failed("https://c:1 (10.0.0.9:1)", &Fault::Ended);
        assert_eq!(status.age(at(560)), Some(Duration::from_mins(1)));
        assert_eq!(status.stale(at(560)), None);
        let why = "the configuration may be 61 s old, --max-stale allows 60 s: https://c:1 (10.0.0.9:1): closed the connection";
        assert_eq!(status.stale(at(561)).as_deref(), Some(why));
        assert_eq!(FeedStatus::new(None).stale(at(561)), None);
        assert_eq!(status.faults().find(|(label, _)| *label == "ended"), Some(("ended", 1)));
    }

    /// A goodbye is the last word, and the stream is left within its millisecond. What was read from a file of the future
    /// is no younger.
    #[test]
    fn it_ages_from_a_goodbye_that_was_heard_just_now() {
        let status = FeedStatus::new(Some(Duration::from_mins(1)));
        status.synced();
        status.disconnected(Currency::alone(Some(Millis(0)), millis(at(500))));
        assert_eq!(status.age(at(500)), Some(Duration::ZERO));
        assert_eq!(status.standing().currency.at(millis(at(560))), Some(millis(at(500))));
        assert_eq!((status.age(at(561)), status.stale(at(561)).is_some()), (Some(Duration::from_secs(61)), true));
    }
}
