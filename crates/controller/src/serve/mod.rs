//! The feed over real sockets: TLS 1.3, HTTP/2, one task per connection, and one beside each subscriber's stream.
//!
//! | path | what |
//! |---|---|
//! | `POST /feed/v1` | both bodies are lines of the feed; a request body that ends leaves a subscriber that only listens |
//! | `GET /feed/v1` | for a person with curl: everything the identity allows, as if a `hello` had asked for it |
//! | `POST /report/v1` | one report; 204, or 421 with the leader if this replica does not lead |
//!
//! What is said is decided by `feed`; what is known comes from the [`Hub`]; who may ask is decided by [`crate::identity`].
//! Here are the sockets, and what a hostile peer may take of them ([`Bounds`]).

mod answer;
mod bounds;
mod connection;
mod counters;
mod lines;
mod proof;
mod report;
mod roster;
mod route;
mod seats;
mod subscribe;
mod tls;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::Millis;
use feed::{Backoff, ServerOptions};
use prometheus::Histogram;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::fleet::Reports;
use crate::hub::Hub;
use crate::identity::Tokens;
use crate::lease::Leadership;
use crate::metrics;
use counters::Happening;
use proof::Holder;
use seats::Seats;

pub use bounds::Bounds;
pub use counters::{Counters, Counts};
pub use roster::{Roster, Seen};
pub use tls::{Tls, TlsError};

/// What a [`Server`] is made of.
pub struct Parts {
    /// What there is to say.
    pub hub: Arc<Hub>,
    /// Who may hear it.
    pub tokens: Arc<Tokens>,
    /// Where reports go.
    pub reports: Reports,
    /// Whether they are taken here at all.
    pub leadership: watch::Receiver<Leadership>,
    /// The time.
    pub clock: Clock,
    /// How the feed is spoken.
    pub options: ServerOptions,
    /// What anybody may take.
    pub bounds: Bounds,
}

/// The controller's end of the feed.
pub struct Server {
    hub: Arc<Hub>,
    tokens: Arc<Tokens>,
    reports: Reports,
    leadership: watch::Receiver<Leadership>,
    clock: Clock,
    options: Arc<ServerOptions>,
    bounds: Bounds,
    roster: Arc<Roster>,
    counters: Counters,
    /// From what is published to what each subscriber's connection was handed, seconds.
    delivery: Histogram,
    unproven: Arc<Seats<IpAddr>>,
    connections: Arc<Seats<Holder>>,
    subscribers: Arc<Seats<Holder>>,
    reporters: Arc<Seats<Holder>>,
    hellos: Arc<Semaphore>,
    admission: report::Admission,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens to nothing yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { hub, tokens, reports, leadership, clock, options, bounds } = parts;
        Arc::new(Self {
            hub,
            tokens,
            reports,
            leadership,
            clock,
            options: Arc::new(options),
            roster: Arc::default(),
            counters: Counters::default(),
            delivery: metrics::delivery(),
            unproven: Seats::new(),
            connections: Seats::new(),
            subscribers: Seats::new(),
            reporters: Seats::new(),
            hellos: Arc::new(Semaphore::new(bounds.hellos)),
            admission: report::Admission::new(bounds.reports_bytes),
            bounds,
        })
    }

    /// Who is subscribed.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What happened.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How long publications take to every subscriber's connection.
    pub fn delivery(&self) -> &Histogram {
        &self.delivery
    }

    /// Connections open now: of those who proved who they are, and others.
    pub fn open_connections(&self) -> (usize, usize) {
        (self.connections.taken(), self.unproven.taken())
    }

    /// Serves `listener` until `leaving`, then tells the subscribers, spread, where to come again, and returns when they are
    /// gone. Until `tls` holds something, clients wait; what it holds at the moment counts for new connections.
    pub async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        mut tls: watch::Receiver<Option<Arc<Tls>>>,
        leaving: CancellationToken,
    ) {
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        // An error: nobody will ever send a certificate, because the controller is on its way out.
        let ready = leaving.run_until_cancelled(tls.wait_for(Option::is_some)).await.is_some_and(|held| held.is_ok());
        while ready && let Some(accepted) = leaving.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    self.counters.count(Happening::Connection);
                    let Some(seat) =
                        self.unproven.take(peer.ip(), self.bounds.unproven_per_address, self.bounds.unproven)
                    else {
                        self.counters.count(Happening::ConnectionRefused);
                        continue;
                    };
                    let (server, tls) = (self.clone(), tls.clone());
                    let (leaving, cut) = (leaving.clone(), cut.child_token());
                    let subscribers = tasks.clone();
                    tasks.spawn(connection::serve(server, stream, peer, seat, tls, leaving, cut, subscribers));
                }
                Err(error) => {
                    // Of the process (no file descriptors) or of one connection; either passes, and the others go on.
                    tracing::warn!("accept() on the feed's listener failed: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        if tokio::time::timeout(self.bounds.farewell, tasks.wait()).await.is_err() {
            tracing::warn!("{} subscribers did not take their leave in time and are cut", self.roster.len());
            cut.cancel();
            tasks.wait().await;
        }
    }

    /// The time over which all subscribers that are here now are spread when they must come again.
    fn spread(&self) -> Millis {
        let scaled = self.bounds.spread.0.saturating_mul(self.roster.len() as u64);
        Millis(scaled.clamp(1000, Backoff::BYE_CAP.0))
    }
}
