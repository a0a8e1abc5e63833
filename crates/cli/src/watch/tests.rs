use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::options::ResolverArgs;

/// Only to fail rather than hang when a change is not noticed.
const PATIENCE: Duration = Duration::from_mins(1);

fn group(name: &str, port: u16) -> String {
    format!(
        "apiVersion: forebay.dev/v1alpha1\nkind: UpstreamGroup\nmetadata: {{name: {name}}}\n\
         spec: {{servers: [{{name: a, address: '127.0.0.1:{port}'}}]}}\n"
    )
}

/// The watch of one path, begun with what the path holds now.
struct Watched {
    files: Files,
}

impl Watched {
    async fn begin(path: &Path) -> Self {
        let (_, source) = opened(path).await;
        Self { files: source.watch() }
    }

    async fn next(&mut self) -> Load {
        tokio::time::timeout(PATIENCE, self.files.changed())
            .await
            .expect("a change is noticed")
            .expect("still watching")
    }

    /// The names of the groups of the next load that is not refused.
    async fn groups(&mut self) -> Vec<String> {
        loop {
            let load = self.next().await;
            if !load.is_refused() {
                return names(&load);
            }
        }
    }

    /// Waits for a load with exactly these groups: a burst may be seen in its midst.
    async fn until(&mut self, groups: &[&str]) {
        while self.groups().await != groups {}
    }
}

async fn opened(path: &Path) -> (Load, Source) {
    open(vec![path.to_owned()], translate::Options::for_files(Timestamp::now()), ResolverArgs::default().start()).await
}

fn names(load: &Load) -> Vec<String> {
    load.config.groups.keys().map(|id| id.name().to_owned()).collect()
}

#[tokio::test]
async fn a_file_written_in_place_and_one_renamed_over_it() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("app.yaml");
    fs::write(&file, group("one", 1)).unwrap();
    let mut watched = Watched::begin(&file).await;
    fs::write(&file, group("two", 1)).unwrap();
    watched.until(&["two"]).await;
    let beside = dir.path().join(".app.yaml.swp");
    fs::write(&beside, group("three", 1)).unwrap();
    fs::rename(&beside, &file).unwrap();
    watched.until(&["three"]).await;
}

#[tokio::test]
async fn files_that_appear_and_disappear() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.yaml"), group("a", 1)).unwrap();
    let mut watched = Watched::begin(dir.path()).await;
    fs::write(dir.path().join("b.yaml"), group("b", 1)).unwrap();
    watched.until(&["a", "b"]).await;
    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    watched.until(&["b"]).await;
}

/// What the kubelet does: files are symlinks through `..data`, which is swapped by a rename.
#[tokio::test]
async fn a_config_map_is_swapped() {
    let dir = TempDir::new().unwrap();
    let version = |name: &str, text: &str| {
        let version = dir.path().join(name);
        fs::create_dir(&version).unwrap();
        fs::write(version.join("app.yaml"), text).unwrap();
        symlink(name, dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
    };
    version("..2026_1", &group("one", 1));
    symlink("..data/app.yaml", dir.path().join("app.yaml")).unwrap();

    let mut of_directory = Watched::begin(dir.path()).await;
    let mut of_file = Watched::begin(&dir.path().join("app.yaml")).await;
    for (turn, name) in ["two", "three"].into_iter().enumerate() {
        version(&format!("..2026_{}", turn + 2), &group(name, 1));
        fs::remove_dir_all(dir.path().join(format!("..2026_{}", turn + 1))).unwrap();
        of_directory.until(&[name]).await;
        of_file.until(&[name]).await;
    }
}

#[tokio::test]
async fn a_directory_that_is_deleted_and_made_again() {
    let above = TempDir::new().unwrap();
    let dir = above.path().join("conf");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("a.yaml"), group("a", 1)).unwrap();
    let mut watched = Watched::begin(&dir).await;
    fs::remove_dir_all(&dir).unwrap();
    let gone = watched.next().await;
    assert!(gone.is_refused() || gone.config.groups.is_empty(), "{:?}", names(&gone));
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("b.yaml"), group("b", 1)).unwrap();
    watched.until(&["b"]).await;
}

#[tokio::test]
async fn a_bad_set_is_refused_whole_and_mended() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("app.yaml");
    fs::write(&file, group("one", 1)).unwrap();
    let mut watched = Watched::begin(dir.path()).await;
    fs::write(dir.path().join("bad.yaml"), group("two", 1).replace("servers", "srevers")).unwrap();
    let refused = watched.next().await;
    assert!(refused.is_refused());
    assert!(refused.diagnostics.iter().any(|diagnostic| diagnostic.location.is_some()), "{:?}", refused.diagnostics);
    fs::remove_file(dir.path().join("bad.yaml")).unwrap();
    assert_eq!(watched.groups().await, ["one"]);
}

#[tokio::test]
async fn what_is_no_different_is_not_handed_over_again() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("app.yaml");
    fs::write(&file, group("one", 1)).unwrap();
    let mut watched = Watched::begin(&file).await;
    fs::write(&file, format!("# a comment changes nothing\n{}", group("one", 1))).unwrap();
    watched.files.reload();
    fs::write(dir.path().join("other.txt"), "nor does a stranger").unwrap();
    let beside = dir.path().join("next");
    fs::write(&beside, group("two", 1)).unwrap();
    fs::rename(&beside, &file).unwrap();
    let load = watched.next().await;
    assert_eq!(names(&load), ["two"]);
}

#[tokio::test]
async fn asked_to_reload_a_bad_set_says_its_problems_again() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("app.yaml"), group("one", 1)).unwrap();
    let mut watched = Watched::begin(dir.path()).await;
    fs::write(dir.path().join("bad.yaml"), "kind: [").unwrap();
    let first = watched.next().await;
    assert!(first.is_refused());
    watched.files.reload();
    let again = watched.next().await;
    assert_eq!(again.diagnostics, first.diagnostics);
}

/// What changed between the caller's own load and the beginning of the watch is found by comparing revisions.
#[tokio::test]
async fn nothing_is_lost_before_the_watch_begins() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("app.yaml");
    fs::write(&file, group("one", 1)).unwrap();
    let (_, source) = opened(&file).await;
    fs::write(&file, group("two", 1)).unwrap();
    let mut watched = Watched { files: source.watch() };
    assert_eq!(watched.groups().await, ["two"]);
}

/// What is in force is the same, and what is said of it is not.
#[tokio::test]
async fn nothing_that_is_said_is_lost_before_the_watch_begins() {
    let dir = TempDir::new().unwrap();
    let secret = testkit::Authority::new().issue(&["shop.example"]).secret("shop");
    let ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop}\n\
                   spec: {tls: [{hosts: [shop.example], secretName: shop}], rules: [{host: shop.example}]}\n";
    fs::write(dir.path().join("shop.yaml"), ingress).unwrap();
    fs::write(dir.path().join("secret.yaml"), secret.to_string()).unwrap();
    let (before, source) = opened(dir.path()).await;
    fs::remove_file(dir.path().join("secret.yaml")).unwrap();
    let load = Watched { files: source.watch() }.next().await;
    assert!(load.diagnostics.iter().any(|said| said.code == "FB4007"), "{:?}", load.diagnostics);
    assert_eq!(load.config.certificates, before.config.certificates, "what it held is served on");
}

/// Nothing happens to the files: time passes. A machine that takes the whole time for the first reading says it at once.
#[tokio::test]
async fn a_certificate_expires() {
    let dir = TempDir::new().unwrap();
    let expiry = Timestamp::now() + Duration::from_secs(3);
    let secret = testkit::Authority::new().issue_until(&["shop.example"], expiry.into()).secret("shop");
    let ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop}\n\
                   spec: {tls: [{hosts: [shop.example], secretName: shop}], rules: [{host: shop.example}]}\n";
    fs::write(dir.path().join("shop.yaml"), format!("{ingress}---\n{secret}\n")).unwrap();
    let (mut load, source) = opened(dir.path()).await;
    let mut watched = Watched { files: source.watch() };
    let certificates = load.config.certificates.len();
    while load.diagnostics.iter().all(|diagnostic| diagnostic.code != "FB4012") {
        load = watched.next().await;
    }
    assert_eq!((certificates, load.config.certificates.len(), load.until), (1, 1, None), "{:?}", load.diagnostics);
}
