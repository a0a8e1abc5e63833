//! A client of the API server, from a kubeconfig or from the pod.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{InClusterError, InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// How long a connection to the API server may take to open.
const CONNECT: Duration = Duration::from_secs(5);

/// Where the API server is, and who asks.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// A kubeconfig; without one, that of the pod, or `$KUBECONFIG`, or `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it; the current one if there is none.
    pub context: Option<String>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file.
    #[error("--kubeconfig {}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: KubeconfigError,
    },
    /// Neither a pod nor a kubeconfig.
    #[error("no cluster: {0}; give a --kubeconfig, or run in a pod with a ServiceAccount")]
    Nowhere(Box<InferConfigError>),
    /// In a pod, without what a pod has.
    #[error("no cluster: {0}")]
    Pod(#[from] InClusterError),
    /// The credentials cannot be used.
    #[error("no client of the API server can be made: {0}")]
    Client(#[from] kube::Error),
}

impl Access {
    /// Makes a client; nothing is asked yet.
    pub async fn client(&self) -> Result<(Client, String), ConnectError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let fail = |error| ConnectError::File { path: path.clone(), error };
                let kubeconfig = Kubeconfig::read_from(path).map_err(fail)?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(fail)?
            }
            None if self.context.is_some() => Config::from_kubeconfig(&options)
                .await
                .map_err(|error| ConnectError::File { path: "~/.kube/config".into(), error })?,
            None => match Config::incluster() {
                Ok(config) => config,
                Err(_) => Config::infer().await.map_err(|error| ConnectError::Nowhere(Box::new(error)))?,
            },
        };
        config.connect_timeout = Some(CONNECT);
        let namespace = config.default_namespace.clone();
        Ok((Client::try_from(config)?, namespace))
    }
}
