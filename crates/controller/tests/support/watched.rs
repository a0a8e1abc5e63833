//! An API server that plays a part: what one kind is answered, request by request, is written by the test. Other kinds have
//! no objects, and nothing happens to them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

type Body = BoxBody<Bytes, io::Error>;

/// The server, as the test sees it.
pub struct Played {
    pub client: Client,
    address: SocketAddr,
    stage: Arc<Stage>,
    server: JoinHandle<()>,
    /// The queries of the requests for the kind, so far.
    asked: watch::Receiver<Vec<String>>,
    replies: mpsc::UnboundedSender<Response<Body>>,
}

/// A watch that a client is in.
pub struct Watching(Sender<Bytes, io::Error>);

struct Stage {
    plural: &'static str,
    asked: watch::Sender<Vec<String>>,
    replies: Mutex<mpsc::UnboundedReceiver<Response<Body>>>,
}

impl Played {
    /// One that plays `plural`. A request for it waits for its answer.
    pub async fn start(plural: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let (replies, receiver) = mpsc::unbounded_channel();
        let (asked, is_asked) = watch::channel(Vec::new());
        let stage = Arc::new(Stage { plural, asked, replies: receiver.into() });
        let server = tokio::spawn(serve(stage.clone(), listener));
        Self { client: controller::connect::client(config).unwrap(), address, stage, server, asked: is_asked, replies }
    }

    /// Goes away, and its connections with it.
    pub async fn leave(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// Is where it was again.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.server = tokio::spawn(serve(self.stage.clone(), listener));
    }

    /// Answers a list; `next` is the token of the page after it.
    pub fn list(&self, version: u64, items: impl IntoIterator<Item = Value>, next: Option<&str>) {
        let items: Vec<_> = items.into_iter().collect();
        self.answer(StatusCode::OK, &list(version, &items, next));
    }

    /// Answers with an error.
    pub fn refuse(&self, code: u16, reason: &str) {
        self.answer(StatusCode::from_u16(code).unwrap(), &status(code, reason));
    }

    /// Lets a client into a watch.
    pub fn watch(&self) -> Watching {
        let (sender, body) = Channel::new(16);
        self.replies.send(Response::new(body.boxed())).unwrap();
        Watching(sender)
    }

    /// The query of the `nth` request, when it has come.
    pub async fn asked(&mut self, nth: usize) -> String {
        self.asked.wait_for(|asked| asked.len() > nth).await.unwrap()[nth].clone()
    }

    /// How many requests have come.
    pub fn count(&self) -> usize {
        self.asked.borrow().len()
    }

    fn answer(&self, code: StatusCode, value: &Value) {
        self.replies.send(answer(code, value)).unwrap();
    }
}

impl Watching {
    pub async fn tell(&mut self, kind: &str, object: &Value) {
        let line = json!({"type": kind, "object": object}).to_string() + "\n";
        self.0.send_data(line.into()).await.unwrap();
    }

    /// The server forgot where the client stood.
    pub async fn expire(&mut self) {
        self.tell("ERROR", &status(410, "too old resource version: 11 (30)")).await;
    }

    /// Ends as the API server does every few minutes.
    pub fn end(self) {
        drop(self.0);
    }

    /// Ends in the midst.
    pub fn cut(self) {
        self.0.abort(io::Error::other("cut"));
    }
}

async fn serve(stage: Arc<Stage>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let stage = stage.clone();
        let service = service_fn(move |request| {
            let stage = stage.clone();
            async move { Ok::<_, Infallible>(stage.answer(&request).await) }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl Stage {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        if request.uri().path().ends_with(self.plural) {
            self.asked.send_modify(|asked| asked.push(query));
            return self.replies.lock().await.recv().await.expect("the test goes on");
        }
        if query.contains("watch=true") {
            return Response::new(StreamBody::new(stream::pending::<io::Result<Frame<Bytes>>>()).boxed());
        }
        answer(StatusCode::OK, &list(1, &[], None))
    }
}

fn list(version: u64, items: &[Value], next: Option<&str>) -> Value {
    json!({
        "kind": "List", "apiVersion": "v1",
        "metadata": {"resourceVersion": version.to_string(), "continue": next}, "items": items,
    })
}

fn status(code: u16, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": "",
        "message": message,
    })
}

fn answer(code: StatusCode, value: &Value) -> Response<Body> {
    let body = Full::from(value.to_string()).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}
