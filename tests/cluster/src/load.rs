//! Clients that never rest: what a change costs the requests under way. One request after the other, each of which must be
//! answered with 200; and what was answered, by its first word, which is the name of the pod.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::Forebay;
use crate::forebay::HTTP;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// `Connection: close`
    is_last: bool,
}

/// Clients that send one request after the other.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    clients: Vec<JoinHandle<Served>>,
}

/// What clients were answered.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// How often a request was sent.
    pub requests: usize,
    /// How often each first word of a body was heard.
    pub by: BTreeMap<String, usize>,
    /// Another status than 200.
    pub refused: Vec<String>,
    /// No answer: the connection was refused, or broke, or nothing came in 30 s.
    pub cut: Vec<String>,
}

/// Whether a connection is used for one request or for as many as it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    New,
    Kept,
}

/// `GET` on a connection of its own.
///
/// # Errors
/// There is no answer.
pub async fn get(address: SocketAddr, path: &str, host: &str) -> Result<Answer, String> {
    request("GET", address, path, host).await
}

/// A request without a body, on a connection of its own.
///
/// # Errors
/// There is no answer.
pub async fn request(method: &str, address: SocketAddr, path: &str, host: &str) -> Result<Answer, String> {
    Client::of(address, None).ask(method, path, host, Connections::New).await
}

impl Load {
    /// Two clients for each data plane, with a new connection for every request.
    pub fn start(data_planes: &[&Forebay], host: &'static str) -> Self {
        let addresses = data_planes.iter().flat_map(|one| [one.port(HTTP); 2]);
        Self::of(addresses.map(|address| (address, Connections::New)), host, Duration::from_millis(5))
    }

    /// A client for each of these, which rests so long after an answer: enough is asked to be seen, and not all of the machine.
    pub fn of(
        clients: impl IntoIterator<Item = (SocketAddr, Connections)>,
        host: &'static str,
        rest: Duration,
    ) -> Self {
        Self::by(clients, None, host, rest)
    }

    /// The same over TLS: a handshake that fails is a request without an answer.
    pub fn over_tls(
        clients: impl IntoIterator<Item = (SocketAddr, Connections)>,
        tls: &Arc<ClientConfig>,
        host: &'static str,
        rest: Duration,
    ) -> Self {
        Self::by(clients, Some(tls), host, rest)
    }

    fn by(
        clients: impl IntoIterator<Item = (SocketAddr, Connections)>,
        tls: Option<&Arc<ClientConfig>>,
        host: &'static str,
        rest: Duration,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let start = |(address, kind)| {
            let client = Client::of(address, tls.cloned());
            tokio::spawn(ask_on(client, host, kind, rest, stopped.clone()))
        };
        Self { stop, clients: clients.into_iter().map(start).collect() }
    }

    /// Ends it; every request had a 200.
    ///
    /// # Panics
    /// When one had not, or nothing was asked.
    pub async fn end(self) -> Served {
        let served = self.end_whatever_came().await;
        let failed: Vec<_> = served.refused.iter().chain(&served.cut).collect();
        let shown = &failed[..failed.len().min(5)];
        assert!(failed.is_empty(), "{} of {} requests failed: {shown:?}", failed.len(), served.requests);
        served
    }

    /// Ends it.
    ///
    /// # Panics
    /// When nothing was asked.
    pub async fn end_whatever_came(self) -> Served {
        self.stop.send_replace(true);
        let mut total = Served::default();
        for client in self.clients {
            let served = client.await.expect("a client");
            assert!(served.requests > 0, "nothing was asked");
            total.add(served);
        }
        total
    }
}

impl Served {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.refused.extend(other.refused);
        self.cut.extend(other.cut);
        for (word, times) in other.by {
            *self.by.entry(word).or_default() += times;
        }
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests", self.requests)
    }
}

async fn ask_on(
    mut client: Client,
    host: &str,
    connections: Connections,
    rest: Duration,
    stopped: watch::Receiver<bool>,
) -> Served {
    let mut served = Served::default();
    let began = Instant::now();
    while !*stopped.borrow() {
        served.requests += 1;
        match client.ask("GET", "/", host, connections).await {
            Ok(Answer { status: 200, body, .. }) => {
                let word = body.split(' ').next().unwrap_or_default();
                *served.by.entry(word.to_owned()).or_default() += 1;
            }
            Ok(Answer { status, body, .. }) => {
                served.refused.push(format!("{status} {body:?} at {:?}", began.elapsed()));
            }
            Err(error) => served.cut.push(format!("{error} at {:?}", began.elapsed())),
        }
        tokio::time::sleep(rest).await;
    }
    served
}

/// A connection, plain or over TLS.
trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

type Stream = BufStream<Box<dyn Wire>>;

struct Client {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    stream: Option<Stream>,
}

impl Client {
    fn of(address: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { address, tls: tls.map(TlsConnector::from), stream: None }
    }

    async fn connect(&self, host: &str) -> std::io::Result<Stream> {
        let stream = TcpStream::connect(self.address).await?;
        let Some(tls) = &self.tls else { return Ok(BufStream::new(Box::new(stream))) };
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        Ok(BufStream::new(Box::new(tls.connect(name, stream).await?)))
    }

    async fn ask(&mut self, method: &str, path: &str, host: &str, connections: Connections) -> Result<Answer, String> {
        let close = if connections == Connections::New { "Connection: close\r\n" } else { "" };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n");
        let asking = async {
            if let Some(stream) = self.stream.take()
                && let Some(answer) = self.exchange(stream, &request).await?
            {
                return Ok(answer);
            }
            // None yet; or it was closed while idle, which is no answer to what was sent on it (RFC 9110, section 9.2.2).
            let stream = self.connect(host).await?;
            self.exchange(stream, &request).await?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
        };
        let answer = tokio::time::timeout(Duration::from_secs(30), asking).await;
        answer.map_err(|_| "no answer in 30 s".to_owned())?.map_err(|error: std::io::Error| error.to_string())
    }

    /// `None` if the connection ended before anything was answered.
    async fn exchange(&mut self, mut stream: Stream, request: &str) -> std::io::Result<Option<Answer>> {
        let sent = async { stream.write_all(request.as_bytes()).await.and(stream.flush().await) }.await;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match stream.read_line(&mut head).await {
                Ok(0) | Err(_) if head.is_empty() => return Ok(None),
                Ok(0) => return Err(std::io::Error::other(format!("cut: {head:?}"))),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        sent?;
        let head = head.to_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status: {head:?}")))?;
        let is_last = field("connection:") == Some("close");
        let mut body = Vec::new();
        match field("content-length:").and_then(|length| length.parse().ok()) {
            Some(length) => {
                body.resize(length, 0);
                stream.read_exact(&mut body).await?;
            }
            None => drop(stream.read_to_end(&mut body).await?),
        }
        let answer = Answer { status, body: String::from_utf8_lossy(&body).trim().to_owned(), is_last };
        if !answer.is_last {
            self.stream = Some(stream);
        }
        Ok(Some(answer))
    }
}
