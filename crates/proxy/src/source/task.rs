//! The task that keeps one stream to one controller, whichever answers, and puts what it commits in force.
//!
//! It is tried for ever: what is in force stays in force meanwhile. Only at boot there is a limit, `--boot-wait`, after which
//! the last good configuration is used. A controller that answers before is told what is on disk, too: what it cannot know
//! (a refused object, whose version before it never saw) is kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::Millis;
use feed::{Backoff, Client, Event, Update};
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::info;

use super::address::Candidate;
use super::body;
use super::dial::{self, Connection};
use super::fault::Fault;
use super::in_force::{InForce, Origin};
use super::options::FeedOptions;
use super::reporter::LeaderAt;
use super::rounds;
use super::status::{Currency, FeedStatus, millis};
use super::teller::Teller;
use crate::config_status::ConfigStatus;
use crate::proxy::Proxy;

/// Keeps a stream to a controller, until dropped.
pub(super) struct Task {
    pub options: FeedOptions,
    pub proxy: Arc<Proxy>,
    pub status: Arc<ConfigStatus>,
    pub feed: Arc<FeedStatus>,
    pub client: Client,
    pub boot: Boot,
    pub in_force: watch::Sender<Option<InForce>>,
    pub leader: watch::Sender<Option<LeaderAt>>,
    /// Whether the present stream named a leader.
    pub named: bool,
    pub teller: Teller,
    pub backoff: Backoff,
}

/// The wait for the first configuration.
pub(super) enum Boot {
    /// Until then a controller may answer; after it, what the client remembers is used, if there was a file. Of when it is.
    Waiting { until: Instant, remembered: Option<Millis> },
    /// Something is in force, or there is nothing to wait for.
    Over,
}

/// Why a stream was left.
enum Stop {
    Fault(Fault),
    /// The controller said goodbye: come again within this time.
    Bye {
        reason: String,
        within: Millis,
    },
    /// The boot wait is over, and nobody has answered.
    Boot,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Boot {
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Waiting { until, .. } => Some(*until),
            Self::Over => None,
        }
    }
}

impl Task {
    pub async fn run(mut self) {
        let mut lost = None;
        loop {
            let wait = self.round(&mut lost).await;
            let waited = async {
                sleep(wait).await;
                Ok(())
            };
            if before(self.boot.until(), waited).await.is_err() {
                self.restore().await;
            }
        }
    }

    /// Tries every address until a stream was synchronised and lost; how long to wait before the next round.
    async fn round(&mut self, lost: &mut Option<SocketAddr>) -> Duration {
        let boot = self.boot.until();
        let Ok(candidates) = before(boot, async { Ok(self.candidates(*lost).await) }).await else {
            self.restore().await;
            return Duration::ZERO;
        };
        for candidate in candidates {
            let whom = format!("controller {candidate}");
            let stop = self.attempt(&candidate).await;
            let synced = self.feed.standing().synced;
            self.client.disconnect();
            self.feed.disconnected(Currency::alone(self.client.age(self.now()), self.now()));
            if synced {
                *lost = Some(candidate.address);
            }
            match stop {
                Stop::Boot => {
                    self.restore().await;
                    return Duration::ZERO;
                }
                Stop::Bye { reason, within } => {
                    self.feed.failed(&whom, &Fault::Bye(reason.clone()));
                    let wait = Backoff::after_bye(within, rand::random()).as_duration();
                    if synced {
                        info!("{whom}: says goodbye: {reason}; the next one is asked within {} ms", within.0);
                        return wait;
                    }
                    self.teller.trouble(&whom, &format!("refuses this data plane: {reason}"));
                    return wait.max(self.backoff.next(rand::random()).as_duration());
                }
                Stop::Fault(fault) => {
                    self.feed.failed(&whom, &fault);
                    let what =
                        if synced { format!("lost: {fault}; what is in force stays") } else { fault.to_string() };
                    self.teller.trouble(&whom, &what);
                    if synced {
                        break;
                    }
                }
            }
        }
        self.backoff.next(rand::random()).as_duration()
    }

    /// Every address there is, in the order to try them.
    async fn candidates(&mut self, lost: Option<SocketAddr>) -> Vec<Candidate> {
        let mut found = Vec::new();
        for url in &self.options.controllers {
            let whom = format!("controller {url}");
            match dial::resolve(url, &self.options.patience).await {
                Ok(candidates) => {
                    self.teller.well(&whom, "its name is resolved again");
                    found.extend(candidates);
                }
                Err(fault) => {
                    self.feed.failed(&whom, &fault);
                    self.teller.trouble(&whom, &fault.to_string());
                }
            }
        }
        let known: Vec<_> = found.iter().map(|candidate| format!("controller {candidate}")).collect();
        let urls: Vec<_> = self.options.controllers.iter().map(|url| format!("controller {url}")).collect();
        self.teller.keep(|whom| known.iter().chain(&urls).any(|one| one == whom));
        rounds::order(found, lost, rand::random)
    }

    /// One stream, from dialling to its end.
    async fn attempt(&mut self, to: &Candidate) -> Stop {
        let (sender, lines) = body::lines();
        self.named = false;
        self.client.connect(self.now());
        if let Some(hello) = self.client.poll() {
            // There is room in a channel that is new.
            let _ = sender.try_send(hello);
        }
        let FeedOptions { credentials, patience, .. } = &self.options;
        let opened = async {
            let mut connection: Connection<body::Lines> =
                Box::pin(dial::dial(to, std::slice::from_ref(&to.url), credentials, patience)).await?;
            let response = connection.post("/feed/v1", "application/x-ndjson", lines, credentials, patience).await?;
            let incoming = dial::expect(response, StatusCode::OK).await?;
            Ok((connection, incoming))
        };
        match before(self.boot.until(), opened).await {
            Ok((_connection, incoming)) => {
                self.feed.connected(to);
                self.converse(to, &sender, incoming).await
            }
            Err(stop) => stop,
        }
    }

    /// Carries lines both ways until there is a reason to stop.
    async fn converse(&mut self, to: &Candidate, sender: &mpsc::Sender<Bytes>, mut incoming: Incoming) -> Stop {
        let sync_by = Instant::now() + self.options.patience.sync;
        let mut outbox = None;
        loop {
            outbox = outbox.or_else(|| self.client.poll());
            let (silent_at, boot) = (self.silent_at(), self.boot.until());
            tokio::select! {
                frame = incoming.frame() => {
                    let data = match frame {
                        None => return Fault::Ended.into(),
                        Some(Err(error)) => return Fault::of_http(&error, std::slice::from_ref(&to.url)).into(),
                        Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                    };
                    if let Err(stop) = self.take(&data, to).await {
                        return stop;
                    }
                }
                permit = sender.reserve(), if outbox.is_some() => match (permit, outbox.take()) {
                    (Ok(permit), Some(line)) => permit.send(line),
                    (Ok(_), None) => {}
                    // Our half was closed from the other side: it listens no more.
                    (Err(_), _) => return Fault::Ended.into(),
                },
                () = sleep_until(silent_at) => return Fault::Silence(self.options.patience.silence).into(),
                () = sleep_until(sync_by), if !self.client.is_synced() => {
                    return Fault::NotSynced(self.options.patience.sync).into();
                }
                () = sleep_until(boot.unwrap_or(sync_by)), if boot.is_some() => self.restore().await,
            }
        }
    }

    /// What arrived: puts the newest commit in force, then everything else.
    async fn take(&mut self, data: &[u8], from: &Candidate) -> Result<(), Stop> {
        let (mut update, mut receipts, mut synced, mut stop) = (None::<Update>, Vec::new(), false, None);
        for event in self.client.receive(data, self.now()) {
            match event {
                Event::Welcomed { server, .. } => self.feed.welcomed(server),
                Event::Commit(next) => {
                    receipts.push(next.receipt);
                    update = Some(next);
                }
                Event::Synced => synced = true,
                Event::Leads(leader) => self.leads(leader.map(|leader| LeaderAt { leader, url: from.url.clone() })),
                Event::Bye { within, reason } => stop = Some(Stop::Bye { within, reason }),
                Event::Violated(violation) => stop = Some(Fault::Violation(violation).into()),
            }
        }
        if let Some(update) = update {
            let source = from.to_string();
            if self.apply(update, Origin::Controller, source).await {
                for receipt in receipts {
                    self.client.applied(receipt);
                }
            }
        }
        if synced {
            self.backoff.reset();
            self.feed.synced();
            self.teller.well(&format!("controller {from}"), "keeps the configuration current again");
        }
        if self.client.is_synced() {
            self.tell_rejected();
        }
        stop.map_or(Ok(()), Err)
    }

    /// Every beat names it. Told is a change, and that it is named after a stream was lost.
    fn leads(&mut self, leader: Option<LeaderAt>) {
        let is_first = !std::mem::replace(&mut self.named, true);
        self.leader.send_if_modified(|last| {
            let differs = *last != leader;
            *last = leader;
            differs || is_first
        });
    }

    fn silent_at(&self) -> Instant {
        let left = self.client.deadline().map_or(Millis(0), |deadline| deadline.since(self.now()));
        Instant::now() + left.as_duration()
    }

    pub(super) fn now(&self) -> Millis {
        millis(self.proxy.clock().now())
    }
}

/// Does `work`, but not beyond the boot wait.
async fn before<T>(boot: Option<Instant>, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Stop> {
    tokio::select! {
        done = work => done.map_err(Stop::Fault),
        () = sleep_until(boot.unwrap_or_else(Instant::now)), if boot.is_some() => Err(Stop::Boot),
    }
}
