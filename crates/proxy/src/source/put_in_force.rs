//! What becomes of what a controller commits: it is put in force, and what cannot be is said. And of what an earlier life left
//! on disk, when nobody commits anything in time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use feed::{Rejection, Update};
use tracing::{debug, error, warn};

use super::in_force::{Held, InForce, Origin};
use super::last_good::StateDir;
use super::status::Currency;
use super::task::{Boot, Task};

/// Refused resources that are named in the error log; the rest is counted.
const NAMED: usize = 8;

impl Task {
    /// Puts a configuration in force, off this thread: plans take their time, and health is asked here.
    pub(super) async fn apply(&mut self, update: Update, origin: Origin, source: String) -> bool {
        let Update { config, revision, .. } = update;
        let resources: Arc<[Held]> = self
            .client
            .resources()
            .map(|(key, resource, version)| Held { key: key.clone(), resource: resource.clone(), version })
            .collect();
        let (proxy, applying) = (self.proxy.clone(), config.clone());
        let applied = tokio::task::spawn_blocking(move || proxy.apply_revision(&applying, revision, &source)).await;
        let snapshot = match applied {
            Ok(Ok(snapshot)) => snapshot,
            Ok(Err(refused)) => return self.not_applied(&refused),
            Err(panicked) => return self.not_applied(&panicked),
        };
        debug!("configuration {revision} in force");
        self.status.applied(Vec::new(), self.proxy.clock().now());
        self.boot = Boot::Over;
        let rejected = self.in_force.borrow().as_ref().map(|last| last.rejected.clone()).unwrap_or_default();
        self.in_force.send_replace(Some(InForce { config, snapshot, origin, rejected, resources }));
        true
    }

    fn not_applied(&self, problem: &dyn fmt::Display) -> bool {
        error!("{problem}; the last good configuration keeps serving");
        self.status.refused(Vec::new(), self.proxy.clock().now());
        false
    }

    /// Says which resources are refused, and which are not any more.
    pub(super) fn tell_rejected(&mut self) {
        let last = self.feed.standing().rejected;
        if *last == *self.client.rejected() {
            return;
        }
        let next: Arc<BTreeMap<String, Rejection>> = Arc::new(self.client.rejected().clone());
        let new: Vec<_> = next.iter().filter(|(key, rejection)| last.get(*key) != Some(*rejection)).collect();
        for (key, Rejection { version, problem }) in new.iter().take(NAMED) {
            warn!("{key}: version {version} cannot be used: {problem}; what was in force under that name stays");
        }
        if new.len() > NAMED {
            warn!("{} more resources cannot be used; see /api/v1/config", new.len() - NAMED);
        }
        self.feed.rejected(next.clone());
        self.in_force.send_if_modified(|in_force| {
            let Some(in_force) = in_force else { return false };
            in_force.rejected = next;
            true
        });
    }

    /// The boot wait is over: what was in force in an earlier life is, if there is any.
    pub(super) async fn restore(&mut self) {
        let Boot::Waiting { remembered, .. } = std::mem::replace(&mut self.boot, Boot::Over) else { return };
        let waited = self.options.boot_wait.as_secs_f32();
        let Some(current_at) = remembered else {
            let why = match &self.options.state_dir {
                Some(dir) => format!("there is no last good configuration in --state-dir {}", dir.display()),
                None => "no --state-dir was given to keep one".to_owned(),
            };
            error!("no controller answered within {waited} s, and {why}: every request gets 503 until one does");
            return;
        };
        let now = self.now();
        let age = now.since(current_at);
        let update = self.client.restore(age, now);
        let file = self.options.state_dir.as_ref().map(|dir| StateDir::new(dir.clone()).file());
        let source = format!("last good configuration {}", file.unwrap_or_default().display());
        warn!("no controller answered within {waited} s: the {source} is used, which may be {} s old", age.0 / 1000);
        self.feed.restored(Currency::alone(self.client.age(now), now));
        self.apply(update, Origin::LastGood, source).await;
    }
}
