//! The listener: every connection is taken, and none is kept for longer than its client makes use of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::answer::{Answer, text};
use crate::guests::Guests;

/// How long a client may take to send a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long `accept` rests after it failed, most often for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What an admin interface shows.
pub trait Pages: Send + Sync + 'static {
    /// What `/` says: the paths that exist and what each shows.
    const INDEX: &'static str;

    /// The page at an absolute path, as it is now; `None` if there is none.
    fn page(&self, path: &str) -> impl Future<Output = Option<Answer>> + Send;
}

/// Serves an admin interface for as long as it is polled.
pub async fn serve<P: Pages>(listener: TcpListener, pages: Arc<P>) {
    let mut guests = Guests::<AbortHandle>::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(target: "forebay::admin", "accept() failed ({error})");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        limit_writes(&stream);
        let pages = pages.clone();
        let guest = tokio::spawn(async move {
            let service = service_fn(move |request| {
                let pages = pages.clone();
                async move { Ok::<_, Infallible>(answer(&*pages, &request).await) }
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // A client that breaks off here harms only itself.
            let _ = serving.await;
        });
        guests.forget(AbortHandle::is_finished);
        if let Some(closed) = guests.enter(peer.ip(), guest.abort_handle()) {
            closed.abort();
        }
    }
}

/// The answer to a request; its body is ignored.
async fn answer<P: Pages, B>(pages: &P, request: &Request<B>) -> Answer {
    // hyper leaves the body of an answer to HEAD out.
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/" => text(StatusCode::OK, P::INDEX),
        path => pages
            .page(path)
            .await
            .unwrap_or_else(|| text(StatusCode::NOT_FOUND, "not found; see / for what there is\n")),
    }
}

/// Has the kernel close a connection whose client takes nothing for [`WRITE_TIMEOUT`]: it would keep its seat and its answer.
fn limit_writes(stream: &TcpStream) {
    // Without it everything works but this.
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(WRITE_TIMEOUT));
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::answer::json;

    /// One page.
    struct One;

    impl Pages for One {
        const INDEX: &'static str = "/one\n";

        async fn page(&self, path: &str) -> Option<Answer> {
            (path == "/one").then(|| json(StatusCode::OK, &1))
        }
    }

    struct Serving(std::net::SocketAddr, tokio::task::JoinHandle<()>);

    impl Serving {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            Self(listener.local_addr().unwrap(), tokio::spawn(serve(listener, Arc::new(One))))
        }

        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.0).await.unwrap()
        }
    }

    impl Drop for Serving {
        fn drop(&mut self) {
            self.1.abort();
        }
    }

    /// Asks with `METHOD PATH`, the last of a connection, and returns what comes.
    async fn ask(stream: &mut TcpStream, what: &str) -> String {
        let request = format!("{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_page_is_not_to_be_stored_and_head_leaves_it_out() {
        let serving = Serving::start().await;
        let page = ask(&mut serving.connect().await, "GET /one").await;
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\n1\n"), "{page}");
        assert!(page.contains("content-type: application/json\r\n") && page.contains("cache-control: no-store\r\n"));

        let mut stream = serving.connect().await;
        stream.write_all(b"HEAD /one HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let both = ask(&mut stream, "GET /").await;
        let (head, index) = both.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 2"), "{head}");
        assert!(
            index.starts_with("HTTP/1.1 200 OK\r\n") && index.ends_with("\r\n\r\n/one\n"),
            "no body after HEAD: {index}"
        );
    }

    #[tokio::test]
    async fn what_does_not_exist_and_what_may_not_be_done() {
        let serving = Serving::start().await;
        let missing = ask(&mut serving.connect().await, "GET /one/").await;
        assert!(missing.starts_with("HTTP/1.1 404 Not Found\r\n") && missing.contains("see / for"), "{missing}");
        let refused = ask(&mut serving.connect().await, "DELETE /one").await;
        assert!(refused.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{refused}");
        assert!(refused.contains("allow: GET, HEAD\r\n"), "{refused}");
    }

    #[tokio::test]
    async fn who_says_nothing_keeps_nobody_out() {
        let serving = Serving::start().await;
        let mut silent = Vec::new();
        for _ in 0..200 {
            silent.push(serving.connect().await);
        }
        // The first of them is closed, and the last is served.
        assert_eq!(silent[0].read(&mut [0; 1]).await.unwrap_or(0), 0);
        let answer = ask(&mut silent.pop().unwrap(), "GET /one").await;
        assert!(answer.ends_with("1\n"), "{answer}");
    }

    #[tokio::test]
    async fn who_takes_nothing_is_not_waited_for() {
        let stream = Serving::start().await.connect().await;
        limit_writes(&stream);
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(WRITE_TIMEOUT));
    }
}
