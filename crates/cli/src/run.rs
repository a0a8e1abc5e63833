//! `forebay run`: a data plane fed from files. This file is the composition: files → translation → data plane, and signals.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use proxy::admin::{self, ConfigStatus};
use proxy::{Proxy, StartError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::options::{ClusterArgs, DataPlaneArgs};
use crate::signals::{Asked, Signals};
use crate::watch::{self, Load};
use crate::{groups, logging, problems};

/// Serve files: UpstreamGroup, Ingress, IngressClass, Secret, Service and EndpointSlice documents, hot-reloaded
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Files or directories of YAML or JSON documents, the very ones `kubectl apply` takes; repeatable
    #[arg(long, env = "FOREBAY_CONFIG", value_name = "PATH", required = true, num_args = 1.., value_delimiter = ',')]
    config: Vec<PathBuf>,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    data_plane: DataPlaneArgs,
}

/// Why a data plane did not run.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("the configuration has {0} problem(s) and nothing was served before; see above, or `forebay check`")]
    Refused(usize),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot listen on {address} for --admin: {error}")]
    Admin { address: std::net::SocketAddr, error: std::io::Error },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("a worker died; its last words are above")]
    WorkerLost,
}

/// The command.
pub fn run(args: RunArgs) -> ExitCode {
    logging::install(args.data_plane.error_log_level);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: RunArgs) -> Result<(), RunError> {
    let options = args.cluster.to_options();
    let source = source_name(&args.config);
    let first = watch::load(&args.config, &options);
    problems::log(&first.diagnostics);
    if first.is_refused() {
        return Err(RunError::Refused(first.errors()));
    }

    let address = args.data_plane.admin;
    let admin = TcpListener::bind(address).await.map_err(|error| RunError::Admin { address, error })?;
    let admin_address = admin.local_addr()?;
    let proxy = Arc::new(Proxy::start(args.data_plane.into_options())?);
    for (address, group) in proxy.addresses() {
        if let Some(group) = group {
            info!("listening http={address} group={group}");
        } else {
            info!("listening http={address}");
        }
    }
    info!("listening admin={admin_address}");
    let status = Arc::new(ConfigStatus::new());
    tokio::spawn(admin::serve(admin, proxy.clone(), status.clone()));

    // Signals are caught before anyone is told that we are ready.
    let mut signals = Signals::catch()?;
    let mut files = watch::watch(args.config, options, first.config.revision());
    apply(&proxy, &status, first, &source);
    info!("ready");

    loop {
        tokio::select! {
            Some(load) = files.changed() => {
                problems::log(&load.diagnostics);
                apply(&proxy, &status, load, &source);
            }
            asked = signals.next() => match asked {
                Asked::Leave => break,
                Asked::Reload => files.reload(),
                Asked::Reopen => proxy.access_log().reopen(),
            },
            () = proxy.worker_lost() => return Err(RunError::WorkerLost),
        }
    }
    info!("leaving: new connections are still accepted for the drain delay, then requests in flight finish");
    let hurry = CancellationToken::new();
    let draining = proxy.drain(hurry.clone());
    let mut draining = std::pin::pin!(draining);
    tokio::select! {
        () = &mut draining => {}
        () = signals.leave() => {
            warn!("told again: leaving at once");
            hurry.cancel();
            draining.await;
        }
    }
    info!("left");
    Ok(())
}

/// Puts what was read in force, or says why the last good configuration stays.
fn apply(proxy: &Proxy, status: &ConfigStatus, load: Load, source: &str) {
    if load.is_refused() {
        error!("the configuration has {} problem(s); the last good one keeps serving", load.errors());
        status.refused(load.diagnostics, proxy.clock().now());
        return;
    }
    match proxy.apply(&load.config, source) {
        Ok(revision) => {
            let unbound = groups::unbound(proxy.addresses(), &load.config);
            problems::log(&unbound);
            let groups = load.config.groups.len();
            info!("configuration {revision} in force: {groups} group(s), {} host(s)", load.config.routes.hosts.len());
            status.applied([load.diagnostics, unbound].concat(), proxy.clock().now());
        }
        Err(refused) => {
            error!("{refused}; the last good configuration keeps serving");
            status.refused(vec![watch::not_in_force(&refused)], proxy.clock().now());
        }
    }
}

fn source_name(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}
