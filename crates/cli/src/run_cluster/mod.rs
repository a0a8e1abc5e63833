//! `forebay run` in a cluster: controller and data plane in one process, without a feed between them. This file is the
//! composition: what is published is put in force here, and what happens here is reported to who writes status.
//!
//! It stands for election where it knows its namespace, like a controller and under the same Lease, so that there is one who
//! writes. A person's kubeconfig names none: whoever tries something out on a cluster only reads it.

mod applied;
mod holdings;
mod reporter;

use std::sync::Arc;

use clap::Args;
use controller::clock::Clock;
use controller::connect::ConnectError;
use controller::facts::Facts;
use controller::hub::Hub;
use controller::metrics::Metrics;
use controller::names::Resolver;
use controller::runtime::{FollowOptions, Following, Leading};
use controller::status::StatusMetrics;
use prometheus::Registry;
use proxy::Early;
use proxy::config_status::ConfigStatus;
use tracing::info;

use crate::cluster_args::ClusterArgs;
use crate::data_plane::{DataPlane, DataPlaneError};
use crate::environment::set;
use crate::lead::LeadArgs;
use crate::options::DataPlaneArgs;
use crate::signals::Asked;
use applied::Applied;
use reporter::Reporter;

/// Which cluster, and who writes status there.
#[derive(Debug, Args)]
pub struct FromCluster {
    /// Follow the cluster this pod runs in, with its ServiceAccount, in place of files
    #[arg(long, env = "FOREBAY_IN_CLUSTER")]
    pub in_cluster: bool,

    #[command(flatten)]
    access: ClusterArgs,

    /// Stand for election by the Lease in this namespace, that of the controllers if there are any, and write status while elected
    /// [default: `POD_NAMESPACE`, else with --in-cluster the pod's; with a kubeconfig alone the cluster is only read]
    #[arg(long, env = "FOREBAY_NAMESPACE", value_name = "NS")]
    namespace: Option<String>,

    #[command(flatten)]
    lead: LeadArgs,
}

/// Why a data plane that follows a cluster did not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("{0} died; its last words are above")]
    Died(&'static str),
}

/// Follows a cluster and serves it until told to leave.
pub async fn serve(
    from: FromCluster,
    translate: translate::Options,
    resolver: Resolver,
    args: DataPlaneArgs,
) -> Result<(), ClusterError> {
    let access = ClusterArgs { is_pod: from.in_cluster, ..from.access.clone() };
    let (client, of_pod) = access.to_access().client().await?;
    let namespace = from.namespace(of_pod);
    let lead = from.lead;
    let scope = access.scope(translate.ingress_class.as_deref());
    let (status, registry) = (Arc::new(ConfigStatus::new()), Registry::new());
    let (metrics, status_metrics) = (Metrics::new(&registry)?, StatusMetrics::new(&registry)?);
    let mut data_plane = DataPlane::start(args, Early::Refused, status.clone(), registry).await?;
    let proxy = data_plane.proxy.clone();
    let mut applied = Applied::new(proxy.clone(), status.clone());

    let (hub, facts, clock) = (Arc::new(Hub::default()), Arc::new(Facts::default()), Clock::start());
    let mut bell = hub.bell();
    let options = FollowOptions { scope, translate, publish_service: lead.publish_service.clone() };
    let mut following = Following::start(client.clone(), options, resolver, hub.clone(), facts.clone(), metrics, clock);
    let mut leading = namespace.map(|namespace| {
        let instance = format!("{namespace}/{}", lead.name()).into();
        // Without an address: there is no feed, and data planes elsewhere have nobody to report to while this one leads.
        let options = lead.into_options(namespace, None);
        let leading = Leading::start(client, options, hub.clone(), facts, status_metrics, clock);
        let (leadership, reports) = (leading.leadership.clone(), leading.reports.clone());
        let in_force = applied.in_force();
        let reporter = Reporter { instance, proxy: proxy.clone(), status, in_force, leadership, reports, clock };
        tokio::spawn(reporter.run());
        leading
    });
    if leading.is_none() {
        info!("the cluster is only read: neither --namespace nor POD_NAMESPACE says by whose Lease status is written");
    }

    loop {
        tokio::select! {
            Ok(()) = bell.changed() => applied.follow(&hub).await,
            () = following.died() => return Err(ClusterError::Died("the part that watches the cluster")),
            part = died(&mut leading) => return Err(ClusterError::Died(part)),
            asked = data_plane.asked() => match asked? {
                Asked::Leave => break,
                Asked::Reload => info!("asked to reload: the cluster is followed as it changes"),
                Asked::Reopen => proxy.access_log().reopen(),
            },
        }
    }
    let resigning = async {
        if let Some(leading) = leading {
            leading.leave().await;
        }
    };
    let leaving = async { tokio::join!(data_plane.leave(), resigning) };
    let mut leaving = std::pin::pin!(leaving);
    loop {
        tokio::select! {
            _ = &mut leaving => return Ok(()),
            // The cluster is followed until nothing is in flight: servers come and go during a drain, too.
            Ok(()) = bell.changed() => applied.follow(&hub).await,
        }
    }
}

/// Returns when a part of the candidate died, if there is one.
async fn died(leading: &mut Option<Leading>) -> &'static str {
    match leading {
        Some(leading) => leading.died().await,
        None => std::future::pending().await,
    }
}

impl FromCluster {
    /// Where the Lease is; `of_pod` is the pod's own namespace, if this is a pod.
    fn namespace(&self, of_pod: String) -> Option<String> {
        self.namespace.clone().or_else(|| set("POD_NAMESPACE")).or(self.in_cluster.then_some(of_pod))
    }
}
