//! The demo as somebody plays with it: edits while it runs, and Ctrl-C. That it ends well by itself is shown by `readme.rs`.

#[path = "examples/running.rs"]
#[expect(dead_code, reason = "the example tests use the rest of it")]
mod running;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use testkit::{Client, Mode, Upstream, client::End, patiently};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

struct Demo {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Demo {
    fn start(config: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
        command.args(["demo", "--http", "127.0.0.1:0", "--config"]).arg(config).env_clear();
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("forebay can be started");
        let said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, said }
    }

    /// Waits for a line with this text, and returns it.
    async fn says(&mut self, text: &str) -> String {
        let mut before = Vec::new();
        patiently(&format!("the demo to say {text:?}"), async {
            while let Some(line) = self.said.next_line().await.expect("the demo prints text") {
                if line.contains(text) {
                    return line;
                }
                before.push(line);
            }
            panic!("the demo ended without {text:?}:\n{}", before.join("\n"))
        })
        .await
    }

    async fn interrupt(&self) {
        let pid = self.child.id().expect("the demo runs").to_string();
        let status = Command::new("sh").args(["-c", "kill -s INT \"$0\"", &pid]).status().await;
        assert!(status.is_ok_and(|status| status.success()));
    }

    async fn ended(&mut self) -> ExitStatus {
        patiently("the demo to end", self.child.wait()).await.expect("a child can be waited for")
    }
}

#[tokio::test]
async fn edits_are_picked_up_while_it_runs() {
    let (config, servers) = running::lay_out("quickstart").await;
    for server in &servers {
        // The port stays reserved for the demo's own backend.
        server.set(Mode::Refuse).await;
    }
    let mut demo = Demo::start(config.path());
    demo.says("every backend is up").await;
    let path = config.path().join("upstreamgroup.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("weight: 2", "weight: many")).unwrap();
    demo.says("your edit has problems").await;
    std::fs::write(&path, text.replace("  - name: two", "  - name: second")).unwrap();
    demo.says("your edit is in force").await;
    demo.says(" second ").await;
    demo.interrupt().await;
    demo.says(" requests answered, 0 lost").await;
    assert!(demo.ended().await.success());
}

#[tokio::test]
async fn an_interrupt_lets_requests_in_flight_finish() {
    let folder = tempfile::tempdir().unwrap();
    let server = Upstream::unix("one", folder.path().join("one.sock")).await;
    let path = folder.path().join("group.yaml");
    let group = format!(
        "apiVersion: forebay.dev/v1alpha1\nkind: UpstreamGroup\nmetadata: {{name: app}}\nspec:\n  servers: [{{name: one, \
         address: 'unix:{}'}}]\n",
        folder.path().join("one.sock").display()
    );
    std::fs::write(&path, group).unwrap();
    let mut demo = Demo::start(&path);
    let line = demo.says("curl http://").await;
    let address = line.split("curl http://").nth(1).and_then(|rest| rest.trim_end_matches('/').parse().ok());
    let address: SocketAddr = address.unwrap_or_else(|| panic!("no address in {line:?}"));
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\nX-Hold: mine\r\n\r\n").await;
    patiently("the request to be held", server.gate().held("mine")).await;
    // From its first request on it listens to signals.
    demo.says("one 1 up").await;
    demo.interrupt().await;
    patiently("the listener to close", async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.gate().release("mine");
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.end().await, End::Closed);
    demo.says(" requests answered").await;
    assert!(demo.ended().await.success());
}
