//! The access log: one line per finished request, written off the request's path.
//!
//! Every worker formats into a buffer of its own (a *lane*); one thread takes the lanes over, at latest [`QUIET`] after the
//! first line, and writes them. A worker never waits for a disk or a pipe: when its lane is full because the thread is stuck,
//! lines are dropped and counted. nginx, by contrast, writes from the worker and stalls with a blocked pipe.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use config::Template;
use parking_lot::Mutex;

use crate::record::Record;

mod escape;
mod format;
mod lane;
mod output;
mod writer;

use format::Line;
use lane::{Fill, Lane};
use output::Output;
use writer::Shared;

/// How long a line may wait for company.
const QUIET: Duration = Duration::from_millis(100);

/// Where and how requests are logged.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to.
    pub target: Target,
    /// In which form.
    pub format: Format,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// A file, appended to, or a named pipe.
    File(PathBuf),
}

/// How a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// nginx's `combined`, then what happened upstream: see [`Format::COMBINED`].
    Combined,
    /// One JSON object; keys are nginx's variables.
    Json,
    /// nginx's `log_format` with `escape=default`.
    Template(Template),
}

/// The log of a process. Dropping it does not flush: call [`AccessLog::close`].
#[derive(Debug)]
pub struct AccessLog {
    /// `None` when off.
    shared: Option<Arc<Shared>>,
}

/// A worker's end of the log.
#[derive(Debug)]
pub struct LogWriter {
    /// `None` when off.
    to: Option<(Arc<Mutex<Lane>>, Arc<Shared>)>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the access log {target}: {error}; check that its directory exists and may be written to")]
pub struct OpenError {
    /// What was to be opened.
    target: String,
    /// Why not.
    #[source]
    error: io::Error,
}

impl AccessLog {
    /// Opens the target and starts the thread that writes to it.
    ///
    /// # Errors
    /// When the target cannot be opened or the thread not started.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let failed = |error| OpenError { target: options.target.to_string(), error };
        let Some(output) = Output::open(&options.target).map_err(failed)? else { return Ok(Self { shared: None }) };
        let shared = Arc::new(Shared::new(Line::new(&options.format)));
        let thread = thread::Builder::new().name("access-log".into());
        let writing = shared.clone();
        thread.spawn(move || writing.run(output)).map_err(failed)?;
        Ok(Self { shared: Some(shared) })
    }

    /// The end for one more worker.
    pub fn writer(&self) -> LogWriter {
        LogWriter { to: self.shared.as_ref().map(|shared| (shared.add_lane(), shared.clone())) }
    }

    /// Whether lines name a header of the server's response: then [`Record::upstream_headers`] must be kept.
    pub fn wants_upstream_headers(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.line.wants_upstream_headers())
    }

    /// Whether lines name a header sent to the client: then [`Record::sent_headers`] must be kept.
    pub fn wants_sent_headers(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.line.wants_sent_headers())
    }

    /// Lines that could not be written: the disk was full, or a pipe blocked for too long.
    pub fn lost_lines(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.lost.value())
    }

    /// Opens the file again under its name, after what was logged so far is written: how logs are rotated (nginx: SIGUSR1).
    /// If that fails the old file is kept and the failure is reported.
    pub fn reopen(&self) {
        if let Some(shared) = &self.shared {
            shared.reopen();
        }
    }

    /// Writes what is left and ends the thread. Blocks for at most `limit`; returns whether all was written or counted as
    /// lost by then.
    pub fn close(&self, limit: Duration) -> bool {
        self.shared.as_ref().is_none_or(|shared| shared.close(limit))
    }
}

impl LogWriter {
    /// Logs a finished request. Never waits for the target.
    pub fn log(&self, record: &Record) {
        let Some((lane, shared)) = &self.to else { return };
        let fill = lane.lock().append(|buffer| shared.line.write(record, buffer));
        match fill {
            Fill::Quiet => {}
            Fill::First => shared.pending(),
            Fill::Enough => shared.urgent(),
            Fill::Overfull => shared.lost.inc(),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => write!(f, "\"{}\"", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
