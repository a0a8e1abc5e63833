//! One connection of a scripted controller: HTTP/2, the feed, the reports.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use feed::{Grant, Namespaces, PrivateKeys, Subscriber};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;

use super::{Manner, Shared};

/// A response that goes on while its sender lives.
pub(super) struct Lines(mpsc::Receiver<Bytes>);

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

pub(super) async fn connection(shared: &Arc<Shared>, stream: TlsStream<TcpStream>) {
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(shared, request).await) }
    });
    let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    let (mut serving, mut frozen) = (pin!(serving), shared.frozen.subscribe());
    loop {
        // Who is cut off is not polled: nothing is read and nothing is written.
        let _ = frozen.wait_for(|frozen| !frozen).await;
        tokio::select! {
            // How it ended is the data plane's business.
            _ = serving.as_mut() => return,
            _ = frozen.wait_for(|frozen| *frozen) => {}
        }
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Lines> {
    let (head, incoming) = request.into_parts();
    if let Some(value) = head.headers.get("authorization").and_then(|value| value.to_str().ok()) {
        shared.note(|seen| seen.authorizations.push(value.to_owned()));
    }
    let manner = shared.manner.lock().clone();
    let (sender, lines) = mpsc::channel(16);
    let respond = |status: u16, lines| {
        let mut response = Response::new(Lines(lines));
        *response.status_mut() = status.try_into().expect("a status");
        response
    };
    match (head.uri.path(), manner) {
        (_, Manner::Refuse(status, text)) => {
            let _ = sender.try_send(Bytes::from_static(text.as_bytes()));
            respond(status, lines)
        }
        ("/feed/v1", manner) => {
            shared.note(|seen| seen.streams += 1);
            tokio::spawn(stream(shared, manner, incoming, sender));
            respond(200, lines)
        }
        ("/report/v1", manner) => {
            let body = incoming.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let report: Value = serde_json::from_slice(&body).expect("a report is JSON");
            shared.note(|seen| seen.reports.push(report));
            if manner == Manner::Silent {
                std::future::pending::<()>().await;
            }
            respond(204, lines)
        }
        (_, _) => respond(404, lines),
    }
}

async fn stream(shared: Arc<Shared>, manner: Manner, incoming: Incoming, sender: mpsc::Sender<Bytes>) {
    let say = async |text: &[u8]| sender.send(Bytes::copy_from_slice(text)).await;
    match manner {
        Manner::Serve => feed(&shared, incoming, &sender).await,
        Manner::Say(text) => {
            let _ = say(&text).await;
            sender.closed().await;
        }
        Manner::Trickle => {
            while say(b" ").await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        }
        Manner::Silent | Manner::Mute | Manner::Refuse(..) => sender.closed().await,
    }
}

async fn feed(shared: &Shared, mut incoming: Incoming, sender: &mpsc::Sender<Bytes>) {
    let grant = Grant { namespaces: Namespaces::All, private_keys: PrivateKeys::Allowed, instance: None };
    let mut subscriber = Subscriber::new(shared.options.clone(), grant, shared.now());
    let (mut bell, mut bye) = (shared.bell.subscribe(), shared.bye.subscribe());
    bye.mark_unchanged();
    let mut partial = String::new();
    loop {
        loop {
            let line = subscriber.poll(&shared.published.lock(), shared.now());
            let Some(line) = line else { break };
            let kind = String::from_utf8_lossy(&line).split('"').nth(1).unwrap_or_default().to_owned();
            shared.note(|seen| seen.sent.push(kind));
            if sender.send(line).await.is_err() {
                return;
            }
        }
        let Some(deadline) = subscriber.deadline() else { return };
        let wait = Duration::from_millis(deadline.0.saturating_sub(shared.now().0));
        tokio::select! {
            frame = incoming.frame() => {
                let Some(Ok(frame)) = frame else { return };
                let data = frame.into_data().unwrap_or_default();
                partial.push_str(&String::from_utf8_lossy(&data));
                while let Some((line, rest)) = partial.split_once('\n') {
                    let line: Value = serde_json::from_str(line).expect("a frame is JSON");
                    shared.note(|seen| seen.lines.push(line));
                    partial = rest.to_owned();
                }
                // A violation is told by the last line.
                let _ = subscriber.receive(&data, shared.now());
            }
            _ = bell.changed() => {}
            _ = bye.changed() => {
                if let Some((reason, within)) = bye.borrow_and_update().clone() {
                    subscriber.leave(&reason, within);
                }
            }
            () = sleep(wait) => {}
        }
    }
}
