//! The error log: events of every crate on standard error, in nginx's form and with nginx's levels.
//!
//! `tracing` has five levels, nginx more. What nginx calls `info` is about one client and comes from `forebay::upstream`; the
//! other events of that level are milestones of the process, nginx's `notice`. An error of the workers themselves (`accept`
//! failed, a worker died) is what nginx calls `crit`.

use std::fmt::{self, Write as _};
use std::io;
use std::process;

use clap::ValueEnum;
use jiff::Zoned;
use proxy::error_log;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Where the workers report what concerns more than one request.
const WORKER: &str = "forebay::worker";

/// The least severe event that is logged, as nginx's `error_log` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Everything, what the libraries say included.
    Debug,
    /// Clients that misbehave or leave, too.
    Info,
    /// Milestones: started, configured, leaving.
    Notice,
    /// A server was ejected; a part of the configuration leads nowhere.
    Warn,
    /// A request failed; a configuration was refused.
    Error,
    /// The process itself is in trouble.
    Crit,
}

/// nginx's line: `2026/11/22 10:00:00 [error] 4711#0: *42 TEXT`.
struct NginxFormat;

/// The parts of an event that have a place in the line.
#[derive(Default)]
struct Parts {
    message: String,
    connection: Option<u64>,
    others: String,
}

/// Sends every event from now on to standard error. A second call changes nothing.
pub fn install(level: Level) {
    let lines = tracing_subscriber::fmt::layer().event_format(NginxFormat).with_writer(io::stderr);
    // It would complain of a closed standard error on standard error, and panic.
    let lines = lines.log_internal_errors(false);
    // It fails only when a subscriber is installed already.
    let _ = tracing_subscriber::registry().with(lines.with_filter(level.filter())).try_init();
}

impl Level {
    fn filter(self) -> Targets {
        // What it warns of we say ourselves, once and with how to mend it.
        let all = |level: LevelFilter| {
            Targets::new()
                .with_default(level)
                .with_target("kube_runtime", LevelFilter::OFF)
                .with_target("kube_client", LevelFilter::OFF)
        };
        match self {
            Self::Debug => Targets::new().with_default(LevelFilter::DEBUG),
            Self::Info => all(LevelFilter::INFO),
            Self::Notice => all(LevelFilter::INFO).with_target(error_log::TARGET, LevelFilter::WARN),
            Self::Warn => all(LevelFilter::WARN),
            Self::Error => all(LevelFilter::ERROR),
            Self::Crit => Targets::new().with_target(WORKER, LevelFilter::ERROR),
        }
    }

    /// What nginx would call the level of an event.
    fn of(event: &Metadata<'_>) -> Self {
        let is_of = |target| event.target() == target;
        match *event.level() {
            tracing::Level::ERROR if is_of(WORKER) => Self::Crit,
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO if is_of(error_log::TARGET) => Self::Info,
            tracing::Level::INFO => Self::Notice,
            tracing::Level::DEBUG | tracing::Level::TRACE => Self::Debug,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Crit => "crit",
        }
    }
}

impl<S, N> FormatEvent<S, N> for NginxFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let time = Zoned::now().strftime("%Y/%m/%d %H:%M:%S").to_string();
        writeln!(writer, "{}", line(&time, process::id(), Level::of(event.metadata()), &parts))
    }
}

fn line(time: &str, pid: u32, level: Level, parts: &Parts) -> String {
    let connection = parts.connection.map(|serial| format!("*{serial} ")).unwrap_or_default();
    format!("{time} [{}] {pid}#0: {connection}{}{}", level.name(), parts.message, parts.others)
}

impl Visit for Parts {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "connection" {
            self.connection = Some(value);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String fails only if the value's own formatting does.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.others, ", {name}: {value:?}"),
        };
    }
}

#[cfg(test)]
pub mod tests {
    use testkit::Log;

    use super::*;

    /// The lines of what is said meanwhile, without time and process.
    pub fn logged(level: Level, saying: impl FnOnce()) -> Vec<String> {
        let log = Log::default();
        let layer = tracing_subscriber::fmt::layer().event_format(NginxFormat).with_writer(log.clone());
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(level.filter()));
        tracing::subscriber::with_default(subscriber, saying);
        // `2026/11/22 10:00:00 ` is 20 bytes.
        log.text().lines().map(|line| line[20..].replace(&format!(" {}#0:", process::id()), "")).collect()
    }

    fn one_of_each() {
        tracing::debug!("detail");
        tracing::info!(target: error_log::TARGET, connection = 7_u64, "client left");
        tracing::info!("ready");
        tracing::warn!(target: error_log::TARGET, connection = 7_u64, "upstream server temporarily disabled");
        tracing::error!(target: error_log::TARGET, connection = 7_u64, file = "a.yaml", "no live upstreams");
        tracing::error!(target: WORKER, "accept() failed");
    }

    #[test]
    fn lines_and_levels_are_nginx_s() {
        let all = [
            "[debug] detail",
            "[info] *7 client left",
            "[notice] ready",
            "[warn] *7 upstream server temporarily disabled",
            "[error] *7 no live upstreams, file: a.yaml",
            "[crit] accept() failed",
        ];
        let levels = [Level::Debug, Level::Info, Level::Notice, Level::Warn, Level::Error, Level::Crit];
        for (from, level) in levels.into_iter().enumerate() {
            assert_eq!(logged(level, one_of_each), all[from..], "{level:?}");
        }
    }

    #[test]
    fn a_line_begins_as_nginx_s_does() {
        let parts = Parts { message: "no live upstreams".into(), connection: Some(42), others: String::new() };
        let expected = "2026/11/22 10:00:00 [error] 4711#0: *42 no live upstreams";
        assert_eq!(line("2026/11/22 10:00:00", 4711, Level::Error, &parts), expected);
    }
}
