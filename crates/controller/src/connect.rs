//! A client of the API server, from a kubeconfig or from the pod.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// How long a connection to the API server may take to open.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an API server may be silent that was asked something: longer than a watch lasts in which nothing happens. One whose
/// packets lead nowhere is noticed so, as client-go notices it by pings of HTTP/2.
const SILENCE: Duration = Duration::from_secs(crate::watch::LASTS.as_secs() + 10);

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
    #[error("the kubeconfig {}: {}", .path, said(.error))]
    File {
        /// Which.
        path: String,
        /// Why.
        error: KubeconfigError,
    },
    /// Neither a pod nor a kubeconfig.
    #[error("no cluster: this is no pod with a ServiceAccount, and the kubeconfig {}: {}", .path, said(.error))]
    Nowhere {
        /// Where one was looked for.
        path: String,
        /// Why there is none.
        error: KubeconfigError,
    },
    /// In a pod, without what a pod has.
    #[error("no cluster: the pod's ServiceAccount cannot be used: {0}; is automountServiceAccountToken off?")]
    Pod(#[from] InClusterError),
    /// The credentials cannot be used.
    #[error("no client of the API server can be made: {0}")]
    Client(#[from] kube::Error),
}

impl Access {
    /// Makes a client; nothing is asked yet.
    pub async fn client(&self) -> Result<(Client, String), ConnectError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            Some(path) => {
                let fail = |error| ConnectError::File { path: path.display().to_string(), error };
                let kubeconfig = Kubeconfig::read_from(path).map_err(fail)?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(fail)?
            }
            None if self.context.is_some() => Config::from_kubeconfig(&options)
                .await
                .map_err(|error| ConnectError::File { path: default_path(), error })?,
            None => match Config::incluster() {
                Ok(config) => config,
                // Not in a pod.
                Err(InClusterError::ReadEnvironmentVariable(_)) => Config::from_kubeconfig(&options)
                    .await
                    .map_err(|error| ConnectError::Nowhere { path: default_path(), error })?,
                Err(error) => return Err(error.into()),
            },
        };
        let namespace = config.default_namespace.clone();
        Ok((client(config)?, namespace))
    }
}

/// A client with the patience that all of ours have. It does not try again by itself: that is for whoever asks, who has a budget, a
/// back-off and a log.
///
/// # Errors
/// The credentials cannot be used.
pub fn client(mut config: Config) -> kube::Result<Client> {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.default_retry = false;
    Client::try_from(config)
}

/// Where a kubeconfig is looked for that nobody named.
fn default_path() -> String {
    std::env::var("KUBECONFIG").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| "~/.kube/config".to_owned())
}

/// The library's words where they are words.
fn said(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => format!("cannot be read: {error}"),
        KubeconfigError::LoadContext(name) => {
            format!("it has no context \"{name}\"; kubectl config get-contexts lists them")
        }
        KubeconfigError::CurrentContextNotSet => "it has no current context; give a --context".to_owned(),
        // A parser's excerpt takes lines of its own.
        other => other.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(kubeconfig: PathBuf, context: Option<&str>) -> String {
        let access = Access { kubeconfig: Some(kubeconfig), context: context.map(str::to_owned) };
        access.client().await.err().expect("a file that cannot be used").to_string()
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_says_why_on_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let at = path.display();
        assert!(
            refused(path.clone(), None).await.starts_with(&format!("the kubeconfig {at}: cannot be read: No such"))
        );
        std::fs::write(&path, "no: [kubeconfig").unwrap();
        let said = refused(path.clone(), None).await;
        assert_eq!(said.lines().count(), 1, "{said}");
        std::fs::write(&path, "{apiVersion: v1, kind: Config, clusters: [], users: [], contexts: []}").unwrap();
        let expected = format!("the kubeconfig {at}: it has no context \"a\"; kubectl config get-contexts lists them");
        assert_eq!(refused(path.clone(), Some("a")).await, expected);
    }
}
