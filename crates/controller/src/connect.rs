//! A client of the API server, from a kubeconfig or from the pod.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

mod unanswered;

use unanswered::Heed;
pub(crate) use unanswered::Unanswered;

/// How long a connection to the API server may take to open.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an API server may be silent that was asked something: longer than a watch lasts in which nothing happens. One whose
/// packets lead nowhere is noticed so, as client-go notices it by pings of HTTP/2.
pub(crate) const SILENCE: Duration = Duration::from_secs(crate::watch::LASTS.as_secs() + 10);

/// Where the API server is, and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The pod's `ServiceAccount`, and nothing else.
    Pod,
    /// A kubeconfig.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// A context of it; the current one if there is none.
        context: Option<String>,
    },
    /// What `kubectl` would use: `$KUBECONFIG`, or `~/.kube/config`; within a pod, if no context is named, the pod's
    /// `ServiceAccount`.
    Found {
        /// A context of the kubeconfig.
        context: Option<String>,
    },
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
    /// It was told to be in a pod.
    #[error(
        "this is no pod: KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set; --in-cluster takes the ServiceAccount of \
         a pod, --kubeconfig a file"
    )]
    NoPod,
    /// In a pod, without what a pod has.
    #[error("no cluster: the pod's ServiceAccount cannot be used: {0}; is automountServiceAccountToken off?")]
    Pod(#[from] InClusterError),
    /// The credentials cannot be used.
    #[error("no client of the API server can be made: {0}")]
    Client(#[from] kube::Error),
}

impl Access {
    /// A kubeconfig and a context of it, if they are named; else what is found.
    pub fn given(kubeconfig: Option<PathBuf>, context: Option<String>) -> Self {
        match kubeconfig {
            Some(path) => Self::Kubeconfig { path, context },
            None => Self::Found { context },
        }
    }

    /// Makes a client; nothing is asked yet.
    pub async fn client(&self) -> Result<(Client, String), ConnectError> {
        let config = match self {
            Self::Pod => Config::incluster().map_err(|error| match error {
                InClusterError::ReadEnvironmentVariable(_) => ConnectError::NoPod,
                other => other.into(),
            })?,
            Self::Kubeconfig { path, context } => {
                let fail = |error| ConnectError::File { path: path.display().to_string(), error };
                of_kubeconfig(Kubeconfig::read_from(path).map_err(fail)?, context.as_ref()).await.map_err(fail)?
            }
            Self::Found { context: context @ Some(_) } => {
                let fail = |error| ConnectError::File { path: default_path(), error };
                of_kubeconfig(default_kubeconfig().map_err(fail)?, context.as_ref()).await.map_err(fail)?
            }
            Self::Found { context: None } => match Config::incluster() {
                Ok(config) => config,
                // Not in a pod.
                Err(InClusterError::ReadEnvironmentVariable(_)) => {
                    let fail = |error| ConnectError::Nowhere { path: default_path(), error };
                    of_kubeconfig(default_kubeconfig().map_err(fail)?, None).await.map_err(fail)?
                }
                Err(error) => return Err(error.into()),
            },
        };
        let namespace = config.default_namespace.clone();
        Ok((client(config)?, namespace))
    }
}

async fn of_kubeconfig(kubeconfig: Kubeconfig, context: Option<&String>) -> Result<Config, KubeconfigError> {
    let options = KubeConfigOptions { context: context.cloned(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await
}

/// The kubeconfig that `kubectl` would use.
fn default_kubeconfig() -> Result<Kubeconfig, KubeconfigError> {
    let paths = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let paths: Vec<_> = std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect();
    if paths.is_empty() { Kubeconfig::read() } else { merged(&paths) }
}

/// Several files as one. Those that do not exist are skipped, as by `kubectl`, unless none does.
fn merged(paths: &[PathBuf]) -> Result<Kubeconfig, KubeconfigError> {
    let there: Vec<_> = paths.iter().filter(|path| path.exists()).collect();
    let files = if there.is_empty() { paths.iter().collect() } else { there };
    files.into_iter().try_fold(Kubeconfig::default(), |merged, path| merged.merge(Kubeconfig::read_from(path)?))
}

/// A client with the patience that all of ours have. It does not try again by itself: that is for whoever asks, who has a budget, a
/// back-off and a log. That the API server cannot be reached, and that it can be again, it says itself, once for all who ask.
///
/// # Errors
/// The credentials cannot be used.
pub fn client(mut config: Config) -> kube::Result<Client> {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.default_retry = false;
    let server: Arc<str> = config.cluster_url.to_string().trim_end_matches('/').into();
    Ok(ClientBuilder::try_from(config)?.with_layer(&Heed::new(server)).build())
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
        let access = Access::Kubeconfig { path: kubeconfig, context: context.map(str::to_owned) };
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

    /// Where the tests run is no pod.
    #[tokio::test]
    async fn in_a_pod_means_in_a_pod() {
        let said = Access::Pod.client().await.err().expect("this is no pod").to_string();
        assert!(said.starts_with("this is no pod: "), "{said}");
    }

    #[test]
    fn files_that_do_not_exist_are_skipped_unless_none_does() {
        let folder = tempfile::tempdir().unwrap();
        let [missing, a, b] = ["missing", "a", "b"].map(|name| folder.path().join(name));
        for (path, context) in [(&a, "one"), (&b, "two")] {
            std::fs::write(path, format!("{{apiVersion: v1, kind: Config, current-context: {context}}}")).unwrap();
        }
        let found = merged(&[missing.clone(), a, b]).unwrap();
        assert_eq!(found.current_context.as_deref(), Some("one"), "the first counts");
        assert!(matches!(merged(&[missing]), Err(KubeconfigError::ReadConfig(..))));
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_named() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = client(Config::new(format!("http://{closed}").parse().unwrap())).unwrap();
        let error = client.apiserver_version().await.expect_err("nobody listens there");
        let (reason, detail) = crate::trouble::Reason::of(&error);
        assert_eq!(reason, crate::trouble::Reason::Unreachable);
        assert!(detail.ends_with(&format!(" (http://{closed})")), "{detail}");
    }
}
