//! `forebay demo`: the newcomer's first minute. Backends, a data plane and a trickle of requests in one process, from the very
//! YAML in `examples/quickstart`; a backend fails, then another, then both recover, and one sees who got what and why.

mod picture;
mod screen;
mod script;
mod traffic;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use config::{Address, Config, GroupId, Target};
use proxy::{Limits, Listener, Protocol, Proxy, access_log};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backends::Backend;
use crate::logging;
use crate::options::{ResolverArgs, duration};
use crate::watch::{self, Files};
use picture::Picture;
use screen::Screen;
use script::{Script, Step};
use traffic::Tally;

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
    let path = match args.config {
        Some(path) => path,
        None => quickstart()?,
    };
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
    let mut stage = Stage::set(&first.config, &group)?;

    let proxy = Arc::new(Proxy::start(proxy::Options {
        listeners: vec![Listener { address: args.http, group: None, protocol: Protocol::Http }],
        workers: 1,
        trusted_proxies: Vec::new(),
        limits: Limits::default(),
        zone: None,
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
    outcome?.verdict(args.for_time.is_some())
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
    let mut script = Script::new(&stage.primaries);
    let mut tally = Tally::default();
    let mut pace = tokio::time::interval(PACE);
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut last = Picture::take(proxy, &stage.group);
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            Some(load) = files.changed() => {
                tally.edited();
                if load.is_refused() {
                    screen.say(started.elapsed(), "your edit has problems (`forebay check` names them); the last good one keeps serving");
                } else {
                    stage.extend(&load.config)?;
                    proxy.apply(&load.config, "the edited file")?;
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
        while let Some(step) = script.due(at) {
            stage.perform(&step)?;
            tally.reached(&step);
            screen.say(at, &step.to_string());
        }
        tally.count(traffic::request(address).await);
        let picture = Picture::take(proxy, &stage.group);
        for event in picture.events_since(&last) {
            tally.saw(&event);
            screen.say(at, &event.to_string());
        }
        screen.show(at, &picture, &tally);
        last = picture;
    }
}

/// The backends, by address.
struct Stage {
    group: GroupId,
    /// The names of the primaries, in order.
    primaries: Vec<Arc<str>>,
    backends: BTreeMap<SocketAddr, Backend>,
}

impl Stage {
    fn set(config: &Config, group: &GroupId) -> anyhow::Result<Self> {
        let primaries = config.groups.get(group).map(|group| {
            let primary = |server: &&config::Server| server.tier == balance::Tier::Primary;
            group.servers.iter().filter(primary).map(|server| server.name.clone()).collect()
        });
        let mut stage =
            Self { group: group.clone(), primaries: primaries.unwrap_or_default(), backends: BTreeMap::new() };
        stage.extend(config)?;
        Ok(stage)
    }

    /// Starts a backend for every server on this host that has none yet.
    fn extend(&mut self, config: &Config) -> anyhow::Result<()> {
        for server in config.groups.values().flat_map(|group| &group.servers) {
            if let Address::Inet(address) = server.address
                && address.ip().is_loopback()
                && !self.backends.contains_key(&address)
            {
                let backend = Backend::start(server.name.clone(), address)
                    .with_context(|| format!("cannot start a backend on {address}; is the port taken? Edit the file's addresses, or end what listens there"))?;
                self.backends.insert(address, backend);
            }
        }
        Ok(())
    }

    fn perform(&mut self, step: &Step) -> anyhow::Result<()> {
        for backend in self.backends.values_mut() {
            match step {
                Step::Fail(names) if names.contains(&backend.name) => backend.fail(),
                Step::Healthy | Step::Fail(_) => {}
                Step::Recover => backend.recover().context("a backend cannot listen again")?,
            }
        }
        Ok(())
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

/// The directory of the quickstart's documents.
fn quickstart() -> anyhow::Result<PathBuf> {
    let source = Path::new("examples/quickstart");
    if source.join("upstreamgroup.yaml").is_file() {
        return Ok(source.to_owned());
    }
    let copy = std::env::temp_dir().join(format!("forebay-quickstart-{}", std::process::id()));
    std::fs::create_dir_all(&copy).with_context(|| format!("cannot create {}", copy.display()))?;
    for (name, text) in QUICKSTART {
        std::fs::write(copy.join(name), text).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    Ok(copy)
}
