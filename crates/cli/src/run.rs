//! `forebay run`: a data plane fed from files. This file is the composition: files → translation → data plane, and signals. Fed
//! from a cluster it is in [`run_cluster`].

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgGroup, Args};
use prometheus::Registry;
use proxy::config_status::ConfigStatus;
use proxy::{Early, Proxy};
use tracing::error;

use crate::data_plane::{self, DataPlane, DataPlaneError};
use crate::judge::Load;
use crate::milestones::Told;
use crate::options::{DataPlaneArgs, IngressClassArgs, ResolverArgs};
use crate::run_cluster::{self, ClusterError, FromCluster};
use crate::signals::Asked;
use crate::watch;
use crate::{groups, judge, logging, problems};

/// Serve files: UpstreamGroup, Ingress, IngressClass, Secret, ConfigMap, Service and EndpointSlice documents, hot-reloaded; or a cluster
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").args(SOURCES).required(true))]
#[command(mut_arg("context", |context| context.conflicts_with("in_cluster")))]
pub struct RunArgs {
    /// Files or directories of YAML or JSON documents, the very ones `kubectl apply` takes; repeatable
    #[arg(long, env = "FOREBAY_CONFIG", value_name = "PATH", num_args = 1.., value_delimiter = ',')]
    config: Vec<PathBuf>,

    #[command(flatten, next_help_heading = OF_CLUSTER)]
    from_cluster: FromCluster,

    #[command(flatten, next_help_heading = "What the documents do not say")]
    ingress_class: IngressClassArgs,

    #[command(flatten)]
    resolver: ResolverArgs,

    #[command(flatten)]
    data_plane: DataPlaneArgs,
}

/// The arguments of which one says where the configuration comes from.
pub const SOURCES: [&str; 3] = ["config", "in_cluster", "kubeconfig"];

/// The heading of flags that say which cluster, and who writes there.
pub const OF_CLUSTER: &str = "A cluster in place of files";

/// Why a data plane did not run.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("the configuration has {0} problem(s) and nothing was served before; see above, or `forebay check`")]
    Refused(usize),
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// The command.
pub fn run(args: RunArgs) -> ExitCode {
    logging::install(args.data_plane.error_log_level);
    data_plane::block_on(serve(args))
}

async fn serve(args: RunArgs) -> Result<(), RunError> {
    if args.config.is_empty() {
        let options = translate::Options {
            ingress_class: args.ingress_class.get(),
            ..translate::Options::for_cluster(jiff::Timestamp::now())
        };
        return Ok(run_cluster::serve(args.from_cluster, options, args.resolver.start(), args.data_plane).await?);
    }
    let options = args.ingress_class.for_files();
    let source = source_name(&args.config);
    let (first, files) = watch::open(args.config, options, args.resolver.start()).await;
    problems::log(&first.diagnostics);
    if first.is_refused() {
        return Err(RunError::Refused(first.errors()));
    }

    let status = Arc::new(ConfigStatus::new());
    let mut data_plane = DataPlane::start(args.data_plane, Early::Waiting, status.clone(), Registry::new()).await?;
    let proxy = data_plane.proxy.clone();
    let mut files = files.watch();
    let mut told = Told::default();
    apply(&proxy, &status, first, &source, &mut told);

    loop {
        tokio::select! {
            Some(load) = files.changed() => {
                problems::log(&load.diagnostics);
                apply(&proxy, &status, load, &source, &mut told);
            }
            asked = data_plane.asked() => match asked? {
                Asked::Leave => break,
                Asked::Reload => files.reload(),
                Asked::Reopen => proxy.access_log().reopen(),
            },
        }
    }
    data_plane.leave().await;
    Ok(())
}

/// Puts what was read in force, or says why the last good configuration stays.
fn apply(proxy: &Proxy, status: &ConfigStatus, load: Load, source: &str, told: &mut Told) {
    if load.is_refused() {
        error!("the configuration has {} problem(s); the last good one keeps serving", load.errors());
        status.refused(load.diagnostics, proxy.clock().now());
        return;
    }
    match proxy.apply(&load.config, source) {
        Ok(revision) => {
            let unbound = groups::unbound(proxy.listeners(), &load.config);
            status.applied([&load.diagnostics[..], &unbound].concat(), proxy.clock().now());
            told.tell(revision, &load.config, None, unbound);
        }
        Err(refused) => {
            error!("{refused}; the last good configuration keeps serving");
            status.refused(vec![judge::not_in_force(&refused)], proxy.clock().now());
        }
    }
}

fn source_name(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}
