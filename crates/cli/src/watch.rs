//! The file source: reads the configuration, notices when it changes, and hands over what differs.
//!
//! Directories are watched, never files: an editor replaces a file by renaming another over it, and the kubelet swaps a
//! ConfigMap by renaming the symlink `..data`; both happen in the directory. Around each change the watches are set anew
//! before anything is read, so whatever happens after is noticed, a directory that was deleted and made again included.
//!
//! A set of files with an error is handed over whole as refused; what to do with the last good one is the caller's
//! business. What is no different from what was handed over before is not handed over again. Standard input is read once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{Code, Config, Diagnostic, ObjectRef, Revision, Severity};
use jiff::Timestamp;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use proxy::ApplyError;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::documents;

/// A burst of changes is over when nothing happened for this long.
const QUIET: Duration = Duration::from_millis(50);
/// A burst that does not end is read in its midst after this long.
const AT_MOST: Duration = Duration::from_secs(1);
/// Links in a row that are followed; the kernel gives up at 40 (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// What reading the files gave.
#[derive(Clone, Debug)]
pub struct Load {
    /// What the objects come to; not to be used when the load is refused.
    pub config: Config,
    /// Everything wrong or surprising.
    pub diagnostics: Vec<Diagnostic>,
}

/// The files under watch. Dropping it ends the watch.
#[derive(Debug)]
pub struct Files {
    loads: mpsc::Receiver<Load>,
    asked: Arc<Notify>,
    task: JoinHandle<()>,
}

/// What a load is compared by. Places are left out: a comment above moves them and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gist {
    /// What the caller runs already, whatever was said of it.
    Running(Revision),
    Good(Revision, Vec<Said>),
    Refused(Vec<Said>),
}

type Said = (Code, Option<ObjectRef>, Option<String>, String);

/// A group that reads well and still cannot be put in force.
pub const NOT_IN_FORCE: Code = "FB3900";

/// Reads `paths` once: documents, references and all, up to where a configuration would be put in force. Never fails: what is
/// wrong is said in the load. The present is read here, each time anew. Whoever reads files reads them here, so that what passes `forebay check` is what runs.
pub fn load(paths: &[PathBuf], options: &translate::Options) -> Load {
    let translate::document::Documents { objects, mut diagnostics } = documents::read(paths);
    let options = translate::Options { now: Timestamp::now(), ..options.clone() };
    let translation = translate::translate(&objects, &options);
    diagnostics.extend(translation.diagnostics);
    diagnostics.extend(proxy::compile_check(&translation.config).iter().map(not_in_force));
    Load { config: translation.config, diagnostics }
}

/// What is said of a group that cannot be put in force.
pub fn not_in_force(refusal: &ApplyError) -> Diagnostic {
    let (namespace, name) = (refusal.group.namespace().into(), refusal.group.name().into());
    let object = ObjectRef { kind: api::KIND.into(), namespace, name };
    Diagnostic::new(NOT_IN_FORCE, Severity::Error, refusal.error.to_string()).object(object)
}

/// Watches `paths` and reads them again when they change; `running` is the revision the caller already has. Call it within a
/// runtime. Reading happens on a thread for blocking work.
pub fn watch(paths: Vec<PathBuf>, options: translate::Options, running: Revision) -> Files {
    let (sender, loads) = mpsc::channel(1);
    let asked = Arc::new(Notify::new());
    let source = Source { paths: paths.into(), options: Arc::new(options), asked: asked.clone() };
    Files { loads, asked, task: tokio::spawn(source.run(Gist::Running(running), sender)) }
}

impl Load {
    /// Whether an error forbids using it.
    pub fn is_refused(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    fn gist(&self) -> Gist {
        let said = |d: &Diagnostic| (d.code, d.object.clone(), d.field.clone(), d.message.clone());
        let said = self.diagnostics.iter().map(said).collect();
        if self.is_refused() { Gist::Refused(said) } else { Gist::Good(self.config.revision(), said) }
    }
}

impl Files {
    /// The next load that differs from the last, or that [`Self::reload`] asked for and is refused. Cancel-safe.
    pub async fn changed(&mut self) -> Option<Load> {
        self.loads.recv().await
    }

    /// Reads again although nothing was noticed (SIGHUP).
    pub fn reload(&self) {
        self.asked.notify_one();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gist {
    /// Whether the caller, who has `self`, learns nothing from `next`.
    fn covers(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Running(running), Self::Good(revision, _)) => running == revision,
            _ => self == next,
        }
    }
}

/// Why the files are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    Noticed,
    Asked,
}

struct Source {
    paths: Arc<[PathBuf]>,
    options: Arc<translate::Options>,
    asked: Arc<Notify>,
}

impl Source {
    async fn run(self, mut last: Gist, loads: mpsc::Sender<Load>) {
        while self.paths.iter().any(|path| path == Path::new("-")) {
            self.asked.notified().await;
            warn!("asked to reload: standard input cannot be read again");
        }
        let mut occasion = Occasion::Noticed;
        loop {
            let noticed = Arc::new(Notify::new());
            let watching = Watching::begin(&self.paths, &noticed);
            let (paths, options) = (self.paths.clone(), self.options.clone());
            let Ok(load) = tokio::task::spawn_blocking(move || load(&paths, &options)).await else { return };
            let gist = load.gist();
            let insisted = occasion == Occasion::Asked && load.is_refused();
            if insisted || !last.covers(&gist) {
                last = gist;
                if loads.send(load).await.is_err() {
                    return;
                }
            } else if occasion == Occasion::Asked {
                info!("asked to reload: the configuration has not changed");
            }
            occasion = self.wait(&noticed).await;
            // Held until here: what changed while the files were read has been noticed.
            drop(watching);
        }
    }

    /// Until something happened and then nothing for a while, or somebody asks.
    async fn wait(&self, noticed: &Notify) -> Occasion {
        tokio::select! {
            () = self.asked.notified() => return Occasion::Asked,
            () = noticed.notified() => {}
        }
        let latest = Instant::now() + AT_MOST;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            if timeout_at(quiet, noticed.notified()).await.is_err() || Instant::now() >= latest {
                return Occasion::Noticed;
            }
        }
    }
}

/// The watches of one round.
struct Watching(#[allow(dead_code, reason = "held for its Drop")] Option<RecommendedWatcher>);

impl Watching {
    fn begin(paths: &[PathBuf], noticed: &Arc<Notify>) -> Self {
        let notify = noticed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event, too; an error may be a change that got lost.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                notify.notify_one();
            }
        });
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => {
                warn!("changes of the configuration will not be noticed, only SIGHUP reloads it: {error}");
                return Self(None);
            }
        };
        for directory in directories(paths) {
            if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
                warn!("changes in {} will not be noticed: {error}", directory.display());
            }
        }
        Self(Some(watcher))
    }
}

/// The directories in which a change of `paths` shows: the one each path stands in (of a path that does not exist, the
/// nearest above that does), each that is a directory, and those that the links of its files lead through.
fn directories(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut directories = BTreeSet::new();
    for path in paths {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        directories.extend(path.ancestors().skip(1).find(|above| above.is_dir()).map(Path::to_owned));
        add_links(&path, &mut directories);
        if path.is_dir() {
            directories.insert(path);
        }
    }
    for file in documents::find(paths).files {
        add_links(&std::path::absolute(&file).unwrap_or(file), &mut directories);
    }
    directories
}

/// The directories of what `path` links to, link by link.
fn add_links(path: &Path, directories: &mut BTreeSet<PathBuf>) {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let (Ok(target), Some(holder)) = (path.read_link(), path.parent()) else { return };
        path = holder.join(target);
        directories.extend(path.parent().filter(|holder| holder.is_dir()).map(Path::to_owned));
    }
}

#[cfg(test)]
mod tests;
