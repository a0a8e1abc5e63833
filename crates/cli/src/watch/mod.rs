//! The file source: reads the configuration, notices when it changes, and hands over what differs.
//!
//! Around each change the watches are set anew before anything is read, so whatever happens after is noticed, a directory that
//! was deleted and made again included.
//!
//! A set of files with an error is handed over whole as refused; what to do with the last good one is the caller's business. Of a
//! TLS Secret alone that cannot be used any more the hosts keep the certificate they have. What is no different from what was
//! handed over before is not handed over again. Standard input is read once. DNS names are followed, those of the last good set
//! too while a newer one is refused. Time is a change, too: when a certificate becomes valid or expires, the files are read again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Code, Config, Diagnostic, ObjectRef, Revision};
use controller::names::Resolver;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};
use translate::document::Documents;

use crate::documents;
use crate::judge::{Load, judge};

mod burst;
mod places;

use burst::Burst;
use places::{Stamps, Watching};

/// The files under watch. Dropping it ends the watch.
#[derive(Debug)]
pub struct Files {
    loads: mpsc::Receiver<Load>,
    asked: Arc<Notify>,
    task: JoinHandle<()>,
}

/// Files that were read and are not watched yet.
#[derive(Debug)]
pub struct Source {
    paths: Arc<[PathBuf]>,
    options: translate::Options,
    resolver: Resolver,
    asked: Arc<Notify>,
    /// The latest documents that were not refused; what they come to changes with the names in them.
    good: Arc<Documents>,
    /// What the caller runs.
    running: Revision,
    /// What the files came to last.
    last: Gist,
}

/// What a load is compared by. Places are left out: a comment above moves them and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gist {
    Good(Revision, Vec<Said>),
    Refused(Vec<Said>),
}

type Said = (Code, Option<ObjectRef>, Option<String>, String);

/// Reads `paths` once, with DNS names resolved, to be watched from then on. Call it within a runtime.
pub async fn open(paths: Vec<PathBuf>, options: translate::Options, resolver: Resolver) -> (Load, Source) {
    let (good, running) = (Arc::default(), Config::default().revision());
    let last = Gist::Refused(Vec::new());
    let mut source = Source { paths: paths.into(), options, resolver, asked: Arc::default(), good, running, last };
    source.good = source.read().await;
    let load = source.resolved(&source.good.clone()).await;
    source.in_force(&load.config);
    source.last = Gist::of(&load);
    (load, source)
}

impl Gist {
    fn of(load: &Load) -> Self {
        let said = |d: &Diagnostic| (d.code, d.object.clone(), d.field.clone(), d.message.clone());
        let said = load.diagnostics.iter().map(said).collect();
        if load.is_refused() { Self::Refused(said) } else { Self::Good(load.config.revision(), said) }
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

/// Why the files are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    Noticed,
    Asked,
}

impl Source {
    /// Watches the files, and what the names in them resolve to, and reads again when something changed.
    pub fn watch(self) -> Files {
        let (sender, loads) = mpsc::channel(1);
        let asked = self.asked.clone();
        Files { loads, asked, task: tokio::spawn(self.run(sender)) }
    }

    async fn run(mut self, loads: mpsc::Sender<Load>) {
        let mut occasion = Occasion::Noticed;
        loop {
            let noticed = Arc::new(Notify::new());
            let watching = (!self.is_stdin()).then(|| Watching::begin(&self.paths, &noticed));
            let documents = if self.is_stdin() { self.good.clone() } else { self.read().await };
            let load = self.resolved(&documents).await;
            let (gist, until) = (Gist::of(&load), load.until);

            let mut news = Vec::new();
            if load.is_refused() {
                // The names of what keeps serving are followed all the same.
                let good = self.resolved(&self.good.clone()).await;
                news.extend((good.config.revision() != self.running).then_some(good));
            } else {
                self.good = documents;
            }
            let insisted = occasion == Occasion::Asked && load.is_refused();
            if insisted || !news.is_empty() || self.last != gist {
                news.push(load);
            } else if occasion == Occasion::Asked {
                info!("asked to reload: the configuration has not changed");
            }
            self.last = gist;
            for load in news {
                if !load.is_refused() {
                    self.in_force(&load.config);
                }
                if loads.send(load).await.is_err() {
                    return;
                }
            }
            occasion = self.wait(&noticed, until).await;
            if occasion == Occasion::Asked && self.is_stdin() {
                warn!("asked to reload: standard input cannot be read again");
            }
            // Held until here: what changed while the files were read has been noticed.
            drop(watching);
        }
    }

    /// What the caller runs from now on.
    fn in_force(&mut self, config: &Config) {
        self.running = config.revision();
        self.options.held = config.certificates.clone();
    }

    fn is_stdin(&self) -> bool {
        self.paths.iter().any(|path| path == Path::new("-"))
    }

    async fn read(&self) -> Arc<Documents> {
        let paths = self.paths.clone();
        Arc::new(blocking(move || documents::read(&paths)).await)
    }

    /// What documents come to, once the names in them that are new have been looked up.
    async fn resolved(&mut self, documents: &Arc<Documents>) -> Load {
        let wanted = &dns_names(documents) | &dns_names(&self.good);
        if self.resolver.want(wanted) {
            self.resolver.settled().await;
        }
        self.options.names = self.resolver.known();
        let (documents, options) = (documents.clone(), self.options.clone());
        blocking(move || judge(&documents, &options)).await
    }

    /// Until something happened and then nothing for a while, or somebody asks.
    async fn wait(&mut self, noticed: &Notify, until: Option<Timestamp>) -> Occasion {
        let rest = until.map(|until| translate::look_again_in(until, Timestamp::now()));
        tokio::select! {
            () = self.asked.notified() => return Occasion::Asked,
            () = noticed.notified() => {}
            () = self.resolver.differs_from(&self.options.names) => {}
            () = sleep(rest.unwrap_or_default()), if rest.is_some() => {}
        }
        let mut burst = Burst::begin(Instant::now(), self.stamps().await);
        loop {
            if timeout_at(burst.look_at(), noticed.notified()).await.is_ok() {
                burst.noticed(Instant::now());
            } else if burst.is_over(Instant::now(), self.stamps().await) {
                return Occasion::Noticed;
            }
        }
    }

    async fn stamps(&self) -> Stamps {
        let paths = self.paths.clone();
        blocking(move || places::stamps(&paths)).await
    }
}

fn dns_names(documents: &Documents) -> BTreeSet<Arc<str>> {
    translate::dns_names(documents.objects.upstream_groups.values().map(|located| &located.object))
}

/// Runs what takes its time on a thread for such work.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // Nobody aborts it, so it panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests;
