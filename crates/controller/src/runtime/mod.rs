//! The composition of a controller, and the order in which it leaves.
//!
//! Following the cluster, serving the feed, standing for election, writing status and the admin interface are tasks that know
//! nothing of each other; they meet in [`Hub`], [`Facts`] and the leadership. Each is essential: if one dies the process ends
//! and is started again, because a controller that does only half of its work looks healthy.
//!
//! It leaves in the order that hurts least: it writes no more status, gives back the Lease so that another replica leads, and
//! only then tells the data planes, spread over time, to come again elsewhere.

mod follow;

use std::sync::Arc;
use std::time::Duration;

use config::Millis;
use feed::ServerOptions;
use kube::Client;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::admin::{self, Admin};
use crate::clock::Clock;
use crate::facts::Facts;
use crate::fleet::Reports;
use crate::hub::Hub;
use crate::identity::{Account, Policy, Terms, Tokens};
use crate::lease::{self, Election, Timing};
use crate::metrics::Metrics;
use crate::names::Resolver;
use crate::serve::{Bounds, Parts, Server, Tls};
use crate::status::budget::Limits;
use crate::status::{self, Sources, StatusMetrics};

pub use follow::{FollowOptions, Following};

/// A part that is told to stop and does not is left behind after this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a controller is told by its operator.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to follow.
    pub follow: FollowOptions,
    /// Written into Ingresses in place of what the publishing Service says.
    pub publish_addresses: Vec<String>,
    /// Where the Lease is.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// Who this replica is: [`lease::identity`].
    pub identity: Arc<str>,
    /// How data planes reach this replica's feed, `HOST:PORT`.
    pub advertise: Option<Arc<str>>,
    /// What tokens must be for.
    pub audience: Arc<str>,
    /// Who sees everything, private keys included.
    pub proxies: Vec<Account>,
    /// Between two writes of one object that only change counters.
    pub status_interval: Millis,
}

/// Where a controller listens.
pub struct Listeners {
    /// For data planes.
    pub feed: TcpListener,
    /// For operators.
    pub admin: TcpListener,
}

/// Why a controller ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A part of it died.
    #[error("{0} died; its last words are above")]
    Died(&'static str),
    /// Two metrics of one name.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The parts that run until they are told to stop.
struct Tasks {
    election: JoinHandle<()>,
    status: JoinHandle<()>,
    server: JoinHandle<()>,
    admin: JoinHandle<()>,
}

/// Runs a controller until `stop`. `resolver` follows DNS names. What `tls` holds is what data planes are served with; until it holds something they wait.
pub async fn run(
    client: Client,
    options: Options,
    resolver: Resolver,
    listeners: Listeners,
    tls: watch::Receiver<Option<Arc<Tls>>>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let clock = Clock::start();
    let (hub, facts) = (Arc::new(Hub::default()), Arc::new(Facts::default()));
    let registry = Registry::new();
    let metrics = Metrics::new(&registry)?;
    let status_metrics = StatusMetrics::new(&registry)?;
    let mut following =
        Following::start(client.clone(), options.follow, resolver, hub.clone(), facts.clone(), metrics, clock);

    let candidate = lease::Options {
        namespace: options.namespace,
        name: options.lease,
        identity: options.identity.clone(),
        address: options.advertise,
        timing: Timing::DEFAULT,
    };
    let (election, leadership) = Election::new(client.clone(), candidate, hub.clone(), clock);
    let reports = Reports::new(clock);
    let terms = Terms { audience: options.audience, ..Terms::default() };
    let server = Server::new(Parts {
        hub: hub.clone(),
        tokens: Arc::new(Tokens::new(client.clone(), Policy::new(options.proxies), terms, clock)),
        reports: reports.clone(),
        leadership: leadership.clone(),
        clock,
        options: ServerOptions { server: options.identity.clone(), ..ServerOptions::default() },
        bounds: Bounds::default(),
    });
    let sources = Sources { facts: facts.clone(), reports, leadership };
    let status_options = status::Options {
        limits: Limits { lazy_every: options.status_interval, ..Limits::DEFAULT },
        publish_addresses: options.publish_addresses,
        identity: options.identity,
    };

    let (no_status, no_lease, no_feed) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let admin = Admin { readiness: following.readiness(), hub, facts, server: server.clone(), registry };
    let no_more_status = no_status.clone();
    let mut tasks = Tasks {
        election: tokio::spawn(election.run(no_lease.clone())),
        status: tokio::spawn(async move {
            status::run(client, sources, clock, &status_options, status_metrics, no_more_status).await;
        }),
        server: tokio::spawn(server.run(listeners.feed, tls, no_feed.clone())),
        admin: tokio::spawn(admin::serve(listeners.admin, Arc::new(admin))),
    };

    let dead = tokio::select! {
        () = stop.cancelled() => None,
        () = following.died() => Some("the part that watches and publishes"),
        _ = &mut tasks.election => Some("the election"),
        _ = &mut tasks.status => Some("the part that writes status"),
        _ = &mut tasks.server => Some("the feed"),
        _ = &mut tasks.admin => Some("the admin interface"),
    };
    if let Some(part) = dead {
        return Err(RunError::Died(part));
    }
    info!("leaving: no more status, then the lease, then the data planes");
    for (token, task) in [(no_status, tasks.status), (no_lease, tasks.election), (no_feed, tasks.server)] {
        token.cancel();
        let _ = tokio::time::timeout(PATIENCE, task).await;
    }
    tasks.admin.abort();
    info!("left");
    Ok(())
}
