//! The last good configuration on disk: read at boot, written behind what is put in force. The disk is never waited for by
//! anything else: a full or broken one costs the next boot, no request.
//!
//! A write goes to a temporary file that is synchronised and renamed over the last one, and then the directory is, so that
//! a crash at any moment leaves the old file or the new one. One process per directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::Millis;
use feed::{LastGood, LastGoodError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::in_force::{InForce, Origin};
use super::status::{FeedStatus, millis};
use super::teller::Teller;
use crate::clock::Clock;

const FILE: &str = "last-good.jsonl";
const DRAFT: &str = "last-good.jsonl.new";

/// Changes are collected for so long before they are written.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// After a failure it is tried again so much later.
const RETRY: Duration = Duration::from_secs(30);
/// An unchanged file is written anew so often, because it says when it was current last.
const REFRESH: Duration = Duration::from_mins(5);

/// Where the file lies.
#[derive(Clone, Debug)]
pub(super) struct StateDir(PathBuf);

/// Why there is nothing to start from.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Content(#[from] LastGoodError),
}

/// Writes what is put in force, until dropped.
pub(super) struct Keeper {
    pub dir: StateDir,
    pub clock: Clock,
    pub status: Arc<FeedStatus>,
    pub in_force: watch::Receiver<Option<InForce>>,
    /// Who asks for a write at once, and waits for it.
    pub asked: mpsc::Receiver<oneshot::Sender<()>>,
}

impl StateDir {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The file's path, for people.
    pub fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    /// What was in force in an earlier life; `None`: there is no file.
    pub fn read(&self) -> Result<Option<LastGood>, ReadError> {
        match fs::read(self.file()) {
            Ok(bytes) => Ok(Some(LastGood::decode(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the file, safely.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let draft = self.0.join(DRAFT);
        let written = write_synced(&draft, bytes).and_then(|()| fs::rename(&draft, self.file()));
        if written.is_err() {
            // Half a draft on a full disk helps nobody; what matters is the error before.
            let _ = fs::remove_file(&draft);
            return written;
        }
        File::open(&self.0)?.sync_all()
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl Keeper {
    pub async fn run(mut self) {
        let mut teller = Teller::default();
        let mut due: Option<Instant> = None;
        loop {
            let (mut asker, at) = (None, due.unwrap_or_else(|| Instant::now() + REFRESH));
            tokio::select! {
                changed = self.in_force.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let soon = Instant::now() + DEBOUNCE;
                    due = Some(due.map_or(soon, |due| due.min(soon)));
                    continue;
                }
                asked = self.asked.recv() => match asked {
                    // Only what has not been written is.
                    Some(asked) if due.is_none() && !self.in_force.has_changed().unwrap_or(false) => {
                        let _ = asked.send(());
                        continue;
                    }
                    Some(asked) => asker = Some(asked),
                    None => return,
                },
                () = sleep_until(at) => {}
            }
            due = self.write(&mut teller).await.map(|after| Instant::now() + after);
            if let Some(asker) = asker {
                // Who asked may have gone.
                let _ = asker.send(());
            }
        }
    }

    /// Writes what is in force now; when to try again, if that is needed.
    async fn write(&mut self, teller: &mut Teller) -> Option<Duration> {
        let in_force = self.in_force.borrow_and_update().clone()?;
        if in_force.origin == Origin::LastGood {
            return None;
        }
        let Some(current_at) = self.status.standing().currency.at(millis(self.clock.now())) else {
            // Put in force, but not confirmed to be all there is.
            return Some(DEBOUNCE);
        };
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || {
            let resources = in_force.resources.iter().map(|held| (&held.key, &held.resource, held.version));
            dir.write(&LastGood::encode(resources, current_at))
        });
        let outcome = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        self.tell(teller, outcome.map(|()| current_at))
    }

    fn tell(&self, teller: &mut Teller, outcome: io::Result<Millis>) -> Option<Duration> {
        let status = &self.status;
        let whom = format!("--state-dir {}", self.dir.0.display());
        match outcome {
            Ok(at) => {
                status.writes.inc();
                status.last_good(Ok(at));
                teller.well(&whom, "the last good configuration is kept again");
                None
            }
            Err(error) => {
                status.writes_failed.inc();
                let what = format!(
                    "the last good configuration cannot be written: {error}; traffic goes on, but a restart without a \
                     controller would begin with an older configuration or none"
                );
                status.last_good(Err(what.clone()));
                teller.trouble(&whom, &what);
                Some(RETRY)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let temporary = tempfile::tempdir().unwrap();
        let dir = StateDir::new(temporary.path().join("state"));
        assert!(matches!(dir.read(), Ok(None)));
        dir.write(&LastGood::encode([], Millis(7))).unwrap();
        dir.write(&LastGood::encode([], Millis(8))).unwrap();
        assert_eq!(dir.read().unwrap().unwrap().current_at, Millis(8));
        assert_eq!(fs::metadata(dir.file()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(temporary.path().join("state")).unwrap().count(), 1, "no draft is left");
        fs::write(dir.file(), "torn").unwrap();
        assert!(matches!(dir.read(), Err(ReadError::Content(LastGoodError::NotOurs))));
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = StateDir::new(temporary.path().into());
        dir.write(&LastGood::encode([], Millis(7))).unwrap();
        // A directory where the draft belongs: no permission stops a privileged user, this does.
        fs::create_dir(temporary.path().join(DRAFT)).unwrap();
        assert!(dir.write(&LastGood::encode([], Millis(8))).is_err());
        assert_eq!(dir.read().unwrap().unwrap().current_at, Millis(7));
    }
}
