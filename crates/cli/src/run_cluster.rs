//! `forebay run --kubeconfig`: controller and data plane in one process, without a feed between them. It only reads the
//! cluster: status is the business of `forebay controller`, which knows the whole fleet.

use std::sync::Arc;

use config::Config;
use controller::clock::Clock;
use controller::connect::ConnectError;
use controller::facts::Facts;
use controller::hub::Hub;
use controller::metrics::Metrics;
use controller::names::Resolver;
use controller::runtime::{FollowOptions, Following};
use prometheus::Registry;
use proxy::Proxy;
use proxy::config_status::ConfigStatus;
use tracing::{error, info};

use crate::access::AccessArgs;
use crate::data_plane::{DataPlane, DataPlaneError};
use crate::options::DataPlaneArgs;
use crate::signals::Asked;
use crate::{groups, problems, watch};

/// Why a data plane that follows a cluster did not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the part that watches the cluster died; its last words are above")]
    Died,
}

/// Follows the cluster of `access` and serves it until told to leave.
pub async fn serve(
    access: AccessArgs,
    translate: translate::Options,
    resolver: Resolver,
    args: DataPlaneArgs,
) -> Result<(), ClusterError> {
    let (client, _) = access.to_access().client().await?;
    let scope = access.scope(translate.ingress_class.as_deref());
    let status = Arc::new(ConfigStatus::new());
    let mut data_plane = DataPlane::start(args, status.clone()).await?;
    let proxy = data_plane.proxy.clone();
    let hub = Arc::new(Hub::default());
    let mut bell = hub.bell();
    let options = FollowOptions { scope, translate, publish_service: None };
    let metrics = Metrics::new(&Registry::new())?;
    let facts = Arc::new(Facts::default());
    let mut following = Following::start(client, options, resolver, hub.clone(), facts, metrics, Clock::start());
    let mut in_force: Option<Config> = None;
    loop {
        tokio::select! {
            Ok(()) = bell.changed() => {
                let config = hub.read(|published| published.resources().map(|(_, one)| one.resource().clone()).collect());
                in_force = Some(apply(&proxy, &status, config, in_force.as_ref()));
            }
            () = following.died() => return Err(ClusterError::Died),
            asked = data_plane.asked() => match asked? {
                Asked::Leave => break,
                Asked::Reload => info!("asked to reload: the cluster is followed as it changes"),
                Asked::Reopen => proxy.access_log().reopen(),
            },
        }
    }
    // The cluster is followed until nothing is in flight: servers come and go during a drain, too.
    data_plane.leave().await;
    Ok(())
}

/// Puts what is published in force; a group that no plan can be made of stays as it was. Returns what is in force.
fn apply(proxy: &Proxy, status: &ConfigStatus, mut config: Config, last: Option<&Config>) -> Config {
    let mut problems = Vec::new();
    for refusal in proxy::compile_check(&config) {
        error!("{refusal}; its last good version keeps serving");
        match last.and_then(|last| last.groups.get(&refusal.group)) {
            Some(good) => drop(config.groups.insert(refusal.group.clone(), good.clone())),
            None => drop(config.groups.remove(&refusal.group)),
        }
        problems.push(watch::not_in_force(&refusal));
    }
    match proxy.apply(&config, "cluster") {
        Ok(revision) => {
            let unbound = groups::unbound(proxy.listeners(), &config);
            if last.is_none() {
                problems::log(&unbound);
                let (groups, hosts) = (config.groups.len(), config.routes.hosts.len());
                info!("configuration {revision} in force: {groups} group(s), {hosts} host(s); from the cluster");
                info!("ready");
            }
            status.applied([problems, unbound].concat(), proxy.clock().now());
            config
        }
        Err(refused) => {
            error!("{refused}; the last good configuration keeps serving");
            status.refused(vec![watch::not_in_force(&refused)], proxy.clock().now());
            last.cloned().unwrap_or_default()
        }
    }
}
