//! Which API server did not answer: the library's errors name no address.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

/// Any error, as the library passes it on.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The API server did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{server}: {error}")]
pub(crate) struct Unanswered {
    /// Its address.
    pub(crate) server: Arc<str>,
    #[source]
    error: BoxError,
}

/// Has a client's requests that are not answered fail with [`Unanswered`].
pub(super) struct NameServer(pub(super) Arc<str>);

/// A client's way to the server of this address.
pub(super) struct Named<S> {
    way: S,
    server: Arc<str>,
}

impl<S> Layer<S> for NameServer {
    type Service = Named<S>;

    fn layer(&self, way: S) -> Named<S> {
        Named { way, server: self.0.clone() }
    }
}

impl<S, R> Service<R> for Named<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.way.poll_ready(cx).map_err(|error| name(&self.server, error))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (answer, server) = (self.way.call(request), self.server.clone());
        Box::pin(async move { answer.await.map_err(|error| name(&server, error)) })
    }
}

/// What the library says of itself, of credentials for one, it is to recognise.
fn name(server: &Arc<str>, error: BoxError) -> BoxError {
    if error.is::<kube::Error>() { error } else { Unanswered { server: server.clone(), error }.into() }
}
