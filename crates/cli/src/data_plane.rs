//! A data plane as a process: what its commands have in common, wherever its configuration comes from. Start: listeners, admin,
//! signals. Leave: the drain, which a second signal hurries.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use prometheus::Registry;
use proxy::admin;
use proxy::config_status::ConfigStatus;
use proxy::{Early, Listener, Protocol, Proxy, StartError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::options::DataPlaneArgs;
use crate::signals::{Asked, Signals};

/// A running data plane.
pub struct DataPlane {
    /// Its workers.
    pub proxy: Arc<Proxy>,
    signals: Signals,
}

/// Why a data plane does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum DataPlaneError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot listen on {address} for --admin: {error}; --admin ADDR chooses another")]
    Admin { address: SocketAddr, error: std::io::Error },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("a worker died; its last words are above")]
    WorkerLost,
}

/// Runs a command on a control runtime, a single thread beside the workers, and says what it failed of.
pub fn block_on<E: std::fmt::Display>(command: impl Future<Output = Result<(), E>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

impl DataPlane {
    /// Opens the listeners, says where they are, and serves the admin interface; what is in `registry` is among its metrics. Nothing
    /// is in force yet, and who comes until then is treated as `early` says.
    pub async fn start(
        args: DataPlaneArgs,
        early: Early,
        status: Arc<ConfigStatus>,
        registry: Registry,
    ) -> Result<Self, DataPlaneError> {
        let address = args.admin;
        let admin = TcpListener::bind(address).await.map_err(|error| DataPlaneError::Admin { address, error })?;
        let admin_address = admin.local_addr()?;
        let proxy = Arc::new(Proxy::start(args.into_options(early))?);
        for Listener { address, group, protocol } in proxy.listeners() {
            let scheme = match protocol {
                Protocol::Http => "http",
                Protocol::Https => "https",
            };
            if let Some(group) = group {
                info!("listening {scheme}={address} group={group}");
            } else {
                info!("listening {scheme}={address}");
            }
        }
        info!("listening admin={admin_address}");
        tokio::spawn(admin::serve(admin, proxy.clone(), status, registry));
        // Signals are caught before anyone is told that we are ready.
        Ok(Self { proxy, signals: Signals::catch()? })
    }

    /// What the operator asks next. Cancel-safe.
    pub async fn asked(&mut self) -> Result<Asked, DataPlaneError> {
        tokio::select! {
            asked = self.signals.next() => Ok(asked),
            () = self.proxy.worker_lost() => Err(DataPlaneError::WorkerLost),
        }
    }

    /// Drains; returns when nothing is in flight any more.
    pub async fn leave(mut self) {
        info!("leaving: new connections are still accepted for the drain delay, then requests in flight finish");
        let hurry = CancellationToken::new();
        let draining = self.proxy.drain(hurry.clone());
        let mut draining = std::pin::pin!(draining);
        tokio::select! {
            () = &mut draining => {}
            () = self.signals.leave() => {
                warn!("told again: leaving at once");
                hurry.cancel();
                draining.await;
            }
        }
        info!("left");
    }
}
