//! Which replica writes status and events: a `coordination.k8s.io/v1` Lease. Every replica watches and serves; nothing that
//! data planes need depends on this.
//!
//! client-go's rules and times (15 s, 10 s, 2 s). A replica leads from the moment it *asked* for a renewal that succeeded and
//! for the renew deadline; others take over when they saw no renewal for the lease's duration, which is half as long again.
//! Each measures by its own monotonic clock, so clocks may differ at will, and their speeds by a fifth.

mod elector;
#[cfg(test)]
mod simulation;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::Millis;
use feed::frames::Leader;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::hub::Hub;
use crate::trouble::{Reason, Rule, Teller, Trouble};

pub use elector::{Act, Answer, Elector, FEED_ADDRESS, Timing};

/// Who leads, as this replica knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Until when this replica leads unless it renews; `None` if it does not.
    pub until: Option<Millis>,
    /// Who takes reports.
    pub leader: Option<Leader>,
}

/// The Lease and who this replica is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the Lease is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who this replica is: [`identity`].
    pub identity: Arc<str>,
    /// How data planes reach its feed, `HOST:PORT`.
    pub address: Option<Arc<str>>,
    /// How long things take.
    pub timing: Timing,
}

/// The candidacy of this replica.
#[derive(Debug)]
pub struct Election {
    leases: Api<Lease>,
    namespace: String,
    name: String,
    elector: Elector,
    hub: Arc<Hub>,
    clock: Clock,
    leadership: watch::Sender<Leadership>,
    /// By verb: who may read may still not write. Whether the API server is there is one matter for all.
    tellers: BTreeMap<&'static str, Teller>,
    absence: Teller,
}

/// `name` and a random suffix: a replica that comes again under its name is another.
pub fn identity(name: &str) -> Arc<str> {
    format!("{name}_{:08x}", rand::rng().random::<u32>()).into()
}

impl Leadership {
    /// Whether this replica leads at `now`. Ask before every write: nobody else is told when the time runs out.
    pub fn leads(&self, now: Millis) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

impl Election {
    /// A candidate, and what it will know of who leads.
    pub fn new(client: Client, options: Options, hub: Arc<Hub>, clock: Clock) -> (Self, watch::Receiver<Leadership>) {
        let Options { namespace, name, identity, address, timing } = options;
        let (leadership, receiver) = watch::channel(Leadership::default());
        let elector = Elector::new(timing, identity, address, &namespace, &name);
        let leases = Api::namespaced(client, &namespace);
        let tellers = BTreeMap::new();
        (
            Self { leases, namespace, name, elector, hub, clock, leadership, tellers, absence: Teller::default() },
            receiver,
        )
    }

    /// Stands for election until `stop`; then gives the Lease back, so that another replica leads within seconds.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.tell();
            let asked = self.clock.now();
            if let Some(act) = self.elector.act(asked, self.clock.wall()) {
                let answer = self.perform(act).await;
                self.elector.heard(answer, asked, self.clock.now());
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep_until(self.clock.instant(self.elector.due(asked))) => {}
                () = stop.cancelled() => {}
            }
        }
        if let Some(released) = self.elector.release(self.clock.now(), self.clock.wall()) {
            self.tell();
            let answer = self.perform(Act::Write(released)).await;
            tracing::info!(released = matches!(answer, Answer::Written(_)), "gave back the lease {}", self.name);
        }
    }

    fn tell(&mut self) {
        let now = self.clock.now();
        let known = self.elector.leadership(now);
        let before = self.leadership.borrow().clone();
        if known == before {
            return;
        }
        if known.leader != before.leader {
            let name = known.leader.as_ref().map_or("nobody", |leader| &*leader.identity);
            tracing::info!("{name} leads by the lease {}", self.name);
            self.hub.lead(known.leader.clone());
        }
        self.leadership.send_replace(known);
    }

    async fn perform(&mut self, act: Act) -> Answer {
        let limit = self.elector.patience().as_duration();
        let verb = act.verb();
        let answer = tokio::time::timeout(limit, request(&self.leases, &self.name, act)).await;
        let what = format!("cannot {verb} the lease {}/{}", self.namespace, self.name);
        let teller = self.tellers.entry(verb).or_default();
        let trouble = match answer {
            Ok(Ok(answer)) => {
                if teller.well().or(self.absence.well()).is_some() {
                    tracing::info!("can {verb} the lease {}/{} again", self.namespace, self.name);
                }
                return answer;
            }
            Ok(Err(error)) => {
                // A name cannot restrict who creates.
                let name = (verb != "create").then_some(self.name.as_str());
                let rule =
                    Rule { role: "Role", group: "coordination.k8s.io", resource: "leases", name, verbs: &[verb] };
                Trouble::of(&what, &error, &rule)
            }
            Err(_) => Trouble::silence(&what, limit),
        };
        let teller = if trouble.reason == Reason::Unreachable { &mut self.absence } else { teller };
        if teller.trouble(trouble.reason, Instant::now()) {
            tracing::warn!(
                "{}",
                trouble.and("this replica cannot lead meanwhile, and only who leads writes status and events")
            );
        }
        Answer::Failed
    }
}

impl Act {
    /// What it is to RBAC.
    fn verb(&self) -> &'static str {
        match self {
            Self::Read => "get",
            Self::Write(lease) if is_new(lease) => "create",
            Self::Write(_) => "update",
        }
    }
}

impl Timing {
    /// client-go's defaults.
    pub const DEFAULT: Self =
        Self { duration: Millis::from_secs(15), renew_deadline: Millis::from_secs(10), retry: Millis::from_secs(2) };
}

async fn request(leases: &Api<Lease>, name: &str, act: Act) -> Result<Answer, kube::Error> {
    let params = PostParams::default();
    let result = match act {
        Act::Read => {
            return Ok(leases.get_opt(name).await?.map_or(Answer::Absent, |lease| Answer::Found(Box::new(lease))));
        }
        Act::Write(lease) if is_new(&lease) => (leases.create(&params, &lease).await, false),
        Act::Write(lease) => (leases.replace(name, &params, &lease).await, true),
    };
    match result {
        (Ok(lease), _) => Ok(Answer::Written(Box::new(lease))),
        // Another was first: look again.
        (Err(kube::Error::Api(status)), _) if status.code == 409 => Ok(Answer::Conflict),
        // It was deleted: look again. (What cannot be created for want of its namespace is a trouble.)
        (Err(kube::Error::Api(status)), true) if status.code == 404 => Ok(Answer::Conflict),
        (Err(error), _) => Err(error),
    }
}

fn is_new(lease: &Lease) -> bool {
    lease.metadata.resource_version.is_none()
}

/// What a writer may take at most, so that what it began while it led ends before another can lead.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
