//! A data plane without workers: the client machine of the feed over TLS and HTTP/2, and the reports that a busy data plane
//! would send, by the product's own schedule.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use config::{Address, Config, GroupId, Millis};
use feed::frames::Leader;
use feed::report::{Delivered, Extent, Groups, Part, Report, Schedule};
use feed::{Client, ClientOptions, Event, Scope, Versions};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;

use crate::reporter::{Reporter, Reports, Shared, picture};

pub type Sender = SendRequest<BoxBody<Bytes, Infallible>>;

/// What all of them have in common.
pub struct Common {
    pub controller: SocketAddr,
    pub host: String,
    pub tls: Arc<ClientConfig>,
    pub began: Instant,
    /// One of so many groups has requests between two reports.
    pub one_busy_of: usize,
    /// What is waited for, and its number.
    pub wanted: watch::Receiver<(u64, Wanted)>,
    /// Who has it.
    pub seen: mpsc::UnboundedSender<Seen>,
    pub reports: Reports,
    pub picture: Shared,
}

/// What a commit is to contain.
#[derive(Clone, Debug)]
pub enum Wanted {
    Synced,
    Server(GroupId, Address),
    Servers(GroupId, usize),
    Hosts(usize),
}

/// One data plane has what was wanted.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub number: u64,
    /// The last bytes of it were read from the connection.
    pub arrived: Instant,
    /// The machine had the whole configuration ready to be put in force.
    pub committed: Instant,
}

struct Lines(mpsc::Receiver<Bytes>);

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

/// Lives until its task is dropped. Whatever goes wrong is a failure of the measurement.
pub async fn live(common: Arc<Common>, instance: String, token: String) {
    let mut connection = connect(&common).await;
    let (lines, body) = mpsc::channel(64);
    let response =
        post(&mut connection, &common, &token, "/feed/v1", "application/x-ndjson", Lines(body).boxed()).await;
    assert_eq!(response.status(), 200, "{instance} is not served");
    let machine = Client::new(ClientOptions {
        instance: instance.as_str().into(),
        scope: Scope::All,
        protocol: Versions::OURS,
        silence: Millis::from_secs(60),
        check: |_| Ok(()),
    });
    let plane = Plane {
        common,
        instance: instance.as_str().into(),
        token,
        machine,
        schedule: Schedule::default(),
        leads: false,
        reporter: Some(Reporter { connection: None, delivered: Delivered::default(), seq: 0 }),
        last: 0,
    };
    plane.converse(lines, response.into_body()).await;
}

struct Plane {
    common: Arc<Common>,
    instance: Arc<str>,
    token: String,
    machine: Client,
    schedule: Schedule,
    leads: bool,
    /// Not here while a report is on its way.
    reporter: Option<Reporter>,
    /// The number of what was seen last.
    last: u64,
}

impl Plane {
    async fn converse(mut self, lines: mpsc::Sender<Bytes>, mut incoming: Incoming) {
        self.machine.connect(self.now());
        let (back, mut returned) = mpsc::channel::<(Reporter, Option<Part>)>(1);
        loop {
            while let Some(line) = self.machine.poll() {
                lines.send(line).await.expect("the controller listens");
            }
            let due = self.schedule.due().filter(|_| self.machine.is_synced() && self.reporter.is_some());
            let wait = due.map(|due| Duration::from_millis(due.0.saturating_sub(self.now().0)));
            tokio::select! {
                frame = incoming.frame() => {
                    let frame = frame.expect("the stream goes on").expect("the connection holds");
                    self.take(&frame.into_data().unwrap_or_default());
                }
                Some((reporter, failed)) = returned.recv() => {
                    if let Some(part) = failed {
                        self.schedule.failed(part);
                    }
                    self.reporter = Some(reporter);
                }
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => self.report(&back),
            }
        }
    }

    fn take(&mut self, data: &[u8]) {
        let arrived = Instant::now();
        for event in self.machine.receive(data, self.now()) {
            match event {
                Event::Commit(update) => {
                    self.look(&update.config, arrived);
                    self.machine.applied(update.receipt);
                    self.schedule.changed(self.now(), rand::random());
                }
                Event::Synced => self.tell(arrived, |wanted| matches!(wanted, Wanted::Synced)),
                Event::Leads(leader) => self.follow(leader),
                Event::Welcomed { .. } => {}
                Event::Bye { reason, .. } => panic!("{}: bye: {reason}", self.instance),
                Event::Violated(violation) => panic!("{}: {violation}", self.instance),
            }
        }
    }

    fn follow(&mut self, leader: Option<Leader>) {
        let leads = leader.is_some_and(|leader| leader.address.is_some());
        if leads != self.leads {
            self.leads = leads;
            self.schedule.leader(leads, self.now(), rand::random());
        }
    }

    fn look(&mut self, config: &Config, arrived: Instant) {
        self.tell(arrived, |wanted| match wanted {
            Wanted::Synced => false,
            Wanted::Server(id, address) => {
                config.groups.get(id).is_some_and(|group| group.servers.iter().any(|one| one.address == *address))
            }
            Wanted::Servers(id, count) => config.groups.get(id).is_some_and(|group| group.servers.len() == *count),
            Wanted::Hosts(count) => config.routes.hosts.len() >= *count,
        });
    }

    fn tell(&mut self, arrived: Instant, is_there: impl FnOnce(&Wanted) -> bool) {
        let wanted = self.common.wanted.borrow();
        if wanted.0 != self.last && is_there(&wanted.1) {
            self.last = wanted.0;
            let _ = self.common.seen.send(Seen { number: wanted.0, arrived, committed: Instant::now() });
        }
    }

    fn report(&mut self, back: &mpsc::Sender<(Reporter, Option<Part>)>) {
        let Some(part) = self.schedule.take(self.now(), rand::random()) else { return };
        let Some(reporter) = self.reporter.take() else { return };
        let head = Report {
            instance: self.instance.clone(),
            epoch: 1,
            seq: 0,
            extent: Extent::Full,
            revision: self.machine.revision(),
            age: Millis(0),
            scope: Scope::All,
            zone: None,
            rejected: BTreeMap::new(),
            groups: Groups::new(),
        };
        let (now, common, token, back) =
            (picture(&self.machine, &self.common), self.common.clone(), self.token.clone(), back.clone());
        tokio::spawn(async move { drop(back.send(reporter.deliver(part, now, head, &common, &token).await).await) });
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.common.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

pub async fn connect(common: &Common) -> Sender {
    let tcp = TcpStream::connect(common.controller).await.expect("the controller listens");
    tcp.set_nodelay(true).expect("a socket");
    let host = rustls::pki_types::ServerName::try_from(common.host.clone()).expect("a name");
    let stream = TlsConnector::from(common.tls.clone()).connect(host, tcp).await.expect("TLS");
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1 << 20).initial_connection_window_size(2 << 20);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

pub async fn post(
    connection: &mut Sender,
    common: &Common,
    token: &str,
    path: &str,
    kind: &str,
    body: BoxBody<Bytes, Infallible>,
) -> Response<Incoming> {
    let request = Request::post(format!("https://{}{path}", common.host))
        .header("content-type", kind)
        .header("authorization", format!("Bearer {token}"))
        .body(body)
        .expect("a request");
    connection.ready().await.expect("the connection holds");
    connection.send_request(request).await.expect("an answer")
}
