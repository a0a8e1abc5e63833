//! Puts what is published in force, and says what became of it.

use std::sync::Arc;

use config::{Diagnostic, ResourceKey, Severity};
use controller::hub::Hub;
use proxy::Proxy;
use proxy::config_status::ConfigStatus;
use proxy::source::check;
use tokio::sync::watch;
use tracing::error;
use translate::{codes, not_in_force};

use super::holdings::{Holdings, InForce, published};
use crate::groups;
use crate::milestones::Told;

/// Where the configuration comes from, for people.
const SOURCE: &str = "the cluster";

/// What was put in force so far.
pub struct Applied {
    proxy: Arc<Proxy>,
    status: Arc<ConfigStatus>,
    holdings: Holdings,
    told: Told,
    in_force: watch::Sender<Option<InForce>>,
}

impl Applied {
    /// Nothing yet.
    pub fn new(proxy: Arc<Proxy>, status: Arc<ConfigStatus>) -> Self {
        let (holdings, told, in_force) = (Holdings::default(), Told::default(), watch::channel(None).0);
        Self { proxy, status, holdings, told, in_force }
    }

    /// What is in force.
    pub fn in_force(&self) -> watch::Receiver<Option<InForce>> {
        self.in_force.subscribe()
    }

    /// Puts what is published now in force, off this thread: plans take their time, and health is asked here. What cannot be is said
    /// once, and what was in force under that name stays.
    pub async fn follow(&mut self, hub: &Arc<Hub>) {
        let (proxy, hub, last) = (self.proxy.clone(), hub.clone(), self.holdings.clone());
        let applied = tokio::task::spawn_blocking(move || {
            let holdings = last.next(published(&hub), check);
            let config = holdings.config();
            let snapshot = proxy.apply_revision(&config, config.revision(), SOURCE);
            snapshot.map(|snapshot| (holdings, config, snapshot)).map_err(|refused| refused.to_string())
        });
        let now = || self.proxy.clock().now();
        let (holdings, config, snapshot) = match applied.await.unwrap_or_else(|panicked| Err(panicked.to_string())) {
            Ok(applied) => applied,
            Err(refused) => {
                error!("{refused}; the last good configuration keeps serving");
                return self
                    .status
                    .refused(vec![Diagnostic::new(codes::NOT_IN_FORCE, Severity::Error, refused)], now());
            }
        };
        let is_new = |(key, _): &(&ResourceKey, &_)| holdings.rejected.get(*key) != self.holdings.rejected.get(*key);
        for (key, refused) in holdings.rejected.iter().filter(is_new) {
            error!("{key}: {}; its last good version keeps serving", refused.problem);
        }
        let unbound = groups::unbound(self.proxy.listeners(), &config);
        let refused = holdings.rejected.iter().map(|(key, refused)| not_in_force(key, &refused.problem));
        self.status.applied(refused.chain(unbound.iter().cloned()).collect(), now());
        self.told.tell(snapshot.revision, &config, Some(SOURCE), unbound);
        self.in_force.send_replace(Some(holdings.in_force(snapshot)));
        self.holdings = holdings;
    }
}
