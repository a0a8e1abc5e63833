//! A raw HTTP/1 client: sends literal bytes and reports exactly what came back.
//!
//! Everything that can wait gives up after [`PATIENCE`](crate::PATIENCE) and fails the test, saying what it waited for.

use std::io;

use tokio::io::AsyncWriteExt;

use crate::{
    Address, Stream,
    message::{Head, Headers, Wire},
    patiently,
};

/// One connection.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

/// What delimited a response's body (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body by rule: HEAD, 1xx, 204, 304.
    Bodiless,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The end of the connection.
    Close,
}

/// One response as it was framed.
#[derive(Clone, Debug)]
pub struct Response {
    /// The head, raw bytes included.
    pub head: Head,
    /// The status code.
    pub status: u16,
    /// How the body was delimited.
    pub framing: Framing,
    /// The content.
    pub body: Vec<u8>,
    /// Sizes of the chunks, if chunked.
    pub chunks: Vec<usize>,
    /// Trailer lines, if chunked.
    pub trailers: Headers,
    /// Whether the body ended as its framing says; false when the connection was cut within it.
    pub complete: bool,
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An orderly FIN.
    Closed,
    /// RST.
    Reset,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens there.
    pub async fn connect(address: impl Into<Address>) -> Self {
        let address = address.into();
        let stream = patiently("a connection", address.connect()).await;
        Self { wire: Wire::new(stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))) }
    }

    /// Speaks over a connection made elsewhere.
    pub fn over(stream: tokio::net::TcpStream) -> Self {
        Self { wire: Wire::new(Stream::Tcp(stream)) }
    }

    /// Speaks over a stream of any kind.
    pub fn on(stream: Stream) -> Self {
        Self { wire: Wire::new(stream) }
    }

    /// Whether no byte is waiting to be taken: after a failed response, that none of it had come.
    pub fn nothing_received(&self) -> bool {
        self.wire.buffer.is_empty()
    }

    /// Sends a request on a new connection and reads the response.
    pub async fn once(address: impl Into<Address>, request: impl AsRef<[u8]>) -> Response {
        let mut client = Self::connect(address).await;
        client.send(request.as_ref()).await;
        client.response().await
    }

    /// `GET target` with `Host: test`, on a new connection.
    pub async fn get(address: impl Into<Address>, target: &str) -> Response {
        Self::once(address, format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")).await
    }

    /// Sends literal bytes.
    ///
    /// # Panics
    /// When the connection is gone. Use [`Client::try_send`] where that may be.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the peer takes the bytes");
    }

    /// Sends literal bytes to a peer that may have gone.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        patiently("the peer to take bytes", self.wire.write(bytes.as_ref())).await
    }

    /// Says that nothing more will be sent (FIN), and goes on reading.
    pub async fn half_close(&mut self) {
        self.wire.stream.shutdown().await.expect("an open connection can be half closed");
    }

    /// The next response to a request that was no HEAD, an interim (1xx) one included.
    pub async fn response(&mut self) -> Response {
        self.response_to("GET").await
    }

    /// The next response to a request of `method`.
    ///
    /// # Panics
    /// When the connection ends before a complete head.
    pub async fn response_to(&mut self, method: &str) -> Response {
        self.try_response_to(method).await.unwrap_or_else(|error| panic!("no response: {error}"))
    }

    /// The next response, or why there is none.
    pub async fn try_response_to(&mut self, method: &str) -> io::Result<Response> {
        let head = patiently("a response head", self.wire.head()).await?;
        let head = head.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "closed without a response"))?;
        let status = head
            .word(1)
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("status line {:?}", head.start_line)))?;
        let framing = Framing::of(method, status, &head.headers);
        let mut response = Response {
            head,
            status,
            framing,
            body: Vec::new(),
            chunks: Vec::new(),
            trailers: Headers::default(),
            complete: true,
        };
        patiently("a response body", self.body(&mut response)).await;
        Ok(response)
    }

    async fn body(&mut self, response: &mut Response) {
        let outcome = match response.framing {
            Framing::Bodiless => return,
            Framing::Length => self.wire.exact(response.head.headers.content_length().unwrap_or(0)).await,
            Framing::Close => self.wire.rest().await,
            Framing::Chunked => self.wire.chunked().await.map(|body| {
                response.chunks = body.chunks;
                response.trailers = body.trailers;
                body.content
            }),
        };
        response.complete = outcome.is_ok();
        response.body = outcome.unwrap_or_else(|_| std::mem::take(&mut self.wire.buffer));
    }

    /// Exactly `count` bytes, of a tunnel say.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        patiently("bytes", self.wire.exact(count)).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whatever comes next, at least one byte unless the connection ended.
    pub async fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.wire.buffer.is_empty() {
            patiently("any byte", self.wire.fill()).await?;
        }
        Ok(std::mem::take(&mut self.wire.buffer))
    }

    /// Waits for the end of the connection and says how it ended.
    ///
    /// # Panics
    /// When bytes come instead.
    pub async fn end(&mut self) -> End {
        match patiently("the end of the connection", self.wire.rest()).await {
            Ok(rest) if rest.is_empty() => End::Closed,
            Ok(rest) => panic!("bytes instead of the end: {:?}", String::from_utf8_lossy(&rest)),
            Err(_) => End::Reset,
        }
    }

    /// Goes away with RST.
    pub fn reset(self) {
        self.wire.stream.reset();
    }

    /// The stream, for another protocol to go on with.
    ///
    /// # Panics
    /// When bytes were read that nobody took.
    pub fn into_stream(self) -> Stream {
        assert!(self.wire.buffer.is_empty(), "bytes were read that nobody took");
        self.wire.stream
    }
}

impl Framing {
    fn of(method: &str, status: u16, headers: &Headers) -> Self {
        if method == "HEAD" || (100..200).contains(&status) || status == 204 || status == 304 {
            Self::Bodiless
        } else if headers.is_chunked() {
            Self::Chunked
        } else if headers.content_length().is_some() {
            Self::Length
        } else {
            Self::Close
        }
    }
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first value of header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.first(name)
    }

    /// The body as JSON, such as an upstream's `/echo` answers.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }
}
