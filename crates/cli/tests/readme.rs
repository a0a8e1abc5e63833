//! Every command in `README.md` is run, here or on a node (`tests/cluster/tests/on_the_node/readme.rs`), its YAML is checked, and
//! the links of all papers lead somewhere. A command that is not known here fails the test: say how to run it.

#[path = "../examples/backends.rs"]
#[expect(dead_code, reason = "of a program of its own")]
mod backends;
#[path = "examples/running.rs"]
#[expect(dead_code, reason = "the example tests use the rest of it")]
mod running;
#[path = "examples/walk.rs"]
#[expect(dead_code, reason = "the example tests use the rest of it")]
mod walk;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::Mode;
use walk::Walk;

/// How a command of the README is run here.
enum How<'a> {
    /// It is what runs this test.
    Myself,
    /// Servers, which the next `run` needs.
    Backends(&'a str),
    /// The data plane.
    Run(&'a str),
    /// A client of what runs.
    Client,
    /// The demo, with free ports and an end.
    Demo,
    /// Against a cluster: `tests/cluster/tests/on_the_node/readme.rs` runs those, on a node.
    Cluster,
    /// The binary, to its end.
    Forebay(Vec<&'a str>),
}

impl<'a> How<'a> {
    fn of(command: &'a str, is_for_a_cluster: bool) -> Self {
        if command == "cargo test --workspace" {
            return Self::Myself;
        }
        if let Some(servers) = command.strip_prefix("cargo run --example backends -- ") {
            return Self::Backends(servers);
        }
        if command.starts_with("curl ") {
            return Self::Client;
        }
        if command.starts_with("kubectl ") && is_for_a_cluster {
            return Self::Cluster;
        }
        let Some(args) = command.strip_prefix("cargo run --release -- ") else {
            panic!("nobody knows how to run `{command}`");
        };
        if let Some(args) = args.strip_prefix("run ") {
            return Self::Run(args);
        }
        let args: Vec<&str> = args.split(' ').collect();
        match args[..] {
            ["demo"] => Self::Demo,
            ["check" | "explain" | "crd", ..] => Self::Forebay(args),
            _ => panic!("nobody knows how to run `{command}`"),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("README.md")
}

fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    text.split(&start).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn forebay(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_forebay")).args(args).current_dir(root()).output().expect("forebay");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "forebay {}\n{said}", args.join(" "));
    said.into_owned()
}

#[tokio::test]
async fn every_command_works() {
    let readme = readme();
    // What the test on a node runs, too.
    let (_, section) = readme.split_once("\n## In a cluster\n").expect("the section");
    let on_the_node = blocks(section, "sh")[0].as_ptr();
    let mut commands = Vec::new();
    for block in blocks(&readme, "sh") {
        commands.extend(block.lines().map(|command| (command, How::of(command, block.as_ptr() == on_the_node))));
    }
    assert!(matches!(commands.first(), Some((_, How::Demo))), "the first command is the demo");
    let mut walk = Walk::of("quickstart");
    for (command, how) in commands {
        match how {
            How::Myself | How::Cluster => {}
            How::Backends(arguments) => walk.backends(arguments).await,
            How::Run(arguments) => walk.run(arguments).await,
            How::Client => walk.shell(&[command]).await,
            How::Demo => demo().await,
            How::Forebay(args) => drop(forebay(&args)),
        }
    }
}

/// Runs the demo on the documents it shows by default; it fails by itself when what it showed was wrong.
async fn demo() {
    let (config, servers) = running::lay_out("quickstart").await;
    for server in &servers {
        // The port stays reserved for the demo's own backend.
        server.set(Mode::Refuse).await;
    }
    let path = config.path().to_string_lossy().into_owned();
    let args = ["demo", "--for", "15s", "--http", "127.0.0.1:0", "--config", &path].map(str::to_owned);
    let shown = tokio::task::spawn_blocking(move || forebay(&args.each_ref().map(String::as_str))).await;
    assert!(shown.expect("the demo ends well").contains("curl http://"), "it says where to ask");
}

/// A reader may paste the group into a cluster: it must be accepted there.
#[test]
fn its_documents_are_valid() {
    let readme = readme();
    let blocks = blocks(&readme, "yaml");
    assert!(!blocks.is_empty());
    let dir = tempfile::tempdir().expect("a temporary directory");
    for block in blocks {
        let services = ["app", "app-standby"].map(|name| {
            format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: http, port: 80}}]}}\n")
        });
        let path = dir.path().join("readme.yaml");
        fs::write(&path, format!("{block}{}", services.concat())).expect("a file in a temporary directory");
        forebay(&["check", &path.to_string_lossy()]);
    }
}

#[test]
fn every_link_leads_somewhere() {
    let names = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let mut papers = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "bench/README.md"].map(str::to_owned).to_vec();
    papers.extend(names("docs").into_iter().map(|name| format!("docs/{name}")));
    papers.extend(names("examples").into_iter().map(|name| format!("examples/{name}/README.md")));
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for paper in papers {
        let path = root().join(&paper);
        for link in read(&path).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(target.exists(), "{paper} links to {link}");
            let is_there = |heading: &str| read(&target).lines().any(|line| anchor(line).as_deref() == Some(heading));
            assert!(heading.is_none_or(is_there), "{paper} links to {link}");
        }
    }
}

/// What a heading is linked by (GitHub's rule).
fn anchor(line: &str) -> Option<String> {
    let heading = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}
