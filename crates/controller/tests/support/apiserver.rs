//! As much of an API server as is asked here: reviews of tokens, and objects with resource versions.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The server. What it does can be changed while it runs.
#[derive(Clone)]
pub struct ApiServer {
    pub address: SocketAddr,
    pub state: Arc<Mutex<State>>,
    /// While it is closed, requests wait.
    pub gate: watch::Sender<bool>,
    arrivals: watch::Sender<usize>,
}

pub struct State {
    /// Every request: method, path with query, body.
    pub requests: Vec<(Method, String, Value)>,
    /// Answers everything with this status instead.
    pub fault: Option<StatusCode>,
    /// And with this `Retry-After`.
    pub retry_after: Option<u64>,
    /// Tokens of these accounts are no longer good.
    pub revoked: Vec<String>,
    /// Whether it says for whom a token is.
    pub audience_aware: bool,
    /// By path.
    pub objects: BTreeMap<String, Value>,
    /// Changes of objects so far.
    pub version: u64,
}

impl Default for State {
    fn default() -> Self {
        let (requests, revoked, objects) = Default::default();
        Self { requests, fault: None, retry_after: None, revoked, audience_aware: true, objects, version: 0 }
    }
}

impl ApiServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
            gate: watch::Sender::new(true),
            arrivals: watch::Sender::new(0),
        };
        tokio::spawn(server.clone().serve(listener));
        server
    }

    pub fn client(&self) -> Client {
        let config = Config::new(format!("http://{}", self.address).parse().unwrap());
        controller::connect::client(config).unwrap()
    }

    /// How many requests came for a path that begins so.
    pub fn asked(&self, path: &str) -> usize {
        self.state.lock().requests.iter().filter(|(_, asked, _)| asked.starts_with(path)).count()
    }

    /// Returns when so many requests came, answered or not.
    pub async fn arrived(&self, requests: usize) {
        self.arrivals.subscribe().wait_for(|arrived| *arrived >= requests).await.unwrap();
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let server = self.clone();
            let service = service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, Infallible>(server.answer(request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let path = head.uri.path_and_query().unwrap().to_string();
        self.state.lock().requests.push((head.method.clone(), path, body.clone()));
        self.arrivals.send_modify(|arrived| *arrived += 1);
        let _ = self.gate.subscribe().wait_for(|open| *open).await;
        let mut state = self.state.lock();
        let (status, answer) = match state.fault {
            Some(fault) => (fault, status(fault, "ServiceUnavailable")),
            None if head.uri.path() == "/apis/authentication.k8s.io/v1/tokenreviews" => {
                (StatusCode::CREATED, state.review(&body))
            }
            None => state.object(&head.method, head.uri.path(), body),
        };
        let mut response = Response::builder().status(status).header("content-type", "application/json");
        if let Some(seconds) = state.retry_after {
            response = response.header("retry-after", seconds);
        }
        response.body(Full::from(answer.to_string())).unwrap()
    }
}

impl State {
    fn review(&self, review: &Value) -> Value {
        let token = review["spec"]["token"].as_str().unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let sub = claims["sub"].as_str().unwrap();
        let mut answer = review.clone();
        answer["status"] = if parts[2] != URL_SAFE_NO_PAD.encode("good") {
            json!({"user": {}, "error": "[invalid bearer token, square/go-jose: error in cryptographic primitive]"})
        } else if self.revoked.iter().any(|revoked| sub.ends_with(revoked)) {
            json!({"user": {}, "error": "[invalid bearer token, serviceaccounts \"web\" not found]"})
        } else {
            let mut user = json!({"username": sub, "groups": ["system:serviceaccounts"]});
            if let Some(pod) = claims["kubernetes.io"]["pod"]["name"].as_str() {
                user["extra"] = json!({"authentication.kubernetes.io/pod-name": [pod]});
            }
            let audiences = self.audience_aware.then_some(&review["spec"]["audiences"]);
            json!({"authenticated": true, "user": user, "audiences": audiences})
        };
        answer
    }

    fn object(&mut self, method: &Method, path: &str, mut body: Value) -> (StatusCode, Value) {
        let held = self.objects.get(path).map(|held| held["metadata"]["resourceVersion"].clone());
        let (at, code) = match (method.as_str(), held) {
            ("GET", Some(_)) => return (StatusCode::OK, self.objects[path].clone()),
            ("GET" | "PUT" | "PATCH", None) => {
                return (StatusCode::NOT_FOUND, status(StatusCode::NOT_FOUND, "NotFound"));
            }
            ("PUT", Some(version)) if body["metadata"]["resourceVersion"] == version => {
                (path.to_owned(), StatusCode::OK)
            }
            // What is applied is what there is: who owns what is the real one's business.
            ("PATCH", Some(_)) => (path.to_owned(), StatusCode::OK),
            ("PUT", Some(_)) => return (StatusCode::CONFLICT, status(StatusCode::CONFLICT, "Conflict")),
            ("POST", _) => {
                let at = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
                if self.objects.contains_key(&at) {
                    return (StatusCode::CONFLICT, status(StatusCode::CONFLICT, "AlreadyExists"));
                }
                (at, StatusCode::CREATED)
            }
            (method, _) => panic!("{method} {path}"),
        };
        self.version += 1;
        body["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(at, body.clone());
        (code, body)
    }
}

fn status(code: StatusCode, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": reason,
        "message": reason, "metadata": {}})
}
