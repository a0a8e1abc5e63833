//! Controllers and data planes together, as processes beside a real API server, with the rights and tokens of the manifests. There
//! is no kubelet: the tests write the EndpointSlices, and their servers are the pods.

mod authorities;
mod clocks;
mod commands;
mod cut;
mod dies;
mod follows;
mod leaves;
mod may;
mod narrow;
mod objects;
mod own;
mod rig;
mod secrets;
mod sidecars;
mod survives;
mod tiers;
mod zones;
