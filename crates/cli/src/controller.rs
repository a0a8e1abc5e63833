//! `forebay controller`: watches a cluster, tells data planes what to serve, and writes what they report into status.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use controller::ca;
use controller::clock::Clock;
use controller::connect::ConnectError;
use controller::identity::Account;
use controller::runtime::{self, FollowOptions, Listeners, Options, RunError};
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::cluster_args::ClusterArgs;
use crate::environment::set;
use crate::lead::LeadArgs;
use crate::logging;
use crate::options::{IngressClassArgs, ResolverArgs};
use crate::signals::{Asked, Signals};

/// Watch a cluster, tell data planes what to serve, and write what they report into the status of objects
///
/// docs/controller.md says what is watched and why, and what happens when something fails.
#[derive(Debug, Args)]
pub struct ControllerArgs {
    #[command(flatten)]
    access: ClusterArgs,

    #[command(flatten)]
    ingress_class: IngressClassArgs,

    /// Where data planes subscribe: HTTP/2 over TLS 1.3
    #[arg(long, env = "FOREBAY_FEED", value_name = "ADDR", default_value = "0.0.0.0:9902")]
    feed: SocketAddr,

    /// How data planes reach the feed of this very replica [default: `POD_IP` and the port of --feed]
    #[arg(long, env = "FOREBAY_ADVERTISE", value_name = "HOST:PORT", value_parser = host_and_port)]
    advertise: Option<String>,

    /// Health, readiness, metrics, and what is published as JSON
    #[arg(long, env = "FOREBAY_ADMIN", value_name = "ADDR", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,

    /// The controller's own namespace: of its Lease, its CA and its Service [default: `POD_NAMESPACE`, else the kubeconfig's]
    #[arg(long, env = "FOREBAY_NAMESPACE", value_name = "NS")]
    namespace: Option<String>,

    /// A ServiceAccount whose data planes see everything, private keys included; repeatable; others see the groups of their
    /// own namespace [default: forebay-proxy in the own namespace]
    #[arg(long, env = "FOREBAY_PROXY_SERVICE_ACCOUNT", value_name = "NS/NAME", value_delimiter = ',')]
    proxy_service_account: Vec<Account>,

    /// What the tokens of data planes must be for
    #[arg(long, env = "FOREBAY_AUDIENCE", value_name = "AUDIENCE", default_value = "forebay.dev")]
    audience: String,

    /// A name or address in the certificate of the feed; repeatable [default: the names of the Service forebay-controller]
    #[arg(long, env = "FOREBAY_FEED_NAME", value_name = "HOST", value_delimiter = ',')]
    feed_name: Vec<String>,

    /// The Secret that holds the self-made CA, for controllers alone
    #[arg(long, env = "FOREBAY_CA_SECRET", value_name = "NAME", default_value = "forebay-controller-ca")]
    ca_secret: String,

    /// The ConfigMap with its certificates (ca.crt), for data planes to mount
    #[arg(long, env = "FOREBAY_CA_CONFIG_MAP", value_name = "NAME", default_value = "forebay-ca")]
    ca_config_map: String,

    /// PEM file with the certificate chain of the feed, in place of the self-made CA; read again when it changes
    #[arg(long, env = "FOREBAY_FEED_CERTIFICATE", value_name = "FILE", requires = "feed_key")]
    feed_certificate: Option<PathBuf>,

    /// PEM file with the private key of --feed-certificate
    #[arg(long, env = "FOREBAY_FEED_KEY", value_name = "FILE", requires = "feed_certificate")]
    feed_key: Option<PathBuf>,

    /// PEM file with the CA of client certificates, which data planes may show instead of a token
    #[arg(long, env = "FOREBAY_FEED_CLIENT_CA", value_name = "FILE")]
    feed_client_ca: Option<PathBuf>,

    #[command(flatten)]
    lead: LeadArgs,

    /// The least severe event that is logged on standard error
    #[arg(long, env = "FOREBAY_ERROR_LOG_LEVEL", value_name = "LEVEL", default_value = "notice")]
    error_log_level: logging::Level,

    // Last: its heading holds for what follows.
    #[command(flatten)]
    resolver: ResolverArgs,
}

/// Why a controller did not run, or no longer.
#[derive(Debug, thiserror::Error)]
enum ControllerError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot listen on {address} for {flag}: {error}")]
    Listen { flag: &'static str, address: SocketAddr, error: std::io::Error },
    #[error(transparent)]
    Files(#[from] ca::FilesError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The command.
pub fn run(args: ControllerArgs) -> ExitCode {
    logging::install(args.error_log_level);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build() {
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

/// One translates while the other serves.
const THREADS: usize = 2;

async fn serve(args: ControllerArgs) -> Result<(), ControllerError> {
    let (client, of_kubeconfig) = args.access.to_access().client().await?;
    let namespace = args.namespace.clone().or_else(|| set("POD_NAMESPACE")).unwrap_or(of_kubeconfig);
    let given = args.certificate_files().map(|files| Ok::<_, ca::FilesError>((files.read()?, files))).transpose()?;
    let listeners = Listeners { feed: listen("--feed", args.feed).await?, admin: listen("--admin", args.admin).await? };
    let feed_port = listeners.feed.local_addr()?.port();
    info!("listening feed={}", listeners.feed.local_addr()?);
    info!("listening admin={}", listeners.admin.local_addr()?);
    // Signals are caught before anyone is told that we are ready.
    let mut signals = Signals::catch()?;
    let clock = Clock::start();
    let stop = CancellationToken::new();
    let (tls, certificate) = watch::channel(None);
    // Until the end: a connection of the last moment is served like any other.
    let keep = CancellationToken::new();
    let _end = keep.clone().drop_guard();
    match given {
        Some((read, files)) => {
            tls.send_replace(Some(read));
            tokio::spawn(files.keep(tls, keep));
        }
        None => drop(tokio::spawn(args.keeper(client.clone(), &namespace, clock).keep(tls, keep))),
    }
    let resolver = args.resolver.start();
    let options = args.into_options(namespace, feed_port);
    if options.lead.advertise.is_none() {
        warn!(
            "neither --advertise nor POD_IP says how data planes reach this very replica: while it leads they report to nobody, \
             and the status of groups stays unknown"
        );
    }
    let running = runtime::run(client, options, resolver, listeners, certificate, stop.clone());
    let mut running = std::pin::pin!(running);
    loop {
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            asked = signals.next() => match asked {
                Asked::Leave if stop.is_cancelled() => {
                    warn!("told again: leaving at once");
                    return Ok(());
                }
                Asked::Leave => stop.cancel(),
                Asked::Reload => warn!("asked to reload: the cluster is followed as it changes"),
                Asked::Reopen => {}
            },
        }
    }
}

impl ControllerArgs {
    /// The operator's own certificate.
    fn certificate_files(&self) -> Option<ca::Files> {
        let (certificate, key) = self.feed_certificate.clone().zip(self.feed_key.clone())?;
        Some(ca::Files { certificate, key, client_ca: self.feed_client_ca.clone() })
    }

    /// The self-made CA.
    fn keeper(&self, client: Client, namespace: &str, clock: Clock) -> ca::Keeper {
        let options = ca::Options {
            namespace: namespace.to_owned(),
            secret: self.ca_secret.clone(),
            config_map: self.ca_config_map.clone(),
            names: self.names(namespace, set("POD_IP").as_deref()),
            client_ca: self.feed_client_ca.clone(),
        };
        ca::Keeper::new(client, options, clock)
    }

    /// Certificates are for the Service's names, or for what was given in their place, and for the pod's address, which is what a
    /// headless Service and `beat` lead to.
    fn names(&self, namespace: &str, pod_ip: Option<&str>) -> ca::Names {
        let service = |suffix: &str| format!("forebay-controller.{namespace}{suffix}");
        let mut names = ca::Names::default();
        if self.feed_name.is_empty() {
            names.dns =
                vec![service(".svc"), service(".svc.cluster.local"), service(""), "forebay-controller".to_owned()];
        }
        for host in self.feed_name.iter().map(String::as_str).chain(pod_ip) {
            match host.parse() {
                Ok(address) => names.addresses.push(address),
                Err(_) => names.dns.push(host.to_owned()),
            }
        }
        names
    }

    fn into_options(self, namespace: String, feed_port: u16) -> Options {
        let of_pod = || Some(SocketAddr::new(set("POD_IP")?.parse::<IpAddr>().ok()?, feed_port).to_string());
        let proxies = if self.proxy_service_account.is_empty() {
            vec![Account { namespace: namespace.as_str().into(), name: "forebay-proxy".into() }]
        } else {
            self.proxy_service_account
        };
        let ingress_class = self.ingress_class.get();
        Options {
            follow: FollowOptions {
                scope: self.access.scope(ingress_class.as_deref()),
                translate: translate::Options {
                    ingress_class,
                    ..translate::Options::for_cluster(jiff::Timestamp::now())
                },
                publish_service: self.lead.publish_service.clone(),
            },
            lead: self.lead.into_options(namespace, self.advertise.or_else(of_pod).map(Into::into)),
            audience: self.audience.into(),
            proxies,
        }
    }
}

async fn listen(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ControllerError> {
    TcpListener::bind(address).await.map_err(|error| ControllerError::Listen { flag, address, error })
}

fn host_and_port(text: &str) -> Result<String, String> {
    let port =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
    match port {
        Some(1..) => Ok(text.to_owned()),
        Some(0) | None => Err(format!("\"{text}\" is no HOST:PORT; write, for example, 10.0.0.9:9902")),
    }
}

#[cfg(test)]
mod tests;
