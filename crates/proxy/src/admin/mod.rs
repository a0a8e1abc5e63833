//! The admin interface of a data plane: health, readiness, metrics and the live picture as JSON.
//!
//! It runs on the control runtime, so a scrape never delays a request; readiness alone asks the workers, because it must test
//! what it vouches for.

use std::sync::Arc;

use prometheus::Registry;
use tokio::net::TcpListener;

use crate::config_status::ConfigStatus;
use crate::metrics::Metrics;
use crate::observed::Observed;

mod groups;
mod pages;
mod routes;

use pages::DataPlane;

/// Serves the admin interface for as long as it is polled. What is in `registry` is shown with the metrics of the data plane.
pub async fn serve<S: Observed>(listener: TcpListener, source: Arc<S>, status: Arc<ConfigStatus>, registry: Registry) {
    let metrics = match Metrics::new(registry, source.clone(), status.clone()) {
        Ok(metrics) => metrics,
        // Two metrics of one name: the tests exclude it.
        Err(error) => return tracing::error!(target: "forebay::admin", "no admin interface: {error}"),
    };
    admin::serve(listener, Arc::new(DataPlane { source, status, metrics })).await;
}

#[cfg(test)]
mod tests;
