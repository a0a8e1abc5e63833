//! `forebay demo`: the newcomer's first minute. Backends, a data plane and a trickle of requests in one process, from the very
//! YAML in `examples/quickstart`; a backend fails, then another, then both recover, and one sees who got what and why.

mod backends;
mod picture;
mod screen;
mod script;
mod stage;
mod tally;
mod traffic;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use config::{Config, GroupId, HostPattern, Target};
use proxy::{Early, Limits, Listener, Protocol, Proxy, access_log};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::logging;
use crate::options::{ResolverArgs, duration};
use crate::stdout;
use crate::watch::{self, Files};
use picture::Picture;
use screen::Screen;
use script::Script;
use stage::Stage;
use tally::Tally;
use traffic::Reply;

/// How often a request is sent.
const PACE: Duration = Duration::from_millis(200);

/// Three backends, a data plane and a trickle of requests, live: see picks, failures, ejections and the backup stepping in
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End after this time; exit 0 only if what was shown was right
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    for_time: Option<Duration>,

    /// The documents to serve [default: examples/quickstart, or a copy of it in a temporary directory]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,

    /// Where the data plane listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
}

/// The quickstart, for a binary that is run away from its sources.
const QUICKSTART: [(&str, &str); 2] = [
    ("upstreamgroup.yaml", include_str!("../../../../examples/quickstart/upstreamgroup.yaml")),
    ("ingress.yaml", include_str!("../../../../examples/quickstart/ingress.yaml")),
];

/// The command.
pub fn run(args: DemoArgs) -> ExitCode {
    logging::install(logging::Level::Crit);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.context("cannot start").and_then(|runtime| runtime.block_on(play(args)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forebay demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play(args: DemoArgs) -> anyhow::Result<()> {
    let documents = match args.config {
        Some(path) => Documents { path, is_copy: false },
        None => Documents::quickstart()?,
    };
    let path = documents.path.clone();
    let options = translate::Options::for_files(jiff::Timestamp::now());
    let resolver = ResolverArgs::default().start();
    let (first, files) = watch::open(vec![path.clone()], options, resolver).await;
    if first.is_refused() {
        for diagnostic in &first.diagnostics {
            eprintln!("{diagnostic}");
        }
        bail!("{} has {} problem(s)", path.display(), first.errors());
    }
    let group = shown_group(&first.config).with_context(|| format!("{} has no UpstreamGroup", path.display()))?;
    if first.config.groups.get(&group).is_some_and(|group| group.tls().is_some()) {
        bail!("the servers of {group} are spoken to over TLS, and the demo's backends speak plain HTTP");
    }
    let mut stage = Stage::set(&first.config, &group)?;

    // Without a route to it, it would not be seen.
    let bound = (!is_routed(&first.config, &group)).then(|| group.clone());
    let proxy = Arc::new(Proxy::start(proxy::Options {
        listeners: vec![Listener { address: args.http, group: bound, protocol: Protocol::Http }],
        workers: 1,
        trusted_proxies: Vec::new(),
        limits: Limits::default(),
        zone: None,
        early: Early::Waiting,
        access_log: access_log::Options { target: access_log::Target::Off, format: access_log::Format::Combined },
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(5),
    })?);
    proxy.apply(&first.config, &path.display().to_string())?;
    let address = proxy.listeners().first().map_or(args.http, |listener| listener.address);
    let mut files = files.watch();

    let mut screen = Screen::new(std::io::stdout().is_terminal(), address, &path);
    let outcome = perform(&mut stage, &mut screen, &proxy, &mut files, address, args.for_time).await;
    proxy.drain(CancellationToken::new()).await;
    screen.close();
    let tally = outcome?;
    if args.for_time.is_none() {
        stdout::print(&tally.sum())?;
        return Ok(());
    }
    let verdict = tally.verdict();
    stdout::print(&verdict.told)?;
    if verdict.wrong.is_empty() { Ok(()) } else { bail!("not as it should be: {}", verdict.wrong.join("; ")) }
}

/// The loop of the demo: a request, a step of the script, a picture.
async fn perform(
    stage: &mut Stage,
    screen: &mut Screen,
    proxy: &Proxy,
    files: &mut Files,
    address: SocketAddr,
    for_time: Option<Duration>,
) -> anyhow::Result<Tally> {
    let started = Instant::now();
    let mut script = Script::default();
    let mut tally = Tally::default();
    let mut pace = tokio::time::interval(PACE);
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut last = Picture::take(proxy, &stage.group);
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            Some(load) = files.changed() => {
                if load.is_refused() {
                    screen.say(started.elapsed(), "your edit has problems (`forebay check` names them); the last good one keeps serving");
                } else {
                    stage.extend(&load.config)?;
                    proxy.apply(&load.config, "the edited file")?;
                    tally.edited();
                    screen.say(started.elapsed(), "your edit is in force, without a reload and without a lost connection");
                }
                continue;
            }
            _ = &mut interrupt => return Ok(tally),
        }
        let at = started.elapsed();
        if screen.is_left() || for_time.is_some_and(|limit| at >= limit) {
            return Ok(tally);
        }
        while let Some(step) = script.due(at, &stage.cast, last.is_settled()) {
            stage.perform(&step)?;
            tally.reached(&step, at, &last);
            screen.say(at, &step.to_string());
        }
        let reply = tokio::select! {
            reply = traffic::request(address) => reply.ok(),
            _ = &mut interrupt => return Ok(tally),
        };
        let server = reply.as_ref().and_then(Reply::server);
        if let Some(name) = server {
            script.answered(name);
        }
        let picture = Picture::take(proxy, &stage.group).answered_by(server, &last);
        let events = picture.events_since(&last);
        tally.request(at, server, &picture, &events);
        for event in &events {
            screen.say(at, &event.to_string());
        }
        screen.show(at, &picture, &tally);
        last = picture;
    }
}

/// The group that the demo shows: the one of the first route, else the first.
fn shown_group(config: &Config) -> Option<GroupId> {
    let targets = config.routes.hosts.iter().flat_map(|host| &host.paths).map(|path| &path.target);
    let routed = targets.filter_map(|target| match target {
        Target::Group(id) => Some(id),
        Target::Unavailable { .. } => None,
    });
    routed.chain(config.groups.keys()).next().cloned()
}

/// Whether a request for any host is answered by `group`.
fn is_routed(config: &Config, group: &GroupId) -> bool {
    let any = config.routes.hosts.iter().filter(|host| host.host == HostPattern::Any);
    let mut targets = any.flat_map(|host| host.paths.iter().map(|path| &path.target).chain(&host.default));
    targets.any(|target| *target == Target::Group(group.clone()))
}

/// The documents that are served.
struct Documents {
    path: PathBuf,
    /// It was made for this demo, and goes with it.
    is_copy: bool,
}

impl Documents {
    /// The quickstart's.
    fn quickstart() -> anyhow::Result<Self> {
        let source = Path::new("examples/quickstart");
        if source.join("upstreamgroup.yaml").is_file() {
            return Ok(Self { path: source.to_owned(), is_copy: false });
        }
        let path = std::env::temp_dir().join(format!("forebay-quickstart-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let copy = Self { path, is_copy: true };
        for (name, text) in QUICKSTART {
            let file = copy.path.join(name);
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(copy)
    }
}

impl Drop for Documents {
    fn drop(&mut self) {
        if self.is_copy {
            // What cannot be removed is the temporary directory's business.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use config::{HostRoutes, Routes};

    use super::*;

    #[test]
    fn a_group_without_a_route_for_any_host_is_bound() {
        let group: GroupId = "default/app".parse().unwrap();
        let routed = |host: HostPattern| {
            let host = Arc::new(HostRoutes { host, paths: Vec::new(), default: Some(Target::Group(group.clone())) });
            is_routed(&Config { routes: Arc::new(Routes { hosts: vec![host] }), ..Config::default() }, &group)
        };
        assert!(routed(HostPattern::Any));
        assert!(!routed("shop.example".parse().unwrap()));
        assert!(!is_routed(&Config::default(), &group));
    }

    #[test]
    fn a_copy_of_the_quickstart_goes_with_the_demo() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        std::fs::create_dir(&path).unwrap();
        drop(Documents { path: path.clone(), is_copy: false });
        assert!(path.exists());
        drop(Documents { path: path.clone(), is_copy: true });
        assert!(!path.exists());
    }
}
