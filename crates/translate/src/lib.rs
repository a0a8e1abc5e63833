//! Kubernetes documents to configuration, as a pure function.
pub mod document;
mod endpoints;
mod shared_weight;
