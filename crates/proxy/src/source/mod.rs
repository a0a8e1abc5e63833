//! A data plane fed by controllers: the sockets, files and clocks around the machine of `feed`.
//!
//! One task keeps a stream to one controller and puts what it commits in force; another reports to the leader; a third
//! writes the last good configuration behind. All of them run on the control runtime, never on a worker, and none of them
//! can take away what is in force: whatever goes wrong here costs news, not requests.

mod address;
mod body;
mod credentials;
mod dial;
mod fault;
mod in_force;
mod last_good;
mod options;
mod put_in_force;
mod report;
mod reporter;
mod rounds;
mod status;
mod task;
mod teller;
mod verifier;

use std::sync::Arc;

use config::Resource;
use feed::{Backoff, Client, ClientOptions, LastGood, Versions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use crate::apply;
use crate::config_status::ConfigStatus;
use crate::proxy::Proxy;
use crate::{tls, upstream};
use last_good::{Keeper, StateDir};
use reporter::Reporter;
use task::{Boot, Task};
use teller::Teller;

pub use address::{ControllerUrl, ControllerUrlError};
pub use credentials::{Credentials, CredentialsError};
pub use in_force::{InForce, Origin};
pub use options::{FeedOptions, Patience};
pub use report::picture;
pub use status::{Controller, Currency, FeedStatus, Standing};

/// A running feed. Dropping it ends it; what is in force stays.
pub struct Feed {
    in_force: watch::Receiver<Option<InForce>>,
    keeper: mpsc::Sender<oneshot::Sender<()>>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Feed {
    /// Starts to feed `proxy`, and tells `status` what becomes of it. To be called within a runtime that is no worker's.
    pub fn start(options: FeedOptions, proxy: Arc<Proxy>, status: Arc<ConfigStatus>, feed: Arc<FeedStatus>) -> Self {
        let clock = proxy.clock();
        let dir = options.state_dir.clone().map(StateDir::new);
        let last_good = dir.as_ref().and_then(|dir| read(dir, &feed));
        let began = status::millis(clock.now()).0;
        // A clock that was set back must not make this life look like an earlier one.
        let epoch = last_good.as_ref().map_or(began, |last| began.max(last.current_at.0 + 1));
        let (in_force_sender, in_force) = watch::channel(None);
        let (leader_sender, leader) = watch::channel(None);
        let (keeper, asked) = mpsc::channel(1);
        let reporter = Reporter {
            options: options.clone(),
            clock,
            status: feed.clone(),
            in_force: in_force.clone(),
            zone: proxy.zone().map(Arc::from),
            leader,
            epoch,
        };
        let mut tasks = vec![tokio::spawn(reporter.run())];
        if let Some(dir) = dir {
            let keeper = Keeper { dir, clock, status: feed.clone(), in_force: in_force.clone(), asked };
            tasks.push(tokio::spawn(keeper.run()));
        }
        let mut client = Client::new(ClientOptions {
            instance: options.instance.clone(),
            scope: options.scope.clone(),
            protocol: Versions::OURS,
            silence: options.patience.silence.into(),
            check,
        });
        let remembered = last_good.map(|last| {
            client.remember(last.resources);
            last.current_at
        });
        let boot = Boot::Waiting { until: Instant::now() + options.boot_wait, remembered };
        let task = Task {
            options,
            proxy,
            status,
            feed,
            client,
            boot,
            in_force: in_force_sender,
            leader: leader_sender,
            teller: Teller::default(),
            named: false,
            backoff: Backoff::default(),
        };
        tasks.push(tokio::spawn(task.run()));
        Self { in_force, keeper, _tasks: tasks.into_iter().map(AbortOnDropHandle::new).collect() }
    }

    /// The next configuration put in force, the latest if there were several. Cancel-safe; `None` when the feed died.
    pub async fn changed(&mut self) -> Option<InForce> {
        self.in_force.changed().await.ok()?;
        self.in_force.borrow_and_update().clone()
    }

    /// Ends it, the last good configuration written.
    pub async fn close(self) {
        let (sender, written) = oneshot::channel();
        if self.keeper.send(sender).await.is_ok() {
            // A keeper that died has said so.
            let _ = written.await;
        }
    }
}

/// Whether a resource could be put in force: what the balancer refuses is refused by name, not with the whole commit.
pub fn check(resource: &Resource) -> Result<(), String> {
    match resource {
        Resource::Group(id, group) => {
            apply::check_group(id, group).map_err(|refused| refused.error.to_string())?;
            group.tls().map_or(Ok(()), upstream::check).map_err(|unusable| unusable.to_string())
        }
        Resource::Certificate(_, certificate) => {
            tls::certificate_check(certificate).map_err(|refused| refused.to_string())
        }
        Resource::Route(_) => Ok(()),
    }
}

/// What was in force in an earlier life. What is wrong with it is said; then it is as if there were none.
fn read(dir: &StateDir, feed: &FeedStatus) -> Option<LastGood> {
    let file = dir.file();
    match dir.read() {
        Ok(None) => None,
        Ok(Some(last)) => {
            for skipped in &last.skipped {
                warn!("{}: {} is left out: {}", file.display(), skipped.key, skipped.problem);
            }
            feed.last_good(Ok(last.current_at));
            Some(last)
        }
        Err(problem) => {
            let problem = format!("the last good configuration {} is not used: {problem}", file.display());
            error!("{problem}");
            feed.last_good(Err(problem));
            None
        }
    }
}
