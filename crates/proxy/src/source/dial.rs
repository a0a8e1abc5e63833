//! From an address to a connection that takes requests: TCP, TLS 1.3, HTTP/2, each within its time.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::address::{Candidate, ControllerUrl};
use super::credentials::Credentials;
use super::fault::Fault;
use super::options::Patience;

/// How often a silent connection is probed, and how long the answer may take: a cable that was pulled is noticed before
/// the silence of the feed is.
const PING: Duration = Duration::from_secs(10);
/// What may be on its way unread: the first synchronisation is a few megabytes.
const WINDOW: u32 = 1 << 20;
/// How much of a refusal is read, and for how long.
const EXCERPT: usize = 1024;
const EXCERPT_PATIENCE: Duration = Duration::from_secs(1);

/// A connection to a controller. Dropping it closes it.
pub(super) struct Connection<B> {
    sender: SendRequest<B>,
    url: ControllerUrl,
    _driver: AbortOnDropHandle<()>,
}

/// The addresses of a URL.
pub(super) async fn resolve(url: &ControllerUrl, patience: &Patience) -> Result<Vec<Candidate>, Fault> {
    let found = within("resolving its name", patience.resolve, tokio::net::lookup_host(url.target())).await?;
    let candidates: Vec<_> =
        found.map_err(Fault::Resolve)?.map(|address| Candidate { url: url.clone(), address }).collect();
    if candidates.is_empty() {
        return Err(Fault::Resolve(io::Error::new(io::ErrorKind::NotFound, "it has no address")));
    }
    Ok(candidates)
}

/// Connects. The certificate must be for one of the hosts of `known_as`.
pub(super) async fn dial<B>(
    to: &Candidate,
    known_as: &[ControllerUrl],
    credentials: &Credentials,
    patience: &Patience,
) -> Result<Connection<B>, Fault>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
{
    let tls = TlsConnector::from(credentials.tls(known_as)?);
    let tcp = within("connecting", patience.connect, TcpStream::connect(to.address)).await?.map_err(Fault::Connect)?;
    tcp.set_nodelay(true).map_err(Fault::Connect)?;
    let stream = within("shaking hands (TLS)", patience.handshake, tls.connect(to.url.server_name(), tcp)).await?;
    let stream = stream.map_err(|error| Fault::of_tls(&error, known_as))?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Fault::Tls("the other end does not choose HTTP/2; is this a controller's feed port?".to_owned()));
    }
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING).keep_alive_while_idle(true);
    builder.initial_stream_window_size(WINDOW).initial_connection_window_size(2 * WINDOW);
    let shaken = within("shaking hands (HTTP/2)", patience.handshake, builder.handshake(TokioIo::new(stream))).await?;
    let (sender, connection) = shaken.map_err(|error| Fault::of_http(&error, known_as))?;
    let driver = tokio::spawn(async move {
        // What breaks it is told by the exchange that breaks with it.
        let _ = connection.await;
    });
    Ok(Connection { sender, url: to.url.clone(), _driver: AbortOnDropHandle::new(driver) })
}

impl<B> Connection<B>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
{
    /// Whether it has not been closed.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends `body` to `path` and returns the response, its header complete.
    pub async fn post(
        &mut self,
        path: &str,
        content_type: &'static str,
        body: B,
        credentials: &Credentials,
        patience: &Patience,
    ) -> Result<Response<Incoming>, Fault> {
        let uri = self.url.uri(path).map_err(|error| Fault::Http(error.to_string()))?;
        let request = Request::post(uri).header(header::CONTENT_TYPE, content_type);
        let request = match credentials.authorization()? {
            Some(value) => request.header(header::AUTHORIZATION, value),
            None => request,
        };
        let request = request.body(body).map_err(|error| Fault::Http(error.to_string()))?;
        let exchange = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let response = within("waiting for its answer", patience.answer, exchange).await?;
        response.map_err(|error| Fault::of_http(&error, std::slice::from_ref(&self.url)))
    }
}

/// The body of a response with `expected` status; any other is a fault.
pub(super) async fn expect(response: Response<Incoming>, expected: StatusCode) -> Result<Incoming, Fault> {
    let (head, mut body) = response.into_parts();
    if head.status == expected {
        return Ok(body);
    }
    let mut excerpt = Vec::new();
    let read = async {
        while excerpt.len() < EXCERPT
            && let Some(Ok(frame)) = body.frame().await
        {
            excerpt.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
        }
    };
    // What came in this time is quoted.
    let _ = timeout(EXCERPT_PATIENCE, read).await;
    Err(Fault::of_status(head.status, &excerpt))
}

pub(super) async fn within<T>(doing: &'static str, limit: Duration, work: impl Future<Output = T>) -> Result<T, Fault> {
    timeout(limit, work).await.map_err(|_| Fault::Timeout { doing, limit })
}
