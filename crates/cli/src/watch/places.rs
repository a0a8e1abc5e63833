//! Where changes show, and which of them are ours.
//!
//! Directories are watched, never files: an editor replaces a file by renaming another over it, and the kubelet swaps a
//! ConfigMap by renaming the symlink `..data`; both happen in the directory. What else happens there is not ours to read about:
//! an access log beside the configuration is written with every request.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tracing::warn;

use crate::documents;

/// Links in a row that are followed; the kernel gives up at 40 (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// What the files look like from outside: how long each is, and when it was written last.
pub(super) type Stamps = Vec<(PathBuf, Option<(u64, SystemTime)>)>;

/// The watches of one round.
pub(super) struct Watching(#[allow(dead_code, reason = "held for its Drop")] Option<RecommendedWatcher>);

/// Where changes of some paths show.
#[derive(Debug, Default)]
struct Places {
    /// The one each path stands in (of a path that does not exist, the nearest above that does), each that is a directory, and
    /// those that hold the links on the way to them and to their files.
    directories: BTreeSet<PathBuf>,
    /// Every file that is read, and what its links lead through.
    files: BTreeSet<PathBuf>,
}

/// Looks at the files behind `paths`.
pub(super) fn stamps(paths: &[PathBuf]) -> Stamps {
    let stamp = |file: PathBuf| {
        let found = file.metadata().and_then(|found| Ok((found.len(), found.modified()?))).ok();
        (file, found)
    };
    documents::find(paths).files.into_iter().map(stamp).collect()
}

impl Watching {
    /// From now on `noticed` is told of changes.
    pub(super) fn begin(paths: &[PathBuf], noticed: &Arc<Notify>) -> Self {
        let Places { directories, files } = Places::of(paths);
        let notify = noticed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may be a change that got lost.
            if event.is_ok_and(|event| is_foreign(&event, &files)) {
                return;
            }
            notify.notify_one();
        });
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => {
                warn!("changes of the configuration will not be noticed, only SIGHUP reloads it: {error}");
                return Self(None);
            }
        };
        for directory in directories {
            if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
                warn!("changes in {} will not be noticed: {error}", directory.display());
            }
        }
        Self(Some(watcher))
    }
}

impl Places {
    fn of(paths: &[PathBuf]) -> Self {
        let mut places = Self::default();
        for path in paths {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            places.directories.extend(path.ancestors().skip(1).find(|above| above.is_dir()).map(Path::to_owned));
            places.add_links(&path, &mut { MOST_LINKS });
            if path.is_dir() {
                places.directories.insert(path);
            }
        }
        for file in documents::find(paths).files {
            let file = std::path::absolute(&file).unwrap_or(file);
            places.add_links(&file, &mut { MOST_LINKS });
            places.files.insert(file);
        }
        places
    }

    /// The links on the way to `path`, it and the directories above it included, and what they lead to.
    fn add_links(&mut self, path: &Path, left: &mut usize) {
        for link in path.ancestors() {
            let (Ok(target), Some(holder)) = (link.read_link(), link.parent()) else { continue };
            let Some(less) = left.checked_sub(1) else { return };
            *left = less;
            let target = holder.join(target);
            // A link is swapped where it stands.
            self.directories.insert(holder.to_owned());
            if link == path {
                self.directories.extend(target.parent().filter(|holder| holder.is_dir()).map(Path::to_owned));
                self.files.insert(target.clone());
            }
            self.add_links(&target, left);
        }
    }
}

/// Whether an event cannot have changed what is read. Names that come and go may be ours in any case: files that are read from
/// then on, links, directories on the way.
fn is_foreign(event: &Event, files: &BTreeSet<PathBuf>) -> bool {
    match event.kind {
        // Reading a file is an event, too.
        EventKind::Access(_) => true,
        EventKind::Modify(ModifyKind::Data(_)) => {
            !event.need_rescan() && !event.paths.iter().any(|path| files.contains(path))
        }
        EventKind::Modify(_) | EventKind::Any | EventKind::Create(_) | EventKind::Remove(_) | EventKind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use notify::event::{CreateKind, DataChange, MetadataKind, RenameMode};
    use tempfile::TempDir;

    use super::*;

    fn event(kind: EventKind, path: &Path) -> Event {
        Event::new(kind).add_path(path.to_owned())
    }

    #[test]
    fn what_is_written_beside_the_configuration_is_not_ours() {
        let dir = TempDir::new().unwrap();
        let (file, log) = (dir.path().join("app.yaml"), dir.path().join("access.log"));
        fs::write(&file, "").unwrap();
        let files = Places::of(&[dir.path().to_owned()]).files;
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(is_foreign(&event(written, &log), &files));
        assert!(!is_foreign(&event(written, &file), &files));
        for kind in [
            EventKind::Create(CreateKind::File),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
        ] {
            assert!(!is_foreign(&event(kind, &dir.path().join("new.yaml")), &files), "{kind:?}");
        }
    }

    /// A release that is put in place by a link, as deployments do it.
    #[tokio::test]
    async fn a_link_above_a_file_is_ours() {
        let dir = TempDir::new().unwrap();
        for version in ["1", "2"] {
            fs::create_dir_all(dir.path().join(version).join("conf")).unwrap();
            fs::write(dir.path().join(version).join("conf/app.yaml"), version).unwrap();
        }
        let swap = |name: &str, to: &str| {
            symlink(to, dir.path().join("next")).unwrap();
            fs::rename(dir.path().join("next"), dir.path().join(name)).unwrap();
        };
        swap("current", "1");
        // Two links in a row.
        swap("live", "current");
        let noticed = Arc::new(Notify::new());
        let _watching = Watching::begin(&[dir.path().join("live/conf/app.yaml")], &noticed);
        swap("current", "2");
        // Only to fail rather than hang.
        tokio::time::timeout(Duration::from_mins(1), noticed.notified()).await.expect("it is noticed");
    }

    /// As a mounted `ConfigMap` is: the file that is written stands two links behind the one that is named.
    #[tokio::test]
    async fn a_file_behind_links_is_ours() {
        let dir = TempDir::new().unwrap();
        let version = dir.path().join("..1");
        fs::create_dir(&version).unwrap();
        fs::write(version.join("app.yaml"), "a").unwrap();
        symlink("..1", dir.path().join("..data")).unwrap();
        symlink("..data/app.yaml", dir.path().join("app.yaml")).unwrap();
        let noticed = Arc::new(Notify::new());
        let _watching = Watching::begin(&[dir.path().to_owned()], &noticed);
        let mut file = OpenOptions::new().append(true).open(version.join("app.yaml")).unwrap();
        file.write_all(b"b").unwrap();
        // Only to fail rather than hang.
        tokio::time::timeout(Duration::from_mins(1), noticed.notified()).await.expect("it is noticed");
    }
}
