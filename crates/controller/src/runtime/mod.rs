//! The composition of a controller, and the order in which it leaves.
//!
//! Following the cluster, serving the feed, standing for election, writing status and the admin interface are tasks that know
//! nothing of each other; they meet in [`Hub`], [`Facts`] and the leadership. Each is essential: if one dies the process ends
//! and is started again, because a controller that does only half of its work looks healthy.
//!
//! It leaves in the order that hurts least: it writes no more status, gives back the Lease so that another replica leads, and
//! only then tells the data planes, spread over time, to come again elsewhere.

mod follow;
mod lead;

use std::sync::Arc;

use feed::ServerOptions;
use kube::Client;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::admin::Admin;
use crate::clock::Clock;
use crate::facts::Facts;
use crate::hub::Hub;
use crate::identity::{Account, Policy, Terms, Tokens};
use crate::metrics::Metrics;
use crate::names::Resolver;
use crate::serve::{Bounds, Parts, Server, Tls};
use crate::status::StatusMetrics;

use lead::PATIENCE;

pub use follow::{FollowOptions, Following};
pub use lead::{LeadOptions, Leading};

/// What a controller is told by its operator.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to follow.
    pub follow: FollowOptions,
    /// How to stand for election, and what to write.
    pub lead: LeadOptions,
    /// What tokens must be for.
    pub audience: Arc<str>,
    /// Who sees everything, private keys included.
    pub proxies: Vec<Account>,
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

/// What listens.
struct Tasks {
    server: JoinHandle<()>,
    admin: JoinHandle<()>,
}

/// Runs a controller until `stop`. `resolver` follows DNS names. What `tls` holds is what data planes are served with; until
/// it holds something they wait.
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

    let identity = options.lead.identity.clone();
    let mut leading = Leading::start(client.clone(), options.lead, hub.clone(), facts.clone(), status_metrics, clock);
    let terms = Terms { audience: options.audience, ..Terms::default() };
    let server = Server::new(Parts {
        hub: hub.clone(),
        tokens: Arc::new(Tokens::new(client, Policy::new(options.proxies), terms, clock)),
        reports: leading.reports.clone(),
        leadership: leading.leadership.clone(),
        clock,
        options: ServerOptions { server: identity, ..ServerOptions::default() },
        bounds: Bounds::default(),
    });
    let no_feed = CancellationToken::new();
    let admin = Admin { readiness: following.readiness(), hub, facts, server: server.clone(), registry };
    let mut tasks = Tasks {
        server: tokio::spawn(server.run(listeners.feed, tls, no_feed.clone())),
        admin: tokio::spawn(admin::serve(listeners.admin, Arc::new(admin))),
    };

    let dead = tokio::select! {
        () = stop.cancelled() => None,
        () = following.died() => Some("the part that watches and publishes"),
        part = leading.died() => Some(part),
        _ = &mut tasks.server => Some("the feed"),
        _ = &mut tasks.admin => Some("the admin interface"),
    };
    if let Some(part) = dead {
        return Err(RunError::Died(part));
    }
    info!("leaving: no more status, then the lease, then the data planes");
    leading.leave().await;
    no_feed.cancel();
    let _ = tokio::time::timeout(PATIENCE, tasks.server).await;
    tasks.admin.abort();
    info!("left");
    Ok(())
}
