//! What the data plane of this process tells the controller of this process while that leads: the reports of one that is fed, on
//! the same schedule, from hand to hand. Nothing is told to another leader: there is no feed between them.

use std::sync::Arc;

use config::Millis;
use controller::clock::Clock;
use controller::fleet::Reports;
use controller::lease::Leadership;
use feed::Scope;
use feed::report::{Delivered, Part, Report, Schedule};
use proxy::Proxy;
use proxy::config_status::ConfigStatus;
use proxy::source::picture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::holdings::InForce;

/// Chance keeps a fleet from reporting in step. Here it is the mean: half of everything, whichever bits of it are taken.
const MEAN: u64 = 0x7fff_ffff_7fff_ffff;

/// Reports until there is no candidate any more.
pub struct Reporter {
    pub instance: Arc<str>,
    pub proxy: Arc<Proxy>,
    pub status: Arc<ConfigStatus>,
    pub in_force: watch::Receiver<Option<InForce>>,
    pub leadership: watch::Receiver<Leadership>,
    pub reports: Reports,
    /// The clock of the election.
    pub clock: Clock,
}

impl Reporter {
    /// Reports.
    pub async fn run(mut self) {
        let (mut schedule, mut delivered) = (Schedule::default(), Delivered::default());
        let (mut leads, mut seq, epoch) = (false, 0, self.proxy.clock().now().micros() / 1000);
        loop {
            // There may be a leader before there is anything to tell it.
            let due = schedule.due().filter(|_| self.in_force.borrow().is_some()).map(|due| self.clock.instant(due));
            tokio::select! {
                changed = self.leadership.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let led = std::mem::replace(&mut leads, self.leadership.borrow_and_update().until.is_some());
                    if leads != led {
                        schedule.leader(leads, self.clock.now(), MEAN);
                        delivered = Delivered::default();
                    }
                }
                changed = self.in_force.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.in_force.mark_unchanged();
                    schedule.changed(self.clock.now(), MEAN);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let Some(part) = schedule.take(self.clock.now(), MEAN) else { continue };
                    seq += 1;
                    delivered = self.report(part, (epoch, seq), delivered).await;
                    schedule.delivered(self.clock.now());
                }
            }
        }
    }

    /// Tells one, and says what is known then.
    async fn report(&self, part: Part, (epoch, seq): (u64, u64), mut delivered: Delivered) -> Delivered {
        let Some(in_force) = self.in_force.borrow().clone() else { return delivered };
        let (at, reports, instance) = (self.proxy.clock().now(), self.reports.clone(), self.instance.clone());
        let age = self.status.age(at).map(Millis::from).unwrap_or_default();
        let zone = self.proxy.zone().map(Arc::from);
        // Ten thousand servers take their time, and health is asked on this thread.
        let told = tokio::task::spawn_blocking(move || {
            let now = picture(&in_force.snapshot, |id| in_force.versions.get(id).copied(), at);
            let (extent, groups) = delivered.report(part, &now);
            let (revision, rejected) = (in_force.snapshot.revision, in_force.rejected);
            delivered.note(part, now, groups.clone());
            reports.absorb(Report {
                instance,
                epoch,
                seq,
                extent,
                revision,
                age,
                scope: Scope::All,
                zone,
                rejected,
                groups,
            });
            delivered
        });
        // Who broke off told nothing: the next tells everything.
        told.await.unwrap_or_default()
    }
}
