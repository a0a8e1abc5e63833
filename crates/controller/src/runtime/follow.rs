//! Following a cluster: the watches and the publisher, without anybody who is told. It is what a controller and a data plane
//! with watches of its own have in common.

use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use translate::Translator;

use crate::clock::Clock;
use crate::facts::Facts;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::names::Resolver;
use crate::publish::{Parts, Publisher, Readiness};
use crate::watch::{WatchScope, Watches, asks};

/// Steps that may wait for the publisher; more make the watches wait.
const STEPS: usize = 1024;

/// What to follow.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// What is watched.
    pub scope: WatchScope,
    /// How it is translated.
    pub translate: translate::Options,
    /// The Service that says where data planes are reached, namespace and name.
    pub publish_service: Option<(String, String)>,
}

/// A cluster that is followed until this is dropped.
pub struct Following {
    tasks: JoinSet<()>,
    readiness: watch::Receiver<Readiness>,
}

impl Following {
    /// Starts to follow. Call it within a runtime.
    pub fn start(
        client: Client,
        options: FollowOptions,
        resolver: Resolver,
        hub: Arc<Hub>,
        facts: Arc<Facts>,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        let FollowOptions { scope, translate, publish_service } = options;
        let (steps, receiver) = mpsc::channel(STEPS);
        let (asks, asked) = asks();
        let index = scope.index();
        let (publisher, readiness) = Publisher::new(Parts {
            index,
            translator: Translator::new(translate),
            hub,
            facts,
            metrics: metrics.clone(),
            asks,
        });
        let mut tasks = Watches::new(client, scope, steps, metrics, asked).start(publish_service);
        tasks.spawn(publisher.run(receiver, resolver, clock));
        Self { tasks, readiness }
    }

    /// How far the cluster is known.
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.clone()
    }

    /// Returns when a part of it died, which it never should. Cancel-safe.
    pub async fn died(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
