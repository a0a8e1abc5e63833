//! The commands of a README as its reader types them, one after the other: the example's backends, Forebay in front of them, and
//! what is asked of it. Each runs as it stands but for its ports, which are free ones.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Output, Stdio};

use tempfile::TempDir;
use testkit::{Address, Authority, Forebay, Mode, Upstream, patiently};
use tokio::process::Command;

use crate::{backends, running};

/// What is left running by the commands so far.
pub struct Walk {
    example: String,
    /// Where the examples' addresses are instead: as they are written, and as they are.
    moved: Vec<(SocketAddr, SocketAddr)>,
    /// Those that the README starts; where it starts none, nobody listens.
    upstreams: Vec<Upstream>,
    forebay: Option<Forebay>,
    /// Stands for `target/`, and holds the example's documents.
    files: TempDir,
}

impl Walk {
    /// Of a directory of `examples/`.
    pub fn of(example: &str) -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        // What the backends answer with an error fails the command, as it would a script.
        fs::write(files.path().join(".curlrc"), "fail\nsilent\nshow-error\n").expect("a file is written");
        let (moved, upstreams, forebay) = (Vec::new(), Vec::new(), None);
        Self { example: example.to_owned(), moved, upstreams, forebay, files }
    }

    /// `cargo run --example backends -- ARGUMENTS`
    pub async fn backends(&mut self, arguments: &str) {
        let arguments = self.here(arguments);
        let mut words = arguments.split(' ').map(str::to_owned).peekable();
        let tls: Vec<String> = words
            .next_if(|word| word == "--tls")
            .into_iter()
            .flat_map(|flag| [flag, words.next().expect("files")])
            .collect();
        for word in words {
            let (name, rest) = word.split_once('=').unwrap_or_else(|| panic!("no address in {word}"));
            let (ip, rest) = match rest.split_once(':') {
                Some((ip, rest)) if ip.contains('.') => (ip.parse().expect("an IP"), rest),
                _ => (IpAddr::V4(Ipv4Addr::LOCALHOST), rest),
            };
            let (port, how) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
            let shown = SocketAddr::new(ip, port.parse().expect("a port"));
            // Addresses that share a port go on to share one.
            let known = self.moved.iter().find(|(known, _)| known.port() == shown.port());
            let argument = format!("{name}={ip}:{}{how}", known.map_or(0, |(_, at)| at.port()));
            let started = backends::start(tls.iter().cloned().chain([argument])).await;
            for upstream in started.unwrap_or_else(|error| panic!("{word}: {error}")) {
                self.moved.push((shown, address(&upstream)));
                self.upstreams.push(upstream);
            }
        }
    }

    /// `cargo run --release -- run ARGUMENTS`
    pub async fn run(&mut self, arguments: &str) {
        let config = self.files.path().join("documents");
        fs::create_dir(&config).expect("a directory is made");
        for path in running::documents(&self.example) {
            let mut text = fs::read_to_string(&path).expect("an example can be read");
            for (_, address) in running::addresses(&text) {
                let shown = address.parse().unwrap_or_else(|_| panic!("{address} is no address"));
                if self.moved.iter().all(|(known, _)| *known != shown) {
                    let upstream = Upstream::start("absent").await;
                    upstream.set(Mode::Refuse).await;
                    self.moved.push((shown, self::address(&upstream)));
                    self.upstreams.push(upstream);
                }
            }
            for (shown, at) in &self.moved {
                text = text.replace(&shown.to_string(), &at.to_string());
                text = text.replace(&format!("port: {}\n", shown.port()), &format!("port: {}\n", at.port()));
            }
            fs::write(config.join(path.file_name().expect("a file has a name")), text).expect("a file is written");
        }
        let shown = format!("--config examples/{} ", self.example);
        let flags = arguments.strip_prefix(&shown).unwrap_or_else(|| panic!("{arguments} does not begin with {shown}"));
        let flags = self.here(&flags.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8443", "127.0.0.1:0"));
        let forebay = Forebay::run(env!("CARGO_BIN_EXE_forebay"), &config).args(flags.split(' '));
        self.forebay = Some(forebay.start().await);
    }

    /// Runs lines of a shell, all of which must succeed and print something; what a line leaves in the background, too.
    pub async fn shell(&self, lines: &[&str]) {
        let forebay = self.forebay.as_ref().unwrap_or_else(|| panic!("nothing runs before {lines:?}"));
        let mut script = self.here(&lines.join("\n")).replace("127.0.0.1:9901", &forebay.admin().to_string());
        if script.contains(":8443") {
            script = script.replace(":8443", &format!(":{}", forebay.https(0).port()));
        } else {
            script = script.replace("127.0.0.1:8080", &forebay.http(0).to_string());
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("set -e\n{script}\nwait")])
            .env("CURL_HOME", self.files.path())
            .stdin(Stdio::null());
        let Output { status, stdout, stderr } = patiently(&script, command.output()).await.expect("sh");
        assert!(status.success() && !stdout.is_empty(), "{script}\n{}", String::from_utf8_lossy(&stderr));
    }

    /// The certificates that openssl, and the documents that kubectl would make in `target/`, of an authority of the test's own.
    pub fn make(&self, host: &str) {
        let (authority, name) = (Authority::new(), host.split('.').next().expect("a label"));
        let pair = authority.issue(&[host]);
        let write =
            |file: String, text: &str| fs::write(self.files.path().join(file), text).expect("a file is written");
        write(format!("{name}.yaml"), &pair.secret(name).to_string());
        write(format!("{name}-ca.yaml"), &authority.object("ConfigMap", &format!("{name}-ca")).to_string());
        write(format!("{name}.key"), &pair.key);
        // Of a certificate that signed itself authority and chain are one.
        write(format!("{name}.crt"), &format!("{}{}", pair.chain, authority.pem()));
    }

    fn here(&self, text: &str) -> String {
        text.replace("target/", &format!("{}/", self.files.path().display()))
    }
}

fn address(upstream: &Upstream) -> SocketAddr {
    match upstream.address() {
        Address::Tcp(address) => *address,
        Address::Unix(path) => panic!("{} is no address of TCP", path.display()),
    }
}
