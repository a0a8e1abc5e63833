//! Every command in `README.md` is run, its YAML is checked, and its links lead somewhere. A command that is not known here
//! fails the test: say how to run it.

#[path = "examples/running.rs"]
#[expect(dead_code, reason = "the example tests use the rest of it")]
mod running;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use running::Example;
use testkit::Mode;

/// How a command of the README is run here.
enum How<'a> {
    /// It is what runs this test.
    Myself,
    /// Servers, which the next `run` needs.
    Backends(&'a str),
    /// The data plane, with free ports instead of the shown ones.
    Run(Vec<&'a str>),
    /// A client of what runs.
    Curl(&'a str),
    /// The demo, with free ports and an end.
    Demo,
    /// Against a cluster: `tests/cluster/tests/on_the_node/readme.rs` runs those, on a node.
    Cluster,
    /// The binary, to its end.
    Forebay(Vec<&'a str>),
}

impl<'a> How<'a> {
    fn of(command: &'a str) -> Self {
        if command == "cargo test --workspace" {
            return Self::Myself;
        }
        if let Some(servers) = command.strip_prefix("cargo run --example backends -- ") {
            return Self::Backends(servers);
        }
        if let Some(url) = command.strip_prefix("curl ") {
            return Self::Curl(url);
        }
        if command.starts_with("kubectl ") {
            return Self::Cluster;
        }
        let args: Vec<&str> = match command.strip_prefix("cargo run --release -- ") {
            Some(args) => args.split(' ').collect(),
            None => panic!("nobody knows how to run `{command}`"),
        };
        match args[..] {
            ["run", ..] => Self::Run(args),
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
    let commands: Vec<&str> = blocks(&readme, "sh").into_iter().flat_map(str::lines).collect();
    assert_eq!(commands.first(), Some(&"cargo run --release -- demo"), "the first command is the demo");
    let (mut servers, mut running) = ("", None);
    for command in commands {
        match How::of(command) {
            How::Myself | How::Cluster => {}
            How::Backends(names) => servers = names,
            How::Run(args) => running = Some(run(&args, servers).await),
            How::Curl(url) => curl(running.as_ref().expect("something runs"), url).await,
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

/// Starts the example whose directory `run` is given, with the servers that were named.
async fn run(args: &[&str], servers: &str) -> Example {
    let ["run", "--config", config, "--http", "127.0.0.1:8080"] = args else { panic!("unexpected flags: {args:?}") };
    let name = config.strip_prefix("examples/").unwrap_or_else(|| panic!("{config} is no example"));
    let example = Example::start_with(name, &["--http", "127.0.0.1:0"]).await;
    let named: Vec<&str> = servers.split(' ').filter_map(|server| server.split('=').next()).collect();
    let expected: Vec<&str> = example.servers.iter().map(testkit::Upstream::name).collect();
    assert_eq!(named, expected, "the backends that the README starts");
    example
}

async fn curl(example: &Example, url: &str) {
    let http = example.forebay.http(0).to_string();
    let admin = example.forebay.admin().to_string();
    let url = url.replace("127.0.0.1:8080", &http).replace("127.0.0.1:9901", &admin);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", &url]);
    let output = tokio::task::spawn_blocking(move || curl.output()).await.expect("a task ends").expect("curl");
    assert!(output.status.success(), "curl {url}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty(), "curl {url} printed nothing");
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
    for paper in ["README.md", "CONTRIBUTING.md", "docs/from-nginx.md", "docs/troubleshooting.md"] {
        let path = root().join(paper);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{paper}: {error}"));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let target = path.with_file_name(link);
            assert!(link.starts_with("https://") || target.exists(), "{paper} links to {link}");
        }
    }
}
