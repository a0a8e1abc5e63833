//! A client of HTTP/2 that shows what the protocol does: streams, resets, windows, trailers, GOAWAY.

use std::{future::poll_fn, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::ResponseFuture, client::SendRequest};
use http::{HeaderMap, Request};
use rustls::ClientConfig;
use tokio::task::JoinHandle;

use crate::{patiently, tls};

/// One connection.
#[derive(Debug)]
pub struct Http2 {
    sender: SendRequest<Bytes>,
    /// Ends with the connection, with the reason.
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Http2 {
    /// Connects to `address` as `host` over TLS.
    pub async fn connect(address: SocketAddr, host: &str, client: &Arc<ClientConfig>) -> io::Result<Self> {
        let stream = tls::connect(address, host, client).await?;
        // A stream that is not read must not use up the window of the others.
        let mut builder = h2::client::Builder::new();
        let (sender, connection) =
            builder.initial_connection_window_size(1 << 20).handshake(stream).await.map_err(io::Error::other)?;
        Ok(Self { sender, driver: tokio::spawn(connection) })
    }

    /// Opens a stream. `end` says that no body follows.
    pub async fn open(
        &mut self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        patiently("a free stream", poll_fn(|cx| self.sender.poll_ready(cx))).await?;
        self.sender.send_request(request, end)
    }

    /// A request without a body, and its whole response.
    pub async fn ask(&mut self, request: Request<()>) -> Result<Answer, h2::Error> {
        let (response, _) = self.open(request, true).await?;
        answer(response).await
    }

    /// `GET uri`.
    ///
    /// # Panics
    /// When there is no response.
    pub async fn get(&mut self, uri: &str) -> Answer {
        let request = Request::get(uri).body(()).expect("a URI");
        self.ask(request).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for the end of the connection. Whoever still says goodbye when the other end has left is told that nobody
    /// listens, which is an end, too.
    pub async fn ended(self) -> Result<(), h2::Error> {
        drop(self.sender);
        let ended = patiently("the end of the connection", self.driver).await.expect("the driver does not panic");
        let has_left =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        ended.or_else(|error| if error.get_io().is_some_and(has_left) { Ok(()) } else { Err(error) })
    }

    /// Whether the connection is still there.
    pub fn is_open(&self) -> bool {
        !self.driver.is_finished()
    }
}

/// The whole response of a stream.
pub async fn answer(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, body) = patiently("a response", response).await?.into_parts();
    let (body, trailers) = rest(body).await?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, trailers })
}

async fn rest(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = patiently("the rest of a response", body.data()).await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, patiently("trailers", body.trailers()).await?))
}
