//! What one replica of all does: it stands for election and, while it leads, writes status and events. It is what a controller
//! and a data plane with watches of its own have in common, beside following the cluster.

use std::sync::Arc;
use std::time::Duration;

use config::Millis;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::facts::Facts;
use crate::fleet::Reports;
use crate::hub::Hub;
use crate::lease::{self, Election, Leadership, Timing};
use crate::status::budget::Limits;
use crate::status::{self, Sources, StatusMetrics};

/// A part that is told to stop and does not is left behind after this time.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What a candidate is told by its operator.
#[derive(Clone, Debug)]
pub struct LeadOptions {
    /// Where the Lease is.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// Who this replica is: [`lease::identity`].
    pub identity: Arc<str>,
    /// How data planes reach this replica's feed, `HOST:PORT`.
    pub advertise: Option<Arc<str>>,
    /// Written into Ingresses in place of what the publishing Service says.
    pub publish_addresses: Vec<String>,
    /// Between two writes of one object that only change counters.
    pub status_interval: Millis,
}

/// A candidate that stands for election, and writes while it leads.
pub struct Leading {
    /// Who leads.
    pub leadership: watch::Receiver<Leadership>,
    /// Where reports go that are meant for this replica.
    pub reports: Reports,
    election: Part,
    status: Part,
}

/// A task and how it is told to end.
struct Part {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Leading {
    /// Stands for election, and says in `hub` who leads. Call it within a runtime.
    pub fn start(
        client: Client,
        options: LeadOptions,
        hub: Arc<Hub>,
        facts: Arc<Facts>,
        metrics: StatusMetrics,
        clock: Clock,
    ) -> Self {
        let candidate = lease::Options {
            namespace: options.namespace,
            name: options.lease,
            identity: options.identity.clone(),
            address: options.advertise,
            timing: Timing::DEFAULT,
        };
        let (election, leadership) = Election::new(client.clone(), candidate, hub, clock);
        let reports = Reports::new(clock);
        let sources = Sources { facts, reports: reports.clone(), leadership: leadership.clone() };
        let options = status::Options {
            limits: Limits { lazy_every: options.status_interval, ..Limits::DEFAULT },
            publish_addresses: options.publish_addresses,
            identity: options.identity,
        };
        let election = Part::start(|stop| election.run(stop));
        let status =
            Part::start(|stop| async move { status::run(client, sources, clock, &options, metrics, stop).await });
        Self { leadership, reports, election, status }
    }

    /// Returns when a part of it died, which it never should, and names it. Cancel-safe.
    pub async fn died(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.election.task => "the election",
            _ = &mut self.status.task => "the part that writes status",
        }
    }

    /// Writes no more status, then gives back the Lease, so that another replica leads.
    pub async fn leave(self) {
        self.status.stop().await;
        self.election.stop().await;
    }
}

impl Part {
    fn start<T: Future<Output = ()> + Send + 'static>(run: impl FnOnce(CancellationToken) -> T) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(run(stop.clone())), stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(PATIENCE, self.task).await;
    }
}
