//! Under load, with everything changing at once, no request fails: configuration, backends one by one, the process itself.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;
use testkit::{Client, Mode, Rig};
use tokio::{sync::watch, task::JoinSet};

/// Clients that ask as fast as they are answered, until told to stop.
struct Load {
    running: JoinSet<Vec<String>>,
    told: Arc<Told>,
    answered: Arc<watch::Sender<usize>>,
}

/// What the clients were told.
#[derive(Default)]
struct Told {
    /// To ask no more.
    stop: AtomicBool,
    /// That the process leaves: it may close an idle connection under a request that it has not read, and listens no more.
    leaves: AtomicBool,
}

const CLIENTS: usize = 8;

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (told, answered) = (Arc::<Told>::default(), Arc::new(watch::Sender::new(0)));
        let mut running = JoinSet::new();
        for n in 0..CLIENTS {
            running.spawn(client(address, n, told.clone(), answered.clone()));
        }
        Self { running, told, answered }
    }

    /// Returns once `count` more requests have been answered.
    async fn answers(&self, count: usize) {
        let mut answered = self.answered.subscribe();
        let goal = *answered.borrow() + count;
        // The sender lives in `self`, so the channel cannot close.
        let reached = answered.wait_for(|answered| *answered >= goal);
        let _ = testkit::patiently(&format!("{count} answers under load"), reached).await;
    }

    /// Stops, and fails the test if a request did.
    async fn finish(self) -> usize {
        self.told.stop.store(true, Ordering::Relaxed);
        let failures: Vec<String> = self.running.join_all().await.concat();
        assert!(failures.is_empty(), "{} requests failed: {:#?}", failures.len(), &failures[..failures.len().min(10)]);
        *self.answered.borrow()
    }
}

/// Requests on a connection that is kept for as long as the proxy keeps it. What failed, in words.
async fn client(
    address: SocketAddr,
    number: usize,
    told: Arc<Told>,
    answered: Arc<watch::Sender<usize>>,
) -> Vec<String> {
    let mut failures = Vec::new();
    let [stop, leaves] = [&told.stop, &told.leaves];
    'connections: while !stop.load(Ordering::Relaxed) {
        let stream = match tokio::net::TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(_) if leaves.load(Ordering::Relaxed) => break,
            Err(error) => {
                failures.push(format!("connecting: {error}"));
                break;
            }
        };
        let mut connection = Client::over(stream);
        for n in 0.. {
            let request = match (number + n) % 3 {
                0 => "PUT /bytes/3000 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
                1 => "GET /bytes/20000 HTTP/1.1\r\nHost: t\r\n\r\n",
                _ => "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
            };
            let outcome = match connection.try_send(request).await {
                Ok(()) => connection.try_response_to("GET").await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(response) if response.status == 200 && response.complete => {
                    answered.send_modify(|answered| *answered += 1);
                    let last = response.head.headers.has_token("connection", "close");
                    if last || stop.load(Ordering::Relaxed) {
                        continue 'connections;
                    }
                }
                Ok(response) => failures.push(format!("{} complete={}", response.status, response.complete)),
                Err(_) if n > 0 && leaves.load(Ordering::Relaxed) && connection.nothing_received() => {
                    continue 'connections;
                }
                Err(error) => {
                    failures.push(format!("request {n} of a connection: {error}"));
                    continue 'connections;
                }
            }
        }
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configuration_changes_lose_nothing() {
    let mut rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(4).start().await;
    let load = Load::start(rig.forebay.http(0));
    for round in 0..20 {
        load.answers(100).await;
        let method = ["RoundRobin", "LeastConn", "IPHash", "Random"][(round / 2) % 4];
        match round % 2 {
            0 => rig.reconfigure(json!({"method": {"type": method}, "keepalive": {"connections": round}})).await,
            _ => rig.keep_servers([[0, 1].as_slice(), &[1, 2, 3], &[0, 2]][round % 3]).await,
        }
    }
    load.answers(200).await;
    assert!(load.finish().await >= 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_restarted_one_by_one_lose_nothing() {
    let rig =
        Rig::of(env!("CARGO_BIN_EXE_forebay")).lines([(); 3].map(|()| json!({"failTimeout": "1s"}))).start().await;
    let load = Load::start(rig.forebay.http(0));
    for upstream in &rig.upstreams {
        load.answers(200).await;
        // As a well-behaved server stops: no new connections, what is in flight is finished, idle connections closed.
        upstream.set(Mode::Refuse).await;
        upstream.close_idle();
        upstream.wait_for("its connections to end", |record| record.open == 0).await;
        load.answers(200).await;
        upstream.set(Mode::Ok).await;
        let before = upstream.record().requests.len();
        upstream.wait_for("it to be used again", |record| record.requests.len() > before).await;
    }
    load.answers(200).await;
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_process_loses_nothing() {
    let mut rig = Rig::of(env!("CARGO_BIN_EXE_forebay")).servers(2).args(["--drain-delay", "500ms"]).start().await;
    let load = Load::start(rig.forebay.http(0));
    load.answers(500).await;
    load.told.leaves.store(true, Ordering::Relaxed);
    rig.forebay.signal("TERM").await;
    assert_eq!(rig.forebay.exited().await.code(), Some(0));
    load.finish().await;
}
