//! `forebay proxy`: a data plane fed by controllers. This file is the composition: controllers → data plane, and signals.
//!
//! It holds no Kubernetes credentials but a token for the controllers' audience, and calls no API server.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};
use config::GroupId;
use feed::{Scope, limits};
use prometheus::Registry;
use proxy::config_status::ConfigStatus;
use proxy::source::{ControllerUrl, Credentials, Feed, FeedOptions, FeedStatus, InForce, Patience};
use proxy::{Early, Listener, Protocol};
use tracing::{info, warn};

use crate::data_plane::{self, DataPlane, DataPlaneError};
use crate::environment::{hostname, set};
use crate::milestones::Told;
use crate::options::{DataPlaneArgs, duration};
use crate::signals::Asked;
use crate::{groups, logging};

/// Serve what controllers say: a data plane without Kubernetes credentials; with --group the sidecar of an application
#[derive(Debug, Args)]
pub struct ProxyArgs {
    #[command(flatten)]
    feed: FeedArgs,

    #[command(flatten)]
    data_plane: DataPlaneArgs,
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Controllers")]
struct FeedArgs {
    /// A controller; repeatable. All addresses of a name are tried, until one answers
    #[arg(long, env = "FOREBAY_CONTROLLER", value_name = "https://HOST:PORT", required = true, value_delimiter = ',')]
    controller: Vec<ControllerUrl>,

    /// The authorities a controller's certificate must be signed by, PEM: `ca.crt` of the controller's `ConfigMap`; read anew at
    /// each connect
    #[arg(long, env = "FOREBAY_CONTROLLER_CA", value_name = "FILE")]
    controller_ca: PathBuf,

    /// A `ServiceAccount` token for the audience `forebay.dev`, as the kubelet projects it; read anew at each connect
    #[arg(long, env = "FOREBAY_TOKEN", value_name = "FILE", required_unless_present = "client_certificate")]
    token: Option<PathBuf>,

    /// A certificate chain to show instead of or besides a token, PEM; read anew at each connect
    #[arg(long, env = "FOREBAY_CLIENT_CERTIFICATE", value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,

    /// Its private key, PEM
    #[arg(long, env = "FOREBAY_CLIENT_KEY", value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,

    /// Be a sidecar: ask for this group alone; repeatable. Then --http is by default 127.0.0.1:8080, bound to the first, and
    /// --workers 1
    #[arg(long, env = "FOREBAY_GROUP", value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    group: Vec<GroupId>,

    /// The name of this data plane [default: `$POD_NAMESPACE/$POD_NAME`, else the host's name]
    #[arg(long, env = "FOREBAY_INSTANCE", value_name = "NAME")]
    instance: Option<String>,

    /// Not ready when no controller has confirmed the configuration for this long; 0s is never
    #[arg(long, env = "FOREBAY_MAX_STALE", value_name = "TIME", default_value = "0s", value_parser = duration)]
    max_stale: Duration,

    /// Keep the last good configuration here, without private keys, for the boot at which no controller answers
    #[arg(long, env = "FOREBAY_STATE_DIR", value_name = "DIR", help_heading = KEPT)]
    state_dir: Option<PathBuf>,

    /// At boot: how long a controller may take before the last good configuration is used
    #[arg(long, env = "FOREBAY_BOOT_WAIT", value_name = "TIME", default_value = "10s", value_parser = duration)]
    #[arg(help_heading = KEPT)]
    boot_wait: Duration,
}

/// The heading of flags about the configuration that is kept.
pub const KEPT: &str = "The last good configuration";

/// The command.
pub fn run(args: ProxyArgs) -> ExitCode {
    logging::install(args.data_plane.error_log_level);
    let options = match args.feed.to_options() {
        Ok(options) => options,
        // As every other wrong argument: said with the usage, exit code 2.
        Err(problem) => {
            let mut all = crate::Cli::command();
            all.build();
            let mut command = all.find_subcommand("proxy").cloned().unwrap_or(all);
            command.error(ErrorKind::ValueValidation, problem).exit()
        }
    };
    let max_stale = Some(args.feed.max_stale).filter(|limit| !limit.is_zero());
    let data_plane = args.feed.sidecar(args.data_plane);
    data_plane::block_on(serve(options, max_stale, data_plane))
}

async fn serve(options: FeedOptions, max_stale: Option<Duration>, args: DataPlaneArgs) -> Result<(), DataPlaneError> {
    if let Some(dir) = &options.state_dir
        && let Err(error) = try_to_write(dir)
    {
        warn!(
            "--state-dir {}: cannot be written: {error}; traffic goes on, but a restart without a controller would begin \
             without a configuration",
            dir.display()
        );
    }
    let standing = Arc::new(FeedStatus::new(max_stale));
    let status = Arc::new(ConfigStatus::of_feed(standing.clone()));
    let mut data_plane = DataPlane::start(args, Early::Refused, status.clone(), Registry::new()).await?;
    let proxy = data_plane.proxy.clone();
    let place = proxy.zone().map(|zone| format!(" in zone {zone}")).unwrap_or_default();
    info!("instance {}{place} asks {}", options.instance, said(&options.controllers));
    let mut feed = Feed::start(options, proxy.clone(), status.clone(), standing);
    let mut told = Told::default();

    loop {
        tokio::select! {
            Some(InForce { config, snapshot, .. }) = feed.changed() => {
                let unbound = groups::unbound(proxy.listeners(), &config);
                status.noted(unbound.clone());
                told.tell(snapshot.revision, &config, Some(&snapshot.source), unbound);
            }
            asked = data_plane.asked() => match asked? {
                Asked::Leave => break,
                Asked::Reload => warn!("asked to reload: the configuration comes from the controllers as it changes"),
                Asked::Reopen => proxy.access_log().reopen(),
            },
        }
    }
    // The feed goes on until nothing is in flight: servers come and go during a drain, too.
    data_plane.leave().await;
    feed.close().await;
    Ok(())
}

/// Makes a directory, if need be, and writes something there: a mistake is better known at the start than at the first restart
/// that needs what was never written.
fn try_to_write(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let trial = dir.join(format!(".trial-{}", std::process::id()));
    fs::write(&trial, "1").and_then(|()| fs::remove_file(&trial))
}

impl FeedArgs {
    fn to_options(&self) -> Result<FeedOptions, String> {
        let credentials = Credentials {
            controller_ca: self.controller_ca.clone(),
            token: self.token.clone(),
            certificate: self.client_certificate.clone().zip(self.client_key.clone()),
        };
        credentials.check().map_err(|error| error.to_string())?;
        let groups: BTreeSet<GroupId> = self.group.iter().cloned().collect();
        if groups.len() > limits::SCOPE {
            return Err(format!("--group: at most {} groups; without --group it serves every Ingress", limits::SCOPE));
        }
        Ok(FeedOptions {
            controllers: self.controller.clone(),
            credentials,
            instance: self.instance()?,
            scope: if groups.is_empty() { Scope::All } else { Scope::Groups(groups) },
            state_dir: self.state_dir.clone(),
            boot_wait: self.boot_wait,
            patience: Patience::default(),
        })
    }

    fn instance(&self) -> Result<Arc<str>, String> {
        let pod = || Some(format!("{}/{}", set("POD_NAMESPACE")?, set("POD_NAME")?));
        let instance = self.instance.clone().or_else(pod).or_else(hostname).unwrap_or_default();
        let length = instance.len();
        if (1..=limits::NAME).contains(&length) && instance.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(instance.into());
        }
        Err(format!(
            "--instance: \"{instance}\" is no name of a data plane: 1 to {} visible ASCII characters; write NAMESPACE/POD",
            limits::NAME
        ))
    }

    /// What is different for a sidecar, as far as nothing else was said.
    fn sidecar(&self, mut args: DataPlaneArgs) -> DataPlaneArgs {
        if let Some(first) = self.group.first() {
            if args.http.is_empty() {
                let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
                args.http = vec![Listener { address, group: Some(first.clone()), protocol: Protocol::Http }];
            }
            args.workers.get_or_insert(1);
        }
        args
    }
}

fn said(controllers: &[ControllerUrl]) -> String {
    controllers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_is_made_and_tried() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a/b");
        try_to_write(&dir).unwrap();
        assert_eq!(dir.read_dir().unwrap().count(), 0, "nothing is left behind");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(try_to_write(&file).is_err());
    }
}
