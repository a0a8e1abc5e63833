//! From paths to documents: what `--config PATH...` and `check PATH...` name. Everything that reads files reads them here.
//!
//! A directory stands for its `*.yaml`, `*.yml` and `*.json` files in the order of their names, as for `kubectl apply -f`:
//! not those of directories within, and nothing hidden, so that a mounted ConfigMap (whose files are links through the hidden
//! `..data`) is read once. `-` is standard input. A file named twice is read once.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Code, Diagnostic, Severity};
use translate::document::{self, Documents, SourceFile};

/// A file or directory cannot be read.
const UNREADABLE: Code = "FB6001";
/// A file is not UTF-8.
pub const NOT_UTF8: Code = "FB6002";
/// A directory without documents.
pub const NO_FILES: Code = "FB6003";

/// No document at all.
pub const NOTHING: Code = "FB6004";

/// More than any set of documents; what is longer is a device or a mistake.
const MAX_BYTES: u64 = 256 << 20;

const NO_FILE: &str = "it is no regular file; standard input is named -";

/// The files behind paths.
#[derive(Debug, Default)]
pub struct Found {
    /// Each once, in the order they are read.
    pub files: Vec<PathBuf>,
    /// The paths that lead nowhere.
    pub diagnostics: Vec<Diagnostic>,
}

/// Finds the files behind `paths`.
pub fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    for path in paths {
        let files = if path.is_dir() { list(path) } else { Ok(vec![path.clone()]) };
        match files {
            Ok(files) if files.is_empty() => {
                let message = "has no *.yaml, *.yml or *.json files";
                found.diagnostics.push(problem(NO_FILES, Severity::Warning, path, message));
            }
            Ok(files) => {
                let new = files.into_iter().filter(|file| seen.insert(file.canonicalize().unwrap_or(file.clone())));
                found.files.extend(new);
            }
            Err(error) => found.diagnostics.push(unreadable(path, &error)),
        }
    }
    found
}

/// Reads every document behind `paths`. Never fails: what is wrong is among the diagnostics.
pub fn read(paths: &[PathBuf]) -> Documents {
    read_in(paths, "default")
}

/// As [`read`]; objects that name no namespace are in `namespace`.
pub fn read_in(paths: &[PathBuf], namespace: &str) -> Documents {
    let Found { files, mut diagnostics } = find(paths);
    let mut sources = Vec::new();
    for path in &files {
        match read_bytes(path) {
            Err(error) => diagnostics.push(unreadable(path, &error)),
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => sources.push(SourceFile { name: name(path), text }),
                Err(error) => {
                    let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                    let message = format!("is not UTF-8 in line {}", valid.split(|b| *b == b'\n').count());
                    diagnostics.push(problem(NOT_UTF8, Severity::Error, path, &message));
                }
            },
        }
    }
    let mut documents = document::read_in(&sources, namespace);
    diagnostics.append(&mut documents.diagnostics);
    // Where reading failed, that is what is wrong.
    let is_read = diagnostics.iter().all(|diagnostic| diagnostic.severity < Severity::Error);
    if is_read && documents.objects.is_empty() {
        diagnostics.push(nothing(paths));
    }
    Documents { diagnostics, ..documents }
}

/// Whether it is said that some could not be read.
pub fn are_unread(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.code == UNREADABLE)
}

fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in directory.read_dir()? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_document =
            path.extension().and_then(OsStr::to_str).is_some_and(|it| matches!(it, "yaml" | "yml" | "json"));
        if !hidden && is_document && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if is_standard_input(path) {
        io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        // Opening a pipe waits for somebody who writes it.
        if !path.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, NO_FILE));
        }
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn name(path: &Path) -> Arc<str> {
    if is_standard_input(path) { "(standard input)".into() } else { path.display().to_string().into() }
}

/// An empty set is a mistake: a mount that came late, a directory that was cleared. nginx refuses an empty `upstream {}`, too.
fn nothing(paths: &[PathBuf]) -> Diagnostic {
    let paths: Vec<_> = paths.iter().map(|path| name(path)).collect();
    let message = format!("{}: no document of a kind that Forebay reads", paths.join(", "));
    Diagnostic::new(NOTHING, Severity::Error, message)
        .hint("name files or directories with an UpstreamGroup or an Ingress")
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    problem(UNREADABLE, Severity::Error, path, &format!("cannot be read: {error}"))
}

/// A problem of a whole file, which is named in the message: no line of it is to be shown.
fn problem(code: Code, severity: Severity, path: &Path, message: &str) -> Diagnostic {
    Diagnostic::new(code, severity, format!("{} {message}", name(path)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: app}\n";

    fn codes(documents: &Documents) -> Vec<Code> {
        documents.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
    }

    #[test]
    fn a_mounted_config_map_is_read_once() {
        let mount = tempfile::tempdir().unwrap();
        let version = mount.path().join("..2026_03_01");
        fs::create_dir(&version).unwrap();
        fs::write(version.join("app.yaml"), SERVICE).unwrap();
        symlink("..2026_03_01", mount.path().join("..data")).unwrap();
        symlink("..data/app.yaml", mount.path().join("app.yaml")).unwrap();

        let documents = read(&[mount.path().to_owned()]);
        assert_eq!((documents.objects.services.len(), codes(&documents)), (1, vec![]));
        // Named a second time.
        let documents = read(&[mount.path().to_owned(), mount.path().join("app.yaml")]);
        assert_eq!((documents.objects.services.len(), codes(&documents)), (1, vec![]));
    }

    #[test]
    fn a_directory_stands_for_its_documents() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| fs::write(folder.path().join(name), SERVICE).unwrap();
        for name in ["b.yml", "a.yaml", "c.json", "notes.txt", ".hidden.yaml"] {
            write(name);
        }
        fs::create_dir(folder.path().join("within.yaml")).unwrap();
        let found = find(&[folder.path().to_owned()]);
        let names: Vec<_> = found.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.yaml", "b.yml", "c.json"]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(codes(&read(&[folder.path().to_owned()])), [NO_FILES, NOTHING]);
        assert_eq!(codes(&read(&[folder.path().join("missing.yaml")])), [UNREADABLE]);
        for nothing in
            ["", "# a comment\n", "---\n", "apiVersion: v1\nkind: Pod\n", "apiVersion: v1\nkind: List\nitems: []\n"]
        {
            let path = folder.path().join("nothing.yaml");
            fs::write(&path, nothing).unwrap();
            let codes = codes(&read(std::slice::from_ref(&path)));
            assert_eq!(codes.iter().filter(|code| **code == NOTHING).count(), 1, "{nothing}: {codes:?}");
        }
        let pipe = folder.path().join("pipe.yaml");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // The empty file beside it is no reason to say more.
        for paths in [&pipe, folder.path()] {
            let documents = read(&[paths.to_owned()]);
            assert_eq!(codes(&documents)[..1], [UNREADABLE]);
            assert!(documents.diagnostics[0].message.ends_with(NO_FILE), "{}", documents.diagnostics[0].message);
        }
        let latin = folder.path().join("latin.yaml");
        fs::write(&latin, b"a: b\nname: caf\xe9\n").unwrap();
        let documents = read(&[latin]);
        assert_eq!(codes(&documents), [NOT_UTF8]);
        assert!(documents.diagnostics[0].message.ends_with("latin.yaml is not UTF-8 in line 2"));
    }
}
