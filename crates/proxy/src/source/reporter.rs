//! Sends reports to the leader, on a connection of its own that is kept while it answers. A report that fails is followed by
//! the next: what was not delivered is part of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::Millis;
use feed::frames::Leader;
use feed::report::{Delivered, Extent, Groups, Part, Report, Schedule};
use http::StatusCode;
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::address::{Candidate, ControllerUrl};
use super::dial::{self, Connection};
use super::fault::Fault;
use super::in_force::InForce;
use super::options::FeedOptions;
use super::report;
use super::status::{FeedStatus, millis};
use super::teller::Teller;
use crate::clock::Clock;

/// Where reports go: the leader's address, and the URL of the controller that named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeaderAt {
    pub leader: Leader,
    pub url: ControllerUrl,
}

/// Reports, until dropped.
pub(super) struct Reporter {
    pub options: FeedOptions,
    pub clock: Clock,
    pub status: Arc<FeedStatus>,
    pub in_force: watch::Receiver<Option<InForce>>,
    /// Whose part of the groups is in force.
    pub zone: Option<Arc<str>>,
    pub leader: watch::Receiver<Option<LeaderAt>>,
    /// When this life of the process began, milliseconds since 1970.
    pub epoch: u64,
}

/// What was sent so far.
#[derive(Default)]
struct Sent {
    seq: u64,
    /// What the present leader knows.
    delivered: Delivered,
    connection: Option<Connection<Full<Bytes>>>,
}

impl Reporter {
    pub async fn run(self) {
        let (mut schedule, mut sent, mut teller) = (Schedule::default(), Sent::default(), Teller::default());
        let (mut leader, mut in_force, mut to) = (self.leader.clone(), self.in_force.clone(), None);
        loop {
            // A leader may be named before there is anything to tell it.
            let due = schedule.due().filter(|_| self.in_force.borrow().is_some()).map(|due| self.instant(due));
            tokio::select! {
                changed = leader.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let named = leader.borrow_and_update().clone();
                    if named != to {
                        let known = named.as_ref().is_some_and(LeaderAt::takes_reports);
                        schedule.leader(known, self.now(), rand::random());
                        (to, sent.delivered, sent.connection) = (named, Delivered::default(), None);
                    } else if schedule.named_again(self.now(), rand::random()) {
                        // Packets of the old one may wait for a minute before they are sent again.
                        sent.connection = None;
                    }
                }
                changed = in_force.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    in_force.mark_unchanged();
                    schedule.changed(self.now(), rand::random());
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let Some(part) = schedule.take(self.now(), rand::random()) else { continue };
                    let outcome = tokio::select! {
                        outcome = self.report(part, to.as_ref(), &mut sent, &mut teller) => outcome,
                        // Whoever leads now, what is under way is not for them.
                        _ = leader.changed() => {
                            leader.mark_changed();
                            Err(())
                        }
                    };
                    match outcome {
                        Ok(()) => schedule.delivered(self.now()),
                        Err(()) => schedule.failed(part),
                    }
                }
            }
        }
    }

    /// Sends one. `Err`: it was not delivered, which was said.
    async fn report(
        &self,
        part: Part,
        leader: Option<&LeaderAt>,
        sent: &mut Sent,
        teller: &mut Teller,
    ) -> Result<(), ()> {
        let (Some(in_force), Some(leader)) = (self.in_force.borrow().clone(), leader) else {
            return Ok(());
        };
        sent.seq += 1;
        let whom = format!("leader {}", leader.leader.identity);
        let (delivered, at) = (std::mem::take(&mut sent.delivered), self.clock.now());
        let head = Report {
            instance: self.options.instance.clone(),
            epoch: self.epoch,
            seq: sent.seq,
            extent: Extent::Changes,
            revision: in_force.snapshot.revision,
            age: self.status.age(at).map(Millis::from).unwrap_or_default(),
            scope: self.options.scope.clone(),
            zone: self.zone.clone(),
            rejected: report::rejected(&in_force),
            groups: Groups::new(),
        };
        // Ten thousand servers are some megabytes of JSON, and health is asked on this thread.
        let made = tokio::task::spawn_blocking(move || {
            let now = report::groups(&in_force, at);
            let (extent, groups) = delivered.report(part, &now);
            let mut report = Report { extent, groups, ..head };
            let json = report.to_json();
            (json, std::mem::take(&mut report.groups), now, delivered)
        });
        let outcome = match made.await {
            Ok((json, told, now, before)) => {
                sent.delivered = before;
                let outcome = self.deliver(json, leader, sent).await;
                if outcome.is_ok() {
                    sent.delivered.note(part, now, told);
                }
                outcome
            }
            Err(panicked) => Err(Fault::Http(panicked.to_string())),
        };
        match outcome {
            Ok(()) => {
                self.status.reports_delivered.inc();
                teller.well(&whom, "takes reports again");
                Ok(())
            }
            Err(fault) => {
                self.status.reports_failed.inc();
                sent.connection = None;
                teller.keep(|known| known == whom);
                teller.trouble(
                    &whom,
                    &format!("does not take reports: {fault}; the status of groups lacks this data plane"),
                );
                Err(())
            }
        }
    }

    async fn deliver(&self, json: Vec<u8>, to: &LeaderAt, sent: &mut Sent) -> Result<(), Fault> {
        let FeedOptions { controllers, credentials, patience, .. } = &self.options;
        let connection = match &mut sent.connection {
            Some(connection) if connection.is_open() => connection,
            _ => {
                let candidate = to.resolve(patience.resolve).await?;
                sent.connection.insert(Box::pin(dial::dial(&candidate, controllers, credentials, patience)).await?)
            }
        };
        let body = Full::new(Bytes::from(json));
        let response = connection.post("/report/v1", "application/json", body, credentials, patience).await?;
        dial::expect(response, StatusCode::NO_CONTENT).await.map(drop)
    }

    fn instant(&self, at: Millis) -> Instant {
        Instant::now() + at.since(self.now()).as_duration()
    }

    fn now(&self) -> Millis {
        millis(self.clock.now())
    }
}

impl LeaderAt {
    fn takes_reports(&self) -> bool {
        self.leader.address.is_some()
    }

    async fn resolve(&self, limit: Duration) -> Result<Candidate, Fault> {
        let none = || Fault::Resolve(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
        let address = self.leader.address.as_deref().ok_or_else(none)?;
        let found = dial::within("resolving its address", limit, tokio::net::lookup_host(address)).await?;
        let address = found.map_err(Fault::Resolve)?.next().ok_or_else(none)?;
        Ok(Candidate { url: self.url.clone(), address })
    }
}
