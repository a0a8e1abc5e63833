//! Whether the API server answers. Every request passes here, so it is one fact for all who ask, and said once for all of them: a
//! watch in which nothing happens tells nobody that it goes on. The library's errors name no address either.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{info, warn};

use crate::trouble::cause;

/// Any error, as the library passes it on.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The API server did not answer this request, nor any other meanwhile. That it is so is in the log already.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why} ({server})")]
pub(crate) struct Unanswered {
    /// Its address.
    pub(crate) server: Arc<str>,
    /// In words.
    pub(crate) why: String,
}

/// Has a client's requests that are not answered fail with [`Unanswered`], and says it of the first, and of the next answer.
pub(super) struct Heed(Arc<Server>);

/// A client's way to a server.
pub(super) struct Heeded<S> {
    way: S,
    server: Arc<Server>,
}

struct Server {
    address: Arc<str>,
    heard: Mutex<Heard>,
}

/// What was heard of a server.
#[derive(Default)]
struct Heard {
    answers: u64,
    is_cut_off: bool,
}

impl Heed {
    /// Of the server of this address.
    pub(super) fn new(address: Arc<str>) -> Self {
        Self(Arc::new(Server { address, heard: Mutex::default() }))
    }
}

impl Server {
    fn answers(&self) -> u64 {
        self.heard.lock().answers
    }

    fn answered(&self) {
        let mut heard = self.heard.lock();
        heard.answers += 1;
        if std::mem::take(&mut heard.is_cut_off) {
            info!("the API server can be reached again");
        }
    }

    /// What became of a request that was begun after so many answers.
    fn failed(&self, error: BoxError, begun: u64) -> BoxError {
        // What the library says of itself, of credentials for one, it is to recognise.
        if error.is::<kube::Error>() {
            return error;
        }
        let mut heard = self.heard.lock();
        // Others were answered since: it hung on a connection that was lost, or is a matter of this request alone.
        if heard.answers != begun {
            return error;
        }
        let unanswered = Unanswered { server: self.address.clone(), why: cause(&*error) };
        if !std::mem::replace(&mut heard.is_cut_off, true) {
            warn!(
                "the API server cannot be reached: {unanswered}; what was known stays in force, and it is tried again"
            );
        }
        unanswered.into()
    }
}

impl<S> Layer<S> for Heed {
    type Service = Heeded<S>;

    fn layer(&self, way: S) -> Heeded<S> {
        Heeded { way, server: self.0.clone() }
    }
}

impl<S, R> Service<R> for Heeded<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.way.poll_ready(cx).map_err(|error| self.server.failed(error, self.server.answers()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let server = self.server.clone();
        let begun = server.answers();
        let answer = self.way.call(request);
        Box::pin(async move {
            match answer.await {
                Ok(answer) => {
                    server.answered();
                    Ok(answer)
                }
                Err(error) => Err(server.failed(error, begun)),
            }
        })
    }
}
