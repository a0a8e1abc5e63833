//! HTTP/2 clients over TLS 1.3.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use config::Millis;
use feed::{Client, ClientOptions, Event, Scope, Versions};
use http::{Request, Response, StatusCode};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

pub type Body = BoxBody<Bytes, Infallible>;

/// Where a controller is and how it is known.
#[derive(Clone)]
pub struct Trust {
    pub address: SocketAddr,
    roots: RootCertStore,
    certificate: Option<Arc<(CertificateDer<'static>, PrivateKeyDer<'static>)>>,
}

/// A data plane on a connection.
pub struct DataPlane {
    pub machine: Client,
    pub sender: Sender<Bytes>,
    pub incoming: Incoming,
    /// What arrived with the last bytes and was not asked for yet.
    waiting: VecDeque<Event>,
}

impl Trust {
    pub fn new(address: SocketAddr, ca: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone()).unwrap();
        Self { address, roots, certificate: None }
    }

    pub fn with_certificate(mut self, certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Self {
        self.certificate = Some(Arc::new((certificate, key)));
        self
    }

    pub fn config(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match self.certificate.as_deref() {
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    pub async fn tls(&self) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let config = self.config(&[&rustls::version::TLS13]);
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    pub async fn connect(&self) -> SendRequest<Body> {
        self.connect_with_window(1 << 20).await.0
    }

    /// A client that takes so many bytes ahead, and the end of its connection.
    pub async fn connect_with_window(&self, bytes: u32) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
        self.try_connect(bytes).await.unwrap()
    }

    /// The same of a server that may cut it meanwhile.
    pub async fn try_connect(&self, bytes: u32) -> std::io::Result<(SendRequest<Body>, JoinHandle<hyper::Result<()>>)> {
        let io = TokioIo::new(self.tls().await?);
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.initial_stream_window_size(bytes).initial_connection_window_size((1 << 16) - 1);
        let (sender, connection) = http.handshake(io).await.map_err(std::io::Error::other)?;
        Ok((sender, tokio::spawn(connection)))
    }

    /// One request on a connection of its own: status, headers, body.
    pub async fn ask(&self, request: Request<Body>) -> (StatusCode, http::HeaderMap, String) {
        read(self.connect().await.send_request(request).await.unwrap()).await
    }

    /// A data plane that sent its `hello` and was answered.
    pub async fn subscribe(&self, token: Option<&str>, instance: &str, scope: Scope) -> DataPlane {
        self.try_subscribe(token, instance, scope).await.unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    pub async fn try_subscribe(
        &self,
        token: Option<&str>,
        instance: &str,
        scope: Scope,
    ) -> Result<DataPlane, (StatusCode, String)> {
        self.connect().await.subscribe(token, instance, scope).await
    }
}

/// What a connection is asked for.
pub trait Subscribe {
    fn subscribe(
        &mut self,
        token: Option<&str>,
        instance: &str,
        scope: Scope,
    ) -> impl Future<Output = Result<DataPlane, (StatusCode, String)>>;
}

impl Subscribe for SendRequest<Body> {
    async fn subscribe(
        &mut self,
        token: Option<&str>,
        instance: &str,
        scope: Scope,
    ) -> Result<DataPlane, (StatusCode, String)> {
        let silence = Millis::from_secs(35);
        let options =
            ClientOptions { instance: instance.into(), scope, protocol: Versions::OURS, silence, check: |_| Ok(()) };
        let mut machine = Client::new(options);
        machine.connect(Millis(0));
        let (sender, body) = Channel::new(64);
        let response = self.send_request(post("/feed/v1", "application/x-ndjson", token, body.boxed())).await;
        let response = response.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
        if response.status() != StatusCode::OK {
            let (status, _, text) = read(response).await;
            return Err((status, text));
        }
        let mut plane = DataPlane { machine, sender, incoming: response.into_body(), waiting: VecDeque::new() };
        plane.say().await;
        Ok(plane)
    }
}

impl DataPlane {
    /// Sends what the machine has to say.
    pub async fn say(&mut self) {
        while let Some(line) = self.machine.poll() {
            // The stream may be over meanwhile: what arrives says so.
            let _ = self.sender.send_data(line).await;
        }
    }

    /// The next event, or none of it if the next bytes bring none; `None` when the stream is over.
    pub async fn events(&mut self) -> Option<Vec<Event>> {
        if self.waiting.is_empty() {
            let frame = self.incoming.frame().await?.ok()?;
            self.waiting.extend(self.machine.receive(&frame.into_data().unwrap(), Millis(0)));
        }
        let event = self.waiting.pop_front();
        if let Some(Event::Commit(update)) = &event {
            self.machine.applied(update.receipt);
        }
        self.say().await;
        Some(event.into_iter().collect())
    }

    /// Goes on until `event`; panics if the stream ends before.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            let events = self.events().await.expect("the stream ended");
            if let Some(found) = events.iter().find_map(&mut wanted) {
                return found;
            }
        }
    }

    pub async fn synced(&mut self) {
        self.until(|event| matches!(event, Event::Synced).then_some(())).await;
    }

    /// The reason of the `bye`, and the time to come again within; the stream then ends.
    pub async fn bye(&mut self) -> (String, Millis) {
        let bye = |event: &Event| match event {
            Event::Bye { reason, within } => Some((reason.clone(), *within)),
            _ => None,
        };
        let found = self.until(bye).await;
        assert!(self.events().await.is_none(), "bye is the last line");
        found
    }

    pub fn groups(&self) -> Vec<String> {
        self.machine.resources().map(|(key, _, _)| key.to_string()).collect()
    }
}

pub fn get(path: &str, token: Option<&str>) -> Request<Body> {
    let request = Request::get(format!("https://localhost{path}"));
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.body(Empty::new().boxed()).unwrap()
}

pub fn post(path: &str, kind: &str, token: Option<&str>, body: Body) -> Request<Body> {
    let (mut head, _) = get(path, token).into_parts();
    head.method = http::Method::POST;
    head.headers.insert("content-type", kind.parse().unwrap());
    Request::from_parts(head, body)
}

pub fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

pub async fn read(response: Response<Incoming>) -> (StatusCode, http::HeaderMap, String) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}
